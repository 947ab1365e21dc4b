"""Declarations of tasks: data, prompt, kind, scorer and controls.

A task is data, not code: the runner reads it. A task of your own is a `Task` in a Python file, run as
`python -m eval my_tasks.py:TASK --model DIR`. How each kind asks and answers is in `eval.run.kinds`.
"""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol, get_args

Candidates = Literal["labels", "answers", "sampled"]
RightBy = Literal["text", "index", "letter"]
ShotsBy = Literal["random", "nearest"]
Cluster = Literal["media", "answer"]


class Kind(Protocol):
    """The contract of `Task.kind`: how the model is asked, and whether that fits the rest of the task.

    A kind of your own is an `eval.run.kinds.Procedure`, which asks and collects the answers as well.

    Attributes:
        needs_every_modality: whether a row without a medium of each of the task's modalities is bad; False = the kind
            says itself which rows it cannot use.
        templates: for a joint space, texts with `{}` where a candidate goes; see `Choose`.
    """

    needs_every_modality: ClassVar[bool] = True
    templates: tuple[str, ...] = ()

    def check(self, task: "Task") -> None:
        """Check that the kind fits the task; called when the task is made.

        Raises:
            ValueError: it does not fit.
        """


@dataclass(frozen=True)
class Choose(Kind):
    """The model chooses among candidates by their log-likelihood.

    Attributes:
        candidates: `labels` = the same closed set for every item; `answers` = the distinct right answers of all items;
            `sampled` = the right answer and distractors drawn from the other items' answers, by seed and item id;
            `meta:KEY` = the item's own, the list of texts under that key of its row (a list written as JSON or as a
            Python literal will do, as in MMMU).
        right_by: for `meta:KEY`, what the target names the right candidate by: its `text`, its `index` from 0 on, or
            its `letter` from A on, with or without brackets and full stop.
        num_candidates: for `sampled`, the number of candidates with the right one; fewer where the data has fewer
            answers.
        labels: for `labels`, label -> candidate text; labels with the same text are one class. Empty = the distinct
            targets of the data are both.
        templates: for a joint space, texts with `{}` where an option goes, such as "a photo of a {}."; an option is the
            mean of their embeddings (Radford et al. 2021, section 3.1.4). A language model is shown the options alone.
    """

    candidates: Candidates | str
    num_candidates: int = 10
    labels: dict[str, str] = field(default_factory=dict)
    right_by: RightBy = "text"
    templates: tuple[str, ...] = ()

    @property
    def own_key(self) -> str | None:
        """The key of a row under which an item's own candidates are; None = they come from elsewhere."""
        return self.candidates.removeprefix("meta:") if self.candidates.startswith("meta:") else None

    def check(self, task: "Task") -> None:
        """Check that there is something to choose from."""
        if not self.own_key and self.candidates not in get_args(Candidates):
            allowed = ", ".join(map(repr, [*get_args(Candidates), "meta:KEY"]))
            raise ValueError(f"task {task.name!r}: candidates must be one of {allowed}, not {self.candidates!r}")
        if self.labels and self.candidates != "labels":
            raise ValueError(f"task {task.name!r}: labels belong to Choose('labels'), not Choose({self.candidates!r})")
        if self.right_by not in get_args(RightBy):
            allowed = ", ".join(map(repr, get_args(RightBy)))
            raise ValueError(f"task {task.name!r}: right_by must be one of {allowed}, not {self.right_by!r}")
        if self.right_by != "text" and not self.own_key:
            raise ValueError(
                f"task {task.name!r}: right_by={self.right_by!r} belongs to Choose('meta:KEY'), not to "
                f"Choose({self.candidates!r})"
            )
        wrong = [pair for pair in self.labels.items() if not all(isinstance(text, str) and text for text in pair)]
        if wrong:
            raise ValueError(f"task {task.name!r}: labels are texts with texts, not {wrong[0]!r}")
        check_templates(task, self.templates)
        if self.candidates == "sampled" and self.num_candidates < 2:
            raise ValueError(f"task {task.name!r}: num_candidates must be at least 2, not {self.num_candidates}")


def check_templates(task: "Task", templates: tuple[str, ...]) -> None:
    """Check that templates are texts with a place for the label.

    Raises:
        ValueError: they are not; the message names the task.
    """
    if isinstance(templates, str) or any("{}" not in template for template in templates):
        raise ValueError(
            f"task {task.name!r}: templates are a list of texts with {{}} where the label goes, such as "
            f"'a photo of a {{}}.'; got {templates!r}"
        )


@dataclass(frozen=True)
class Generate(Kind):
    """The model writes its answer; `settings` are transformers' generation options (default: greedy)."""

    settings: dict[str, Any] = field(default_factory=lambda: {"max_new_tokens": 24})


@dataclass(frozen=True)
class Match(Kind):
    """The right answer is compared with itself: with the item's own media, and with one taken from another item.

    Attributes:
        replaced: the modality that is taken from another item; the others stay.
        num_mismatches: other items compared with, by seed; an item's value is the share of wins (a tie is half).
    """

    replaced: str
    num_mismatches: int = 5

    def check(self, task: "Task") -> None:
        """Check that the task shows the modality that is replaced."""
        if self.replaced not in task.modalities:
            raise ValueError(f"task {task.name!r} replaces {self.replaced!r}, which is not among {task.modalities}")
        if self.num_mismatches < 1:
            raise ValueError(f"task {task.name!r}: num_mismatches must be at least 1, not {self.num_mismatches}")


