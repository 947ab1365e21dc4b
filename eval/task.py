"""Declarations of tasks: data, prompt, kind, scorer and controls.

A task is data, not code: the runner reads it. A task of your own is a `Task` in a Python file, run as
`python -m eval my_tasks.py:TASK --model DIR`. How each kind asks and answers is in `eval.run.kinds`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol, get_args

OFFICIAL = "official:"  # the beginning of `Task.data` that names a split of a benchmark, as `official:NAME/SPLIT`

Candidates = Literal["labels", "answers", "sampled", "grouped"]
RightBy = Literal["text", "index", "letter"]
ShotsBy = Literal["random", "nearest"]
Fill = Literal["none", "predict"]
Style = Literal["chat", "plain"]
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

    def why_no_probe(self) -> str:
        """Return why a task of this kind has no linear probe, where it names none and gives no reason itself."""
        return "answers are open-ended, there are no classes to probe for"


@dataclass(frozen=True)
class Choose(Kind):
    """The model chooses among candidates by their log-likelihood.

    Attributes:
        candidates: `labels` = the same closed set for every item; `answers` = the distinct right answers of all items;
            `sampled` = the right answer and distractors drawn from the other items' answers, by seed and item id;
            `grouped` = the answers of a group that the right one is dealt into by seed, the same for all its items
            (`eval.items.grouped_options`), with media exchanged within the group by the shuffled control: chance and
            expected score are those of `sampled`, with half as many answers to ask for or fewer;
            `meta:KEY` = the item's own, the list of texts under that key of its row (a list written as JSON or as a
            Python literal will do, as in MMMU).
        right_by: for `meta:KEY`, what the target names the right candidate by: its `text`, its `index` from 0 on, or
            its `letter` from A on, with or without brackets and full stop.
        num_candidates: for `sampled` and `grouped`, the number of candidates with the right one; fewer where the data
            has fewer answers.
        labels: for `labels`, label -> candidate text; labels with the same text are one class. Empty = the distinct
            targets of the data are both.
        several: several candidates can be right for an item, as in AudioSet: the target is a list of labels or, for
            `meta:KEY`, of right candidates. The scorer must take such answers, such as `multi-label-v1`.
        templates: for a joint space, texts with `{}` where an option goes, such as "a photo of a {}."; an option is the
            mean of their embeddings (Radford et al. 2021, section 3.1.4). A language model is shown the options alone.
    """

    candidates: Candidates | str
    num_candidates: int = 10
    labels: dict[str, str] = field(default_factory=dict)
    right_by: RightBy = "text"
    several: bool = False
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
        if self.several and self.candidates != "labels" and not self.own_key:
            raise ValueError(
                f"task {task.name!r}: several=True belongs to Choose('labels') or Choose('meta:KEY'), not to "
                f"Choose({self.candidates!r})"
            )
        check_templates(task, self.templates)
        if self.candidates in ("sampled", "grouped") and self.num_candidates < 2:
            raise ValueError(f"task {task.name!r}: num_candidates must be at least 2, not {self.num_candidates}")

    def why_no_probe(self) -> str:
        """See `Kind`."""
        if self.several:
            return "an item can have several labels, and the probe tells one"
        if self.candidates == "sampled" or self.own_key:
            return "each item has candidates of its own, there are no classes to probe for"
        return "the task names no data to train it on; Task(probe=Probe(TRAINING_DATA)) does"


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
    """The model writes its answer.

    Attributes:
        settings: transformers' generation options (default: greedy).
        candidates: for multiple choice, where the options are that the answer names: `meta:KEY` as in `Choose`; None =
            a scorer that needs them reads them from the question.
        right_by: for `candidates`, what the target names the right one by; see `Choose`.
    """

    settings: dict[str, Any] = field(default_factory=lambda: {"max_new_tokens": 24})
    candidates: str | None = None
    right_by: RightBy = "text"

    @property
    def own_key(self) -> str | None:
        """The key of a row under which an item's options are; None = there are none."""
        return None if self.candidates is None else self.candidates.removeprefix("meta:")

    def check(self, task: "Task") -> None:
        """Check that the candidates can be found."""
        if self.candidates is not None and not (self.candidates.startswith("meta:") and self.own_key):
            raise ValueError(f"task {task.name!r}: candidates of Generate must be 'meta:KEY', not {self.candidates!r}")
        if self.right_by not in get_args(RightBy):
            allowed = ", ".join(map(repr, get_args(RightBy)))
            raise ValueError(f"task {task.name!r}: right_by must be one of {allowed}, not {self.right_by!r}")


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
class Conflict(Kind):
    """The media of two modalities disagree: which one does the model follow?

    Each item is shown its own media of `first`, and those of `second` of an item with another answer. It chooses among
    both answers and distractors, by how much likelier the media make each one (pointwise mutual information).

    Attributes:
        first: the modality that stays.
        second: the modality that is taken from another item.
        num_candidates: both answers, and distractors drawn from the other items' answers by seed and item.
    """

    first: str
    second: str
    num_candidates: int = 10

    def check(self, task: "Task") -> None:
        """Check that the task shows both modalities."""
        for modality in (self.first, self.second):
            if modality not in task.modalities:
                raise ValueError(
                    f"task {task.name!r}: Conflict names {modality!r}, which is not among {task.modalities}"
                )
        if self.first == self.second:
            raise ValueError(f"task {task.name!r}: Conflict needs two modalities, not {self.first!r} twice")
        if self.num_candidates < 2:
            raise ValueError(f"task {task.name!r}: num_candidates must be at least 2, not {self.num_candidates}")


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
        data: where the items come from, anything that `omni.readers.open_dataset` opens; `starter:` names are resolved,
            and `official:NAME/SPLIT` is a split of a benchmark's official files (`eval.data`).
        folder: where official files lie; the command line's `--data`.
        modalities: the modalities whose media are shown, in the item's own order. All must be in the model.
        optional: those of `modalities` that an item may lack, as some questions of ScienceQA have no picture.
        media_options: modality -> loader options of all its media, such as `{"video": {"num_frames": 5}}`; what an item
            itself says (`options` of its part) goes first.
        prompt: the user's text after the media; None = the item's own text, with its media where they stand in it. In
            either case the turns before the last question stay, the system's too. `{question}` in it is the item's
            own text, `{options}` the candidates under `options` of its row, each on a line with its letter, and any
            other name in braces the text under that key of the row.
        plain_prompt: what stands in place of `prompt` and `post_prompt` for an LLM without a chat template, which goes
            on with a text rather than follows an instruction (`--style`); None = the same for both.
        shots: solved examples of `shots_from` that stand before each question, never from the item's own cluster.
        shots_from: their source, such as the training split.
        shots_by: how they are chosen: `random` by seed and item, or the `nearest` ones first: those whose frozen
            features, averaged over each medium, have the largest cosine with the item's (RICES, Yang et al. 2022,
            arXiv:2109.05014); the nearest stands last.
        answer_form: what the model is to say for a candidate of `Choose`: `{answer}` is the candidate's text and
            `{letter}` its letter from A on, such as `an audio of {answer}`.
        post_prompt: text behind the question, such as "\nAnswer the question using a single word or phrase.".
        kind: `Choose`, `Generate`, `Match`, or a kind of your own (`eval.run.kinds.Procedure`).
        scorer: the name of a shipped scorer (`eval.scorers.SCORERS`), or the class path of one of your own
            (`my_scorers.py:MyScorer`, `package.module.MyScorer`).
        target: where the right answer is: `answer` = the last text of the assistant, `meta:KEY` = that key of the row,
            a text or, for `Generate`, also a list of texts that are all right.
        clusters: what makes items dependent: the same `media`, the same `answer` text (of the assistant).
        only: extra conditions in which only these modalities are shown, such as `(("image",), ("sound",))`.
        missing: modalities that are also evaluated as missing, each by itself, such as `("sound",)`.
        fill: what stands in for a missing one: `none` = nothing, `predict` = the training medium (of `reference`) whose
            features are nearest to those that a ridge regression predicts from the item's other modalities.
        corruptions: kinds of corruption, as `MODALITY:KIND` (`eval.items.corruptions`), each in five strengths.
        insertions: whether the question is also put with true attributes of the things in it, from the `attributes` of
            the row: thing -> list of attributes.
        num_shuffles: derangements that the shuffled control averages over.
        limit: the most items, a seeded sample if there are more; None = all. The command line's `--limit` can only
            lower it.
        reference: where reference media come from, never the test data: the mean likelihood of a candidate over them is
            what its pointwise mutual information is measured against; None = its likelihood without media.
        num_references: the number of these media, a seeded sample.
        probe: the linear probe; None with `no_probe` as the reason.
        no_probe: why there is no linear probe; "" = what the kind says (`Kind.why_no_probe`).
        train: the training split that the linear map is fitted on (`eval.run.baselines.linear_map`); None = that of the
            probe, else the source of the reference media.
        train_target: which texts of the training split it learns, as in `target`; None = the task's right answers.
            `answer` is what an adapter learns where the task asks for labels that training does not name.
        train_limit: the most items it is fitted on, a seeded sample.
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
    folder: str | None = None
    optional: tuple[str, ...] = ()
    media_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    plain_prompt: str | None = None
    post_prompt: str = ""
    answer_form: str = "{answer}"
    shots: int = 0
    shots_from: str | None = None
    shots_by: ShotsBy = "random"
    clusters: tuple[Cluster, ...] = ("media", "answer")
    only: tuple[tuple[str, ...], ...] = ()
    missing: tuple[str, ...] = ()
    fill: Fill = "none"
    corruptions: tuple[str, ...] = ()
    insertions: bool = False
    num_shuffles: int = 1
    limit: int | None = None
    reference: str | None = None
    num_references: int = 8
    probe: Probe | None = None
    no_probe: str = ""
    train: str | None = None
    train_target: str | None = None
    train_limit: int = 1000

    def __post_init__(self) -> None:
        _check_lists(self)
        if not self.modalities:
            raise ValueError(f"task {self.name!r} shows no modality; name at least one, such as ('image',)")
        _check_numbers(self)
        _check_shots(self)
        for name, target in (("target", self.target), ("train_target", self.train_target or "answer")):
            if not (target == "answer" or target.startswith("meta:")):
                raise ValueError(f"task {self.name!r}: {name} {target!r} is neither 'answer' nor 'meta:KEY'")
        if not any(field in self.answer_form for field in ("{answer}", "{letter}")):
            raise ValueError(
                f"task {self.name!r}: answer_form {self.answer_form!r} has neither {{answer}} nor {{letter}} in it, so "
                "that all candidates would be the same"
            )
        self.kind.check(self)

    @property
    def training_split(self) -> str | None:
        """The data that the linear map is fitted on; None = there are none."""
        return self.train or (self.probe.data if self.probe else None) or self.reference

    def changed(self, **values: Any) -> "Task":
        """Return a copy with other values, of which `None` changes nothing.

        Other data do away with `reference` and `train`.
        """
        values = {name: value for name, value in values.items() if value is not None}
        if "prompt" in values:
            values = {"plain_prompt": None} | values
        if "data" in values:
            values = {"reference": None, "train": None} | values
        return replace(self, **values)

    def styled(self, style: Style) -> "Task":
        """Return the task in the words of a style: `plain` takes its `plain_prompt` if it has one."""
        if style == "chat" or self.plain_prompt is None:
            return self
        return replace(self, prompt=self.plain_prompt, post_prompt="", plain_prompt=None)


