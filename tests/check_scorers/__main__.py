"""`python -m tests.check_scorers`."""

import sys

from tests.check_scorers import main

if __name__ == "__main__":
    sys.exit(main())