@dataclass(frozen=True)
class Probe:
    """A linear classifier on frozen, mean-pooled encoder features, which shows what the encoder knows without any LLM.

    Attributes:
        data: the training split; its targets are the labels.
        limit: the most training items; a seeded sample if there are more.
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
        modalities: the modalities whose media are shown, in the item's own order. All must be in the model.
        prompt: the user's text after the media; None = the item's own text, with its media where they stand in it. In
            either case the turns before the last question stay, the system's too.
        shots: solved examples of `shots_from` that stand before each question, never from the item's own cluster.
        shots_from: their source, such as the training split.
        shots_by: how they are chosen: `random` by seed and item, or the `nearest` ones first: those whose frozen
            features, averaged over each medium, have the largest cosine with the item's (RICES, Yang et al. 2022,
            arXiv:2109.05014); the nearest stands last.
        post_prompt: text behind the question, such as "\nAnswer the question using a single word or phrase.".
        kind: `Choose`, `Generate`, `Match`, or a kind of your own (`eval.run.kinds.Procedure`).
        scorer: the name of a shipped scorer (`eval.scorers.SCORERS`), or the class path of one of your own
            (`my_scorers.py:MyScorer`, `package.module.MyScorer`).
        target: where the right answer is: `answer` = the last text of the assistant, `meta:KEY` = that key of the row,
            a text or, for `Generate`, also a list of texts that are all right.
        clusters: what makes items dependent: the same `media`, the same `answer` text (of the assistant).
        only: extra conditions in which only these modalities are shown, such as `(("image",), ("sound",))`.
        num_shuffles: derangements that the shuffled control averages over.
        limit: the most items, a seeded sample if there are more; None = all. The command line's `--limit` can only
            lower it.
        reference: where reference media come from, never the test data: the mean likelihood of a candidate over them is
            what its pointwise mutual information is measured against; None = its likelihood without media.
        num_references: the number of these media, a seeded sample.
        probe: the linear probe; None with `no_probe` as the reason.
        no_probe: why there is no linear probe.
    """

    name: str
    version: int
    description: str
    data: str
    modalities: tuple[str, ...]
    prompt: str | None
    kind: Kind
    scorer: str
    target: str = "answer"
    post_prompt: str = ""
    shots: int = 0
    shots_from: str | None = None
    shots_by: ShotsBy = "random"
    clusters: tuple[Cluster, ...] = ("media", "answer")
    only: tuple[tuple[str, ...], ...] = ()
    num_shuffles: int = 1
    limit: int | None = None
    reference: str | None = None
    num_references: int = 8
    probe: Probe | None = None
    no_probe: str = "captions are open-ended, there are no classes to probe for"

    def __post_init__(self) -> None:
        _check_lists(self)
        if not self.modalities:
            raise ValueError(f"task {self.name!r} shows no modality; name at least one, such as ('image',)")
        _check_numbers(self)
        _check_shots(self)
        if not (self.target == "answer" or self.target.startswith("meta:")):
            raise ValueError(f"task {self.name!r}: target {self.target!r} is neither 'answer' nor 'meta:KEY'")
        self.kind.check(self)

    def changed(self, **values: Any) -> "Task":
        """Return a copy with other values, of which `None` changes nothing. Other data do away with `reference`."""
        values = {name: value for name, value in values.items() if value is not None}
        if "data" in values:
            values = {"reference": None} | values
        return replace(self, **values)


def _check_lists(task: Task) -> None:
    for name, found in (("modalities", task.modalities), ("clusters", task.clusters), ("only", task.only)):
        if isinstance(found, str) or any(name == "only" and isinstance(one, str) for one in found):
            raise ValueError(f"task {task.name!r}: {name} is a list, not the text {found!r}")
    unknown = [one for one in task.clusters if one not in get_args(Cluster)]
    if unknown:
        allowed = " and ".join(map(repr, get_args(Cluster)))
        raise ValueError(f"task {task.name!r}: clusters are made by {allowed}, not by {unknown[0]!r}")
    hidden = [modality for shown in task.only for modality in shown if modality not in task.modalities]
    if hidden:
        raise ValueError(f"task {task.name!r}: only shows {hidden[0]!r}, which is not among {task.modalities}")


def _check_shots(task: Task) -> None:
    if task.shots_by not in get_args(ShotsBy):
        allowed = " and ".join(map(repr, get_args(ShotsBy)))
        raise ValueError(f"task {task.name!r}: shots are chosen by {allowed}, not by {task.shots_by!r}")
    if bool(task.shots) != (task.shots_from is not None):
        raise ValueError(
            f"task {task.name!r}: shots={task.shots} and shots_from={task.shots_from!r} belong together: a number of "
            "examples, and the data that they come from"
        )


def _check_numbers(task: Task) -> None:
    for name, number, least in (
        ("num_shuffles", task.num_shuffles, 0),
        ("num_references", task.num_references, 1),
        ("shots", task.shots, 0),
        ("limit", task.limit, 1),
    ):
        if number is not None and number < least:
            raise ValueError(f"task {task.name!r}: {name} must be at least {least}, not {number}")
