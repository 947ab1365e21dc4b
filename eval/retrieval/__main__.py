"""`python -m eval.retrieval`: see `eval.retrieval.retrieval`."""

import sys

from eval.retrieval.retrieval import main

if __name__ == "__main__":
    sys.exit(main())
