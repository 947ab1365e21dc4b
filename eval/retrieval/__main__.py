"""`python -m eval.retrieval`: see `eval.retrieval.command`."""

import sys

from eval.retrieval.command import main

if __name__ == "__main__":
    sys.exit(main())
