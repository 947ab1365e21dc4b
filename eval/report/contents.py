"""What a report of one run consists of, in order."""

from eval.report.findings import legend, summary_heading
from eval.report.hero import hero_of
from eval.report.sections import LegendSection, Section, SummarySection, TaskSection
from eval.report.words import speed
from eval.run.results import RunResult


def sections_of(run: RunResult) -> list[Section]:
    """Return the sections of one run: an item that is right, all tasks at a glance, each task, and the small print.

    A run of one task that could be computed has no glance at all of them; a task that could not be computed stands
    there alone.
    """
    hero = hero_of(run)
    computed = [task for task in run.tasks if task.status == "computed"]
    sections: list[Section] = [] if hero is None else [hero]
    if len(run.tasks) != 1 or not computed:
        sections.append(SummarySection(summary_heading(run.tasks), run.tasks))
    sections += [TaskSection(task) for task in computed]
    terms = legend(run.tasks)
    if computed:
        terms = [("Brackets and whiskers", "95 % intervals."), *terms]
    if text := speed(run.settings):
        terms.append(("Speed", text))
    return [*sections, LegendSection(terms)] if terms else sections
