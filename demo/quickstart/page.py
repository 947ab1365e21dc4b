"""The page that the quickstart writes: a right item, answers in the model's words, the figures, what was trained."""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from demo.quickstart.plan import Plan, describe_media
from eval.report import (
    CurveSection,
    FreeAnswer,
    FreeAnswersSection,
    LegendSection,
    Section,
    TableSection,
    sections_of,
    write_report,
)
from eval.report.words import length
from eval.run.results import RunResult
from omni.encoders.base import Encoder
from omni.model.folder import ModelFolder


def write_page(
    page: Path,
    plan: Plan,
    folders: dict[str, Path],
    result: RunResult,
    answers: Sequence[str],
    *,
    evaluation_seconds: float,
    encoders: Mapping[str, Encoder] | None = None,
) -> None:
    """Write the report of a quickstart; `answers` are those to the questions of the plan."""
    curves = _curves(folders)
    found = sections_of(result)
    ends = [section for section in found if isinstance(section, LegendSection)]
    sections: list[Section] = [
        *(section for section in found if section not in ends),
        *_free_answers(plan, answers),
        *([CurveSection(_curve_title(curves), curves, "Nats per answer token, stage two.")] if curves else []),
        _training_table(folders, evaluation_seconds),
        *ends,
    ]
    write_report(
        page, sections, title="What the quickstart's model can do", intro_html=intro(folders), encoders=encoders
    )


def intro(folders: Mapping[str, Path]) -> str:
    """Return what was done, for one modality or for several, as HTML."""
    names = " and ".join(f"<b>{html.escape(name)}</b>" for name in folders)
    if len(folders) == 1:
        done = f"A small adapter for {names} was trained in front of a frozen language model."
    else:
        done = (
            f"Small adapters for {names} were trained apart from each other, in front of one frozen language model, "
            "and then put together without more training; no training row had two modalities."
        )
    return f"<p>{done} Everything below is on media and captions that training never saw.</p>"


def _free_answers(plan: Plan, answers: Sequence[str]) -> list[Section]:
    given = [
        FreeAnswer(describe_media(asked.media), asked.question, answer, asked.caption)
        for asked, answer in zip(plan.questions, answers, strict=True)
    ]
    note = "Nothing to choose from: it writes what it likes, and the caption stands below. Not picked, right or wrong."
    return [FreeAnswersSection("It describes media in its own words.", given, note)] if given else []


def _curve_title(curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    ends = [f"from {points[0][1]:.2f} to {points[-1][1]:.2f} ({name})" for name, points in curves.items()]
    return f"The training loss went {' and '.join(ends)}."


def _curves(folders: dict[str, Path]) -> dict[str, Sequence[tuple[float, float]]]:
    curves: dict[str, Sequence[tuple[float, float]]] = {}
    for name, folder in folders.items():
        rows = [json.loads(line) for line in (folder.parent / "metrics.jsonl").read_text().splitlines()]
        points = [(float(row["step"]), float(row["loss"])) for row in rows if "loss" in row]
        if points:
            curves[name] = points
    return curves


def _training_table(folders: dict[str, Path], evaluation_seconds: float) -> TableSection:
    rows = []
    for name, folder in folders.items():
        described = ModelFolder.read(folder)
        modality = described.config.modalities[name]
        time_taken = next((_time_taken(file.read_text()) for file in folder.parent.glob("done-*")), "")
        rows.append(
            [
                name,
                modality.encoder.class_path.rpartition(".")[2],
                modality.adapter.class_path.rpartition(".")[2],
                ", ".join(f"{entry.name} ({entry.num_samples})" for entry in described.card.data),
                time_taken,
            ]
        )
    header = ["modality", "encoder (frozen)", "adapter (trained)", "training data (samples)", "training took"]
    title = "One adapter was trained." if len(rows) == 1 else "The adapters were trained one by one."
    note = f"Evaluating, or reading answers given before, took {length(evaluation_seconds)}."
    return TableSection(title, header, rows, note)


def _time_taken(text: str) -> str:
    """Return the time of a training, which its file holds as `75 seconds`."""
    number = text.partition(" ")[0]
    return length(float(number)) if number.isdigit() else text.strip()