def _check_lists(task: Task) -> None:
    lists = ("modalities", "optional", "clusters", "only", "missing", "corruptions")
    for name, found in ((name, getattr(task, name)) for name in lists):
        if isinstance(found, str) or any(name == "only" and isinstance(one, str) for one in found):
            raise ValueError(f"task {task.name!r}: {name} is a list, not the text {found!r}")
    unknown = [one for one in task.clusters if one not in get_args(Cluster)]
    if unknown:
        allowed = " and ".join(map(repr, get_args(Cluster)))
        raise ValueError(f"task {task.name!r}: clusters are made by {allowed}, not by {unknown[0]!r}")
    for name, named in (("optional", task.optional), ("missing", task.missing), ("media_options", task.media_options)):
        other = [modality for modality in named if modality not in task.modalities]
        if other:
            raise ValueError(f"task {task.name!r}: {name} names {other[0]!r}, which is not among {task.modalities}")
    if task.fill not in get_args(Fill):
        allowed = " or ".join(map(repr, get_args(Fill)))
        raise ValueError(f"task {task.name!r}: fill must be {allowed}, not {task.fill!r}")
    if task.fill != "none" and not task.missing:
        raise ValueError(f"task {task.name!r}: fill={task.fill!r} says how to fill in what is missing; name that too")
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
        ("train_limit", task.train_limit, 2),
        ("limit", task.limit, 1),
    ):
        if number is not None and number < least:
            raise ValueError(f"task {task.name!r}: {name} must be at least {least}, not {number}")
