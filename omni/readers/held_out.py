"""Rows that a recipe keeps out of training (`data.held_out_share`): some of the rows, or all rows of some answers."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from omni.readers.sources import Source, answer_of
from omni.recipe.schema import HeldOutBy
from omni.samples.messages import Sample, SampleError

_SHOWN_ANSWERS = 8


@dataclass(frozen=True)
class Split:
    """Data sets in two parts: those that are trained on, and those that are held out.

    Attributes:
        by: what was shared out.
        kept_answers, held_out_answers: how many rows each answer has on either side, as people read it.
    """

    train: list[Source]
    held_out: list[Source]
    by: HeldOutBy = "rows"
    kept_answers: Mapping[str, int] = field(default_factory=dict)
    held_out_answers: Mapping[str, int] = field(default_factory=dict)

    def describe(self) -> str:
        """Say how many rows are held out, and which answers remain in training."""
        kept, held_out = self.kept_answers, self.held_out_answers
        num_kept, num_held_out = sum(kept.values()), sum(held_out.values())
        gone = [answer for answer in held_out if answer not in kept]
        share = num_held_out / max(1, num_kept + num_held_out)
        rows = f"by {self.by}, {num_held_out:,} of {num_kept + num_held_out:,} rows ({share:.1%}) are held out"
        remaining = f"{len(kept):,} different answers remain in training: {_some(kept)}"
        if not gone:
            return f"{rows}; all {remaining}"
        return f"{rows}; {remaining}\n{len(gone):,} answers are in none of its rows any more: {_some(gone)}"


class _Place(NamedTuple):
    source: int
    row: int


def hold_out(sources: Sequence[Source], share: float, by: HeldOutBy = "rows") -> Split:
    """Split data sets in two; rows that are errors are on the side of training, where they are counted.

    By rows, `share` of the rows are held out, drawn evenly from each answer; where most rows have an answer that
    others have too (classes), every answer keeps a row in training. By answers, `share` of the answers are held out
    with all their rows, by the hash of their text: an answer is on one side only, the same one in any data.

    Raises:
        ValueError: nothing is left on one side, or a data set is read in order.
    """
    if share == 0:
        return Split([*sources], [])
    for source in sources:
        if source.dataset.stream is not None:
            raise ValueError(
                f"data.held_out_share cannot be taken from {source.name}, whose rows are read in order; set it to 0 "
                "and give shards of their own as data.evaluation"
            )
    answers: dict[_Place, str] = {}
    ids: dict[_Place, str] = {}
    for number, source in enumerate(sources):
        for row in source.rows:
            sample = source.dataset[row]
            answer = answer_of(sample)
            if answer is not None:
                answers[_Place(number, row)] = answer
                ids[_Place(number, row)] = _id_of(sample)
    chosen = _by_answers(answers, share) if by == "answers" else _by_rows(answers, ids, share)
    if not chosen or len(chosen) == len(answers):
        side = "training" if chosen else "evaluation"
        few = "different answers" if by == "answers" else "rows"
        raise ValueError(
            f"data.held_out_share {share} by {by} leaves nothing for {side}: there are too few {few} "
            f"({len(answers):,} rows, {len({_plain(answer) for answer in answers.values()}):,} answers)"
        )
    return Split(
        _part(sources, lambda place: place not in chosen),
        [replace(one, train_on_questions=False) for one in _part(sources, lambda place: place in chosen)],
        by,
        _counts(answers[place] for place in answers if place not in chosen),
        _counts(answers[place] for place in answers if place in chosen),
    )


def _by_answers(answers: Mapping[_Place, str], share: float) -> set[_Place]:
    return {place for place, answer in answers.items() if _number(f"held out: {_plain(answer)}") < share}


def _by_rows(answers: Mapping[_Place, str], ids: Mapping[_Place, str], share: float) -> set[_Place]:
    groups: defaultdict[str, list[_Place]] = defaultdict(list)
    for place, answer in answers.items():
        groups[_plain(answer)].append(place)
    are_classes = 2 * sum(len(group) for group in groups.values() if len(group) > 1) > len(answers)
    positions: dict[_Place, float] = {}  # in [0, 1), spread evenly over the rows of each answer
    for answer, group in groups.items():
        numbers = {place: _number(f"held out row: {answer}\n{ids[place]}") for place in group}
        in_order = sorted(group, key=lambda place: (numbers[place], place))
        # the last row of an answer stays in training
        may_go = in_order[:-1] if len(group) > 1 or are_classes else in_order
        # numbers of their own within each step: the first rows of an answer have the lowest of theirs
        within = {place: _number(f"held out place: {answer}\n{ids[place]}") for place in may_go}
        positions |= {place: (rank + within[place]) / len(group) for rank, place in enumerate(may_go)}
    wanted = round(share * len(answers))
    return set(sorted(positions, key=lambda place: (positions[place], place))[:wanted])


def _part(sources: Sequence[Source], is_in: Callable[[_Place], bool]) -> list[Source]:
    found = []
    for number, source in enumerate(sources):
        rows = [row for row in source.rows if is_in(_Place(number, row))]
        if rows:
            found.append(replace(source, rows=rows))
    return found


def _counts(answers: Iterable[str]) -> dict[str, int]:
    """Return how often each answer occurs; as it was first written, since case and outer spaces do not count."""
    written: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for answer in answers:
        counts[written.setdefault(_plain(answer), answer)] += 1
    return dict(counts)


def _some(answers: Mapping[str, int] | Sequence[str]) -> str:
    names = [repr(answer if len(answer) <= 40 else f"{answer[:37]}...") for answer in [*answers][:_SHOWN_ANSWERS]]
    return ", ".join(names) + (f" and {len(answers) - len(names):,} more" if len(answers) > len(names) else "")


def _plain(answer: str) -> str:
    return answer.strip().lower()


def _id_of(sample: Sample | SampleError) -> str:
    return sample.sample_id if isinstance(sample, SampleError) else sample.id


def _number(text: str) -> float:
    """Return a number in [0, 1) that depends on the text alone.

    The texts are salted, because starter manifests are themselves one side of a split by the hash of the caption.
    """
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
