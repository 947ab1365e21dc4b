"""Make the questions of a data set, row by row, into a file that can go on."""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from omni.config import LLMConfig
from omni.llm.loading import load_llm
from omni.model import OmniModel
from omni.readers import SampleDataset, open_dataset
from omni.readers.manifest import sample_to_row
from omni.samples.messages import Message, Sample, SampleError, Text
from omni.samples.pairs import caption_of
from train.make_data.questions import KEPT, MadeQuestions, QuestionSettings, ask_model, make_questions
from train.make_data.resumable import ResumableOutput, delete_output


def questions(options: argparse.Namespace) -> str:
    """Make questions from all captions that have none yet; return the statistics of all.

    Raises:
        FileNotFoundError, ValueError, SaveError: data set, model or output that cannot be used.
    """
    settings = QuestionSettings(options.per_caption, options.min_match, options.temperature, options.seed)
    dataset = open_dataset(options.captions)
    count = len(dataset) if options.limit is None else min(len(dataset), options.limit)
    path = Path(options.output)
    if options.restart:
        delete_output(path)
    # The size of blocks matters too: padding, and so the last bit of a number, depends on it.
    identity = {"captions": options.captions, "rows": len(dataset), "llm": options.llm, "batch": options.batch_size}
    with ResumableOutput(path, identity | asdict(settings)) as output:
        if output.num_done < count:
            _make_rest(dataset, count, options, settings, output)
        return statistics(output.reports[:count], path)


def _make_rest(
    dataset: SampleDataset, count: int, options: argparse.Namespace, settings: QuestionSettings, output: ResumableOutput
) -> None:
    model = OmniModel(load_llm(LLMConfig(options.llm, dtype=options.dtype), options.device), {})
    first = output.num_done - output.num_done % options.batch_size
    with tqdm(total=count, initial=output.num_done, unit="caption") as bar:
        for start in range(first, count, options.batch_size):
            rows = range(start, min(start + options.batch_size, len(dataset)))  # a whole block, whatever the limit
            samples = [dataset[row] for row in rows]
            captions = {index: text for index, sample in enumerate(samples) if (text := _caption(sample)) is not None}
            ask = ask_model(model, settings, block=start // options.batch_size)
            made = make_questions(ask, [*captions.values()], settings)
            found = dict(zip(captions, made, strict=True))
            for index, sample in enumerate(samples):
                if output.num_done <= start + index < count:
                    rows_made, outcomes = _result(sample, found.get(index), options.llm)
                    output.add(rows_made, {"id": _id(sample), "outcomes": dict(outcomes)})
                    bar.update()
            kept = sum(report["outcomes"].get(KEPT, 0) for report in output.reports)
            bar.set_postfix_str(f"{kept} pairs kept")


def _caption(sample: Sample | SampleError) -> str | None:
    return None if isinstance(sample, SampleError) else caption_of(sample)


def _result(
    sample: Sample | SampleError, made: MadeQuestions | None, llm: str
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Return the rows to write for a sample, and what became of its pairs."""
    if isinstance(sample, SampleError):
        return [], Counter({f"unusable row: {sample.reason}": 1})
    if made is None:
        return [], Counter({"unusable row: no media or no caption": 1})
    try:
        return [_row(sample, number, *pair, llm) for number, pair in enumerate(made.pairs, start=1)], made.outcomes
    except ValueError:
        return [], Counter({"unusable row: its media are not files": 1})


def _row(sample: Sample, number: int, question: str, answer: str, llm: str) -> dict[str, Any]:
    messages = (Message("user", (*sample.media, Text(question))), Message("assistant", (Text(answer),)))
    meta = sample.meta | {"source": sample.id, "made_by": llm}
    return sample_to_row(Sample(f"{sample.id}-question-{number}", messages, meta))


def statistics(reports: Sequence[dict[str, Any]], path: Path) -> str:
    """Return in words how many pairs were made and kept, and why the others were not."""
    outcomes = Counter[str]()
    for report in reports:
        outcomes.update(report["outcomes"])
    kept, total = outcomes.pop(KEPT, 0), sum(outcomes.values())
    with_pairs = sum(report["outcomes"].get(KEPT, 0) > 0 for report in reports)
    share = kept / max(kept + total, 1)
    lines = [
        f"{path}: {kept} question-answer pairs of {with_pairs} out of {len(reports)} captions; {share:.0%} of what was "
        "proposed was kept"
    ]
    return "\n".join(lines + [f"  {number:6}  {reason}" for reason, number in outcomes.most_common()])


def _id(sample: Sample | SampleError) -> str:
    return sample.sample_id if isinstance(sample, SampleError) else sample.id
