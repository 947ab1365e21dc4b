"""Whether a written answer says yes or no: three ways to read one, none of which guesses."""

import re
import unicodedata
from collections.abc import Callable

YesNoParser = Callable[[str], bool | None]

_YES = re.compile(r"(?<!\w)(?:yes|yeah|yep)(?!\w)")
_NO = re.compile(r"(?<!\w)(?:no|nope)(?!\w)")


def parse_yes_no(text: str) -> bool | None:
    """Return True for yes, False for no, None for neither, by rules of our own (version 1).

    The first word decides if it is yes or no, in any case and with any punctuation; else the words of the whole answer,
    if only one of the two is among them (`The answer is yes.`). `There is no dog` is no; `There is a dog` is neither,
    since it does not say what was asked.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    begins = re.match(r"\W*(\w+)", text)
    first = begins[1] if begins else ""
    says_yes, says_no = (bool(pattern.fullmatch(first)) for pattern in (_YES, _NO))
    if not (says_yes or says_no):
        says_yes, says_no = (bool(pattern.search(text)) for pattern in (_YES, _NO))
    return says_yes if says_yes != says_no else None


def parse_yes_no_pope(text: str) -> bool | None:
    """Return False if the first sentence has the word `No`, `no` or `not`, else True, as POPE's own evaluation does.

    Li et al. 2023 (arXiv:2305.10355), evaluate.py of RUCAIBox/POPE: the text up to the first full stop, without commas,
    split at blanks. Its faults: whatever has none of the three words is yes, an empty answer too, and so is `NO`.
    """
    words = text.partition(".")[0].replace(",", "").split(" ")
    return not {"No", "not", "no"} & {*words}


def parse_yes_no_exact(text: str) -> bool | None:
    """Return True or False if the answer is `yes` or `no` and nothing else, in any case; lmms-eval's way for POPE.

    lmms_eval/tasks/pope/utils.py of EvolvingLMMs-Lab/lmms-eval. Its fault: `Yes.` is no answer. Two figures differ from
    its own: there, an answer that is neither is no missed yes, so that recall and F1 are larger, and the share of yes
    is that of the right answers, not of the model's.
    """
    return {"yes": True, "no": False}.get(text.strip().lower())
