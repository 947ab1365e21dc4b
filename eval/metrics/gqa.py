"""GQA answers as lmms-eval compares them: capitals and ASCII punctuation do not count."""

import string

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_gqa(answer: str) -> str:
    """Return an answer in the form in which lmms-eval's exact match (`ignore_case`, `ignore_punctuation`) compares it.

    Punctuation goes without a blank in its place (`x-ray` is `xray`); articles and number words stay. White space at
    the ends goes too, which a model's answer may have.
    """
    return answer.strip().lower().translate(_NO_PUNCTUATION)
