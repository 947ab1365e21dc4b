"""The top floor: a chat page over any trained model. `python -m demo --model DIR`."""

import omni  # noqa: F401 - says what to do in a Python without its packages, before anything else is imported
