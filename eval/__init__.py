"""Zero-shot evaluation: task declarations, a runner with an answer cache, metrics, and a report one can look at.

Run it as `python -m eval SUITE --model DIR`. From Python: `eval.run.runner.evaluate`.
"""
