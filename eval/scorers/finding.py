"""Find a scorer by its name, or by the class path of a user's own."""

from eval.scorers.base import Scorer, label_of
from eval.scorers.captions import CAPTION_COCO
from eval.scorers.choice import NORMALIZATIONS, ChoiceScorer
from eval.scorers.classification import CLASSIFICATION
from eval.scorers.conflict import ConflictScorer
from eval.scorers.first_second import FIRST_SECOND
from eval.scorers.groups import CIRCULAR, GROUPS, PAIRS
from eval.scorers.judge import JUDGE
from eval.scorers.likeliest_yes import LIKELIEST_YES
from eval.scorers.match import MatchScorer
from eval.scorers.mmmu import MMMU
from eval.scorers.multi_label import MULTI_LABEL
from eval.scorers.multiple_choice import MULTIPLE_CHOICE
from eval.scorers.retrieval import RetrievalScorer
from eval.scorers.summaries import SUMMARIES
from eval.scorers.text import CAPTION_CIDER_D, EXACT_MATCH, REFUSAL, VQA_ACCURACY
from eval.scorers.transcription import TRANSCRIPTION
from eval.scorers.wups import WUPS
from eval.scorers.yes_no import YES_NO
from omni.config.components import import_class

_SHIPPED: tuple[Scorer, ...] = (
    *(ChoiceScorer(normalization) for normalization in NORMALIZATIONS),
    MatchScorer(),
    ConflictScorer(),
    CAPTION_CIDER_D,
    CAPTION_COCO,
    *EXACT_MATCH,
    *VQA_ACCURACY,
    REFUSAL,
    FIRST_SECOND,
    JUDGE,
    *TRANSCRIPTION,
    *MULTIPLE_CHOICE,
    *YES_NO,
    *CLASSIFICATION,
    *MULTI_LABEL,
    *PAIRS,
    *CIRCULAR,
    *GROUPS,
    LIKELIEST_YES,
    *MMMU,
    *SUMMARIES,
    WUPS,
    RetrievalScorer(),
)
SCORERS: dict[str, Scorer] = {label_of(scorer): scorer for scorer in _SHIPPED}


def get_scorer(name: str) -> Scorer:
    """Return the scorer of that name, or one of the class that a class path names.

    Args:
        name: a key of `SCORERS`, `path/to/file.py:Class` or `package.module.Class`.

    Raises:
        ValueError: there is none (the message lists the shipped ones), something is wrong in its file, or the class is
            no scorer.
    """
    if name in SCORERS:
        return SCORERS[name]
    if "." not in name:
        now = next((label for label in SCORERS if label.rpartition("-v")[0] == name.rpartition("-v")[0]), None)
        if now is not None:
            raise ValueError(
                f"the scorer {name!r} is {now!r} today, whose figures can differ; name that one. "
                "docs/evaluation.md says what changed"
            )
        raise ValueError(
            f"unknown scorer {name!r}; there are {', '.join(sorted(SCORERS))}. Your own: my_scorers.py:MyScorer"
        )
    try:
        scorer = import_class(name)()
    except ValueError as error:
        raise ValueError(f"scorer {name!r}: {error}") from error
    except TypeError as error:
        raise ValueError(f"scorer {name!r} must be made without arguments: {error}") from error
    if not isinstance(scorer, Scorer):
        missing = sorted(member for member in _MEMBERS if member not in dir(scorer))
        raise ValueError(f"scorer {name!r} has no {', '.join(missing)}; see eval.scorers.Scorer")
    return scorer


_MEMBERS = ("name", "version", "takes", "metric", "percent", "chance", "score")
