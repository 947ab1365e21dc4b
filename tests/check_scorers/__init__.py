"""`python -m tests.check_scorers`: compare scorers with their references on at least 1,000 generated cases each.

A reference is a library (scikit-learn, jiwer, scipy), the code of a published package out of its wheel (`--wheels`),
figures that Java tools made (tests/golden/captions.json.gz), answers that are made so that what they say is known, or
the rule restated here from its description, in another way than in `eval`. Where `pycocoevalcap` and `java` are there,
METEOR is compared too. The exit status is 1 if a difference is above what rounding explains.
"""

from tests.check_scorers.command import main

__all__ = ["main"]
