"""What a task declares: data, prompt, candidates or generation settings, scorer and controls.

A task is data, not code: the runner reads it. A task of your own is a `Task` in a Python file, run as
`python -m eval my_tasks.py:TASK --model DIR`.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal


@dataclass(frozen=True)
class Choose:
    """The model chooses among candidates by their log-likelihood.

    Attributes:
        candidates: `labels` = the same closed set for every item; `answers` = the distinct right answers of all items;
            `sampled` = the right answer and distractors drawn from the other items' answers, by seed and item id.
        num_candidates: for `sampled`, how many including the right one; fewer where the data has fewer answers.
        labels: for `labels`, label -> candidate text. Empty = the distinct targets of the data are both.
    """

    candidates: Literal["labels", "answers", "sampled"]
    num_candidates: int = 10
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Generate:
    """The model writes its answer; `settings` are transformers' generation options (default: greedy)."""

    settings: dict[str, Any] = field(default_factory=lambda: {"max_new_tokens": 24})


@dataclass(frozen=True)
class Match:
    """Is the right answer likelier with the item's own media than with one of its media taken from another item?

    Attributes:
        replaced: the modality that is taken from another item; the others stay.
        num_mismatches: other items compared with, by seed; an item's value is the share of wins (a tie is half).
    """

    replaced: str
    num_mismatches: int = 5


@dataclass(frozen=True)
class Probe:
    """A linear classifier on frozen, mean-pooled encoder features: what the encoder knows without any LLM.

    Attributes:
        data: the training split; its targets are the labels.
        limit: at most so many training items, a seeded sample.
    """

    data: str
    limit: int = 1000


@dataclass(frozen=True)
class Task:
    """One measurement.

    Attributes:
        name: as on the command line.
        version: rises with every change that can move the result.
        description: one line for people.
        data: where the items come from, anything that `omni.readers.open_dataset` opens; `starter:` names are resolved.
        modalities: which media of an item are shown, in the item's own order. All must be in the model.
        prompt: the user's text after the media; None = the item's own text.
        kind: `Choose`, `Generate` or `Match`.
        scorer: name and version of the scorer (`eval.scorers.scorers.SCORERS`).
        target: where the right answer is: `answer` = the assistant's text, `meta:KEY` = that key of the row.
        clusters: what makes items dependent: the same `media`, the same `answer` text (of the assistant).
        only: extra conditions in which only these modalities are shown, such as `(("image",), ("sound",))`.
        num_shuffles: derangements that the shuffled control averages over.
        limit: at most so many items, a seeded sample; None = all. The command line's `--limit` can only lower it.
        reference: where reference media come from, never the test data: the mean likelihood of a candidate over them is
            what its pointwise mutual information is measured against; None = its likelihood without media.
        num_references: how many of them, a seeded sample.
        probe: the linear probe; None with `no_probe` as the reason.
        no_probe: why there is no linear probe.
    """

    name: str
    version: int
    description: str
    data: str
    modalities: tuple[str, ...]
    prompt: str | None
    kind: Choose | Generate | Match
    scorer: str
    target: str = "answer"
    clusters: tuple[Literal["media", "answer"], ...] = ("media", "answer")
    only: tuple[tuple[str, ...], ...] = ()
    num_shuffles: int = 1
    limit: int | None = None
    reference: str | None = None
    num_references: int = 8
    probe: Probe | None = None
    no_probe: str = "captions are open-ended, there are no classes to probe for"

    def __post_init__(self) -> None:
        if not self.modalities:
            raise ValueError(f"task {self.name!r} shows no modality; name at least one, such as ('image',)")
        if not (self.target == "answer" or self.target.startswith("meta:")):
            raise ValueError(f"task {self.name!r}: target {self.target!r} is neither 'answer' nor 'meta:KEY'")
        if isinstance(self.kind, Match) and self.kind.replaced not in self.modalities:
            raise ValueError(
                f"task {self.name!r} replaces {self.kind.replaced!r}, which is not among {self.modalities}"
            )
        if isinstance(self.kind, Choose) and self.kind.candidates == "sampled" and self.kind.num_candidates < 2:
            raise ValueError(f"task {self.name!r}: num_candidates must be at least 2, not {self.kind.num_candidates}")

    def changed(self, **values: Any) -> "Task":
        """A copy with other values; `None` values are left as they are. Other data do away with `reference`."""
        values = {name: value for name, value in values.items() if value is not None}
        if "data" in values:
            values = {"reference": None} | values
        return replace(self, **values)
