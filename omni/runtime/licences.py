"""Licences: how strict each is, and which one of several binds the whole."""

import re
from collections.abc import Sequence

UNKNOWN = "unknown"

# From the strictest to the freest: the first that matches any part decides. A non-commercial licence always wins.
_STRICTNESS = (
    ("non-commercial", r"nc|non-? ?commercial|research[- ]only"),
    ("copyleft", r"[al]?gpl|sa|share-?alike"),
    ("custom terms", r"llama|gemma|other|openrail"),
    ("attribution", r"cc-by"),
    ("permissive", r"apache|mit|bsd|cc0|public domain|isc"),
)


def licence_class(licence: str | None) -> str:
    """Return how strict a licence is: non-commercial, copyleft, custom terms, attribution, permissive or unknown."""
    text = (licence or "").lower()
    for name, words in _STRICTNESS:
        if re.search(rf"(?<![a-z])(?:{words})(?![a-z])", text):  # whole words: "permitted" is not MIT
            return name
    return UNKNOWN


_IN_PLAIN_WORDS = {
    "non-commercial": "It may not be used commercially.",
    "copyleft": "It may be used commercially, but what is made from it may only be passed on under the same licence.",
    "custom terms": "It may be used as the owner's terms say, which forbid some uses; read them before you pass it on.",
    "attribution": "It may be used freely, commercially too, if the authors are named.",
    "permissive": "It may be used, changed and passed on freely, also commercially, if the notices stay with it.",
    UNKNOWN: "What is allowed is not known: before you pass it on, ask the owners of the parts without a licence.",
}


def in_plain_words(licence: str) -> str:
    """Return what an effective licence means for those who use the model, in a sentence. It is no legal advice."""
    return _IN_PLAIN_WORDS[UNKNOWN if licence.startswith(UNKNOWN) else licence_class(licence)]


def effective_licence(licences: Sequence[str | None]) -> str:
    """Return the licence that binds the whole: the strictest part's, non-commercial before copyleft before the others.

    A part without a licence cannot be judged: unless another part is non-commercial, the answer then says so.
    """
    order = [name for name, _ in _STRICTNESS]
    known = [licence for licence in licences if licence is not None and licence_class(licence) != UNKNOWN]
    strictest = min(known, key=lambda licence: order.index(licence_class(licence)), default=None)
    if strictest is not None and licence_class(strictest) == "non-commercial":
        return strictest
    if len(known) < len(licences):
        return f"{UNKNOWN} (a part states none; of those stated, {strictest or 'nothing'} is the strictest)"
    return strictest or UNKNOWN
