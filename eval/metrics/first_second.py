"""Which of two inputs an answer names, as DisCRn's evaluation reads it (X-InstructBLIP, arXiv:2311.18799, section 4.4).

Facts of salesforce/LAVIS, lavis/datasets/datasets/discriminatory_reasoning_datasets.py and its task of that name. The
answer is normalised as for VQA; it is right if one of its words is a word for the right input. (All of it may also be a
phrase for it, such as `second option`, but each phrase that normalisation leaves has such a word.) Its faults stay: the
name of an input's modality stands for it even where both have the same one; an answer with words for both is right
whichever is asked for; `one` becomes `1`, so that `the right one` is right for the first; and `(b)` is read where `(a)`
is not, since articles go.
"""

from eval.metrics.vqa import normalise_vqa_v2

_WORDS = (frozenset({"left", "first", "1st", "1"}), frozenset({"right", "second", "2nd", "2", "b"}))
_MODALITY_WORDS = (
    (frozenset({"image", "picture", "photo"}), frozenset({"image", "photo", "picture"})),
    (frozenset({"sound", "audio", "speech"}), frozenset({"audio", "sound"})),
    (frozenset({"object", "point_cloud", "pc", "3d"}), frozenset({"pc", "3d", "model", "rendering"})),
)


def names_input(answer: str, index: int, modality: str) -> bool:
    """Return whether an answer names an input by its place or its modality.

    Args:
        answer: the text.
        index: the input, 0 for the first and 1 for the second.
        modality: its modality, such as `image`, `sound` or `video`.
    """
    return not (_WORDS[index] | _modality_words(modality)).isdisjoint(normalise_vqa_v2(answer).split())


def _modality_words(modality: str) -> frozenset[str]:
    known = (words for names, words in _MODALITY_WORDS if modality in names)
    return next(known, frozenset({modality}))
