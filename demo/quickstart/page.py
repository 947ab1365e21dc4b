"""The page that the quickstart writes: one answer, the figures, what was trained, and a gallery."""

import html
import json
from collections.abc import Sequence
from pathlib import Path

from demo.quickstart.plan import Plan, describe_media
from eval.report import AnswerSection, CurveSection, Section, TableSection, sections_of, write_report
from eval.run.results import RunResult
from omni.model.folder import ModelFolder


def write_page(
    page: Path, plan: Plan, folders: dict[str, Path], result: RunResult, answer: str, *, evaluation_seconds: float
) -> None:
    """Write the report of a quickstart."""
    names = " and ".join(folders)
    intro = (
        f"<p>Small adapters for <b>{html.escape(names)}</b> were trained apart from each other, in front of one frozen "
        "language model, and then put together without more training. Everything below is on media and captions that "
        "training never saw.</p>"
    )
    where = "The media are held out: neither adapter was trained on them, and no training row had two modalities."
    sections: list[Section] = [
        AnswerSection("One question about it all", describe_media(plan.joint), plan.question, answer, where),
        *sections_of(result, "How well it does, next to controls and chance"),
        CurveSection("Training loss", _curves(folders), "Nats per answer token, stage two; smoothed by logging."),
        _training_table(folders, evaluation_seconds),
    ]
    write_report(page, sections, title="omni quickstart", intro_html=intro)


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
        time_taken = next((file.read_text().strip() for file in folder.parent.glob("done-*")), "")
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
    note = f"Evaluating, or reading answers given before, took {evaluation_seconds:.0f} seconds."
    return TableSection("What was trained", header, rows, note)
