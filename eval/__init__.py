"""Zero-shot evaluation: task declarations, a runner with an answer cache, metrics, and a report one can look at.

Run it as `python -m eval SUITE --model DIR`. From Python: `eval.run.runner.evaluate`.
"""

import omni  # noqa: F401 - says what to do in a Python without its packages, before anything else is imported
