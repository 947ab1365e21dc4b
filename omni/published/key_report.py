"""An account of every tensor of published files: which fit a model and which do not, by file and component."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from omni.runtime.parameter_names import matches

# Buffers of frozen parts: LAVIS leaves frozen parameters out of its files, but not buffers.
_FROZEN_BUFFERS = re.compile(
    r"(?:\w+_encoder|llm_model|opt_model|t5_model)\..*(?:running_mean|running_var|num_batches_tracked|rotary_emb\.inv_freq)$"
)
_PROBLEMS = ("missing", "unexpected", "of another shape", "unused")


class KeysDoNotFitError(ValueError):
    """Tensors of published files have no place in the model, or the other way round; the message lists all."""


@dataclass
class FileReport:
    """The account of one file: what became of each of its tensors."""

    path: Path
    names: frozenset[str]
    used: set[str] = field(default_factory=set)
    # why it is not needed -> names
    left_out: dict[str, set[str]] = field(default_factory=dict)
    # (component, what is wrong) -> names
    problems: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def leave_out(self, why: str, names: Iterable[str]) -> None:
        """Note tensors that are not needed, with the known reason."""
        found = set(names) - self.used
        if found:
            self.left_out.setdefault(why, set()).update(found)

    def problem(self, component: str, what: str, names: Collection[str]) -> None:
        """Note tensors that do not fit; `what` is one of missing, unexpected, of another shape, unused."""
        assert what in _PROBLEMS, what
        if names:
            self.problems[component, what] = sorted(names)

    def finish(self, patterns: Collection[str]) -> None:
        """Note every remaining tensor as unused, unless it is known not to be needed or one of `patterns` says so."""
        for (component, what), names in list(self.problems.items()):
            if what == "unexpected":
                chosen = {name for name in names if any(matches(name, one) for one in patterns)}
                self.leave_out("set aside by --leave-out", chosen)
                self.problems[component, what] = [name for name in names if name not in chosen]
        rest = self.names - self.used - {name for names in self.left_out.values() for name in names}
        rest -= {name for names in self.problems.values() for name in names}
        self.leave_out("buffers of frozen parts", {name for name in rest if _FROZEN_BUFFERS.match(name)})
        self.leave_out("set aside by --leave-out", {n for n in rest if any(matches(n, one) for one in patterns)})
        rest -= {name for names in self.left_out.values() for name in names}
        for part in sorted({_part_of(name) for name in rest}):
            self.problem(part, "unused", [name for name in rest if _part_of(name) == part])

    def summary(self) -> list[str]:
        """Return lines that tell how many tensors were used and which were left out."""
        lines = [f"{self.path}: {len(self.used):,} of {len(self.names):,} tensors used"]
        return lines + [f"  left out: {len(names):,} {why}" for why, names in self.left_out.items()]


def check(reports: Collection[FileReport], patterns: Collection[str]) -> None:
    """Raise KeysDoNotFitError if anything does not fit, and ValueError for a pattern that matches no tensor."""
    names = {name for report in reports for name in report.names}
    for pattern in patterns:
        if not any(matches(name, pattern) for name in names):
            raise ValueError(f"--leave-out {pattern!r} matches no tensor of the files")
    for report in reports:
        report.finish(patterns)
    total = sum(len(found) for report in reports for found in report.problems.values())
    if not total:
        return
    lines = [f"{total:,} tensors do not fit:"]
    has_unused = False
    for report in reports:
        for (component, what), found in report.problems.items():
            if not found:
                continue
            lines += [f"{report.path}, {component}: {len(found):,} {what}", *(f"    {name}" for name in found)]
            has_unused |= what in ("unused", "unexpected")
    if has_unused:
        lines.append("What is known not to be needed can be set aside: --leave-out NAME, where * stands for anything")
    raise KeysDoNotFitError("\n".join(lines))


def shape_problems(given: Mapping[str, Iterable[int]], expected: Mapping[str, Iterable[int]]) -> list[str]:
    """Return `NAME is [2, 3] instead of [2, 4]` for each name whose shapes differ."""
    return [
        f"{name} is {[*given[name]]} instead of {[*expected[name]]}"
        for name in sorted(given.keys() & expected.keys())
        if [*given[name]] != [*expected[name]]
    ]


def _part_of(name: str) -> str:
    """Return the component of a tensor that nothing asked for, in words."""
    head = name.split(".")[0]
    modality = re.match(r"(image|video|audio|pc)_(?:Qformer|query_tokens|ln|llm_proj)$", head)
    return f"Q-Former of {modality[1]}, which is not imported" if modality else head
