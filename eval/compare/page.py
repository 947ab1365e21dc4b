"""The page of a comparison: differences as tables, and a gallery of the items on which models disagree."""

from collections.abc import Sequence

from eval.compare.differences import TaskComparison
from eval.compare.words import HOLM, remarks, table_rows
from eval.report.sections import Contrast, ContrastSection, Section, TableSection
from eval.run.results import ItemAnswer


def comparison_sections(comparisons: Sequence[TaskComparison]) -> list[Section]:
    """Return a section for each task that is compared, and one that says why the others are not."""
    sections: list[Section] = [_section(one) for one in comparisons if one.paired is not None]
    refused = [[one.task, one.reason] for one in comparisons if one.paired is None]
    if refused:
        sections.append(TableSection("Not compared", ["task", "reason"], refused))
    return sections


def _section(compared: TaskComparison) -> ContrastSection:
    assert compared.paired is not None
    contrasts = [_contrast(compared, answers) for answers in compared.paired.items if _disagree(answers)]
    result = compared.results[0]
    return ContrastSection(
        compared.task,
        ["model", f"{result.metric.replace('_', ' ')} (95 %)", f"difference from {compared.names[0]}", "p"],
        table_rows(compared),
        contrasts,
        len(contrasts),
        note=f"{result.description} {len(compared.paired.items)} items; {HOLM}.",
        remarks=remarks(compared),
    )


def _disagree(answers: Sequence[ItemAnswer]) -> bool:
    return len({_is_right(answer) for answer in answers}) > 1


def _is_right(answer: ItemAnswer) -> bool:
    return answer.right > 0.5


def _contrast(compared: TaskComparison, answers: Sequence[ItemAnswer]) -> Contrast:
    first = answers[0]
    given = [(name, one.answer, _is_right(one)) for name, one in zip(compared.names, answers, strict=True)]
    return Contrast(first.media, first.question, first.target, given)
