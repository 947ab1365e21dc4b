"""Make the questions that tell two data sets apart, pair by pair, into a file that can go on."""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from omni.config import LLMConfig
from omni.llm.loading import load_llm
from omni.model import OmniModel
from omni.readers import open_dataset
from omni.readers.manifest import sample_to_row
from omni.samples.messages import Sample, SampleError
from omni.samples.pairs import caption_of, draw_partners, paired_sample, pairs_by_key
from omni.starter import resolve
from train.make_data.discriminate import KEPT, discriminating_questions
from train.make_data.questions import QuestionSettings, ask_model
from train.make_data.resumable import ResumableOutput, delete_output


def discriminate(options: argparse.Namespace) -> str:
    """Make the questions that are not there yet; return the statistics of all.

    Raises:
        FileNotFoundError, ValueError, SaveError: data sets, model or output that cannot be used.
    """
    path = Path(options.output)
    if options.restart:
        delete_output(path)
    sources = (options.first, options.second)
    rows = [list(open_dataset(resolve(source))) for source in sources]
    unusable = Counter[str]()
    first, second = (_usable(of_one, unusable) for of_one in rows)
    if not first or not second:
        raise ValueError(f"{sources[0] if not first else sources[1]} has no row with media and a caption")
    identity = {"first": options.first, "second": options.second, "rows": [len(first), len(second)]}
    if options.llm is None:
        made = pairs_by_key(first, second, options.key, options.seed, options.question)[: options.limit]
        settings = {**identity, "key": options.key, "question": options.question, "seed": options.seed}
        with ResumableOutput(path, settings) as output:
            for sample in made[output.num_done :]:
                output.add([_row(sample)], {"id": sample.id, "outcome": KEPT})
            return statistics(output.reports, unusable, path)
    settings = {**identity, "llm": options.llm, "seed": options.seed, "batch": options.batch_size}
    with ResumableOutput(path, settings) as output:
        _ask_for_all(first, second, options, output)
        return statistics(output.reports, unusable, path)


def _usable(rows: Sequence[Sample | SampleError], unusable: Counter[str]) -> list[Sample]:
    found = []
    for row in rows:
        if isinstance(row, SampleError):
            unusable[f"unusable row: {row.reason}"] += 1
        elif caption_of(row) is None:
            unusable["unusable row: no media or no caption"] += 1
        else:
            found.append(row)
    return found


def _ask_for_all(
    first: Sequence[Sample], second: Sequence[Sample], options: argparse.Namespace, output: ResumableOutput
) -> None:
    """Ask for a question for each of `first` and its partner; in every second one the order is exchanged."""
    captions = [[caption_of(one) or "" for one in rows] for rows in (first, second)]
    partners = draw_partners(captions[0], captions[1], options.seed)
    pairs = [(one, second[partner]) for one, partner in zip(first, partners, strict=True) if partner is not None]
    shown = [(one, other) if number % 2 == 0 else (other, one) for number, (one, other) in enumerate(pairs)]
    right = [number // 2 % 2 for number in range(len(shown))]
    count = len(shown) if options.limit is None else min(len(shown), options.limit)
    if output.num_done >= count:
        return
    model = OmniModel(load_llm(LLMConfig(options.llm, dtype=options.dtype), options.device), {})
    with tqdm(total=count, initial=output.num_done, unit="pair") as bar:
        for start in range(output.num_done - output.num_done % options.batch_size, count, options.batch_size):
            block = range(start, min(start + options.batch_size, len(shown)))  # a whole block, whatever the limit
            ask = ask_model(model, QuestionSettings(seed=options.seed), block=start // options.batch_size)
            texts = [(caption_of(shown[i][0]) or "", caption_of(shown[i][1]) or "") for i in block]
            made = discriminating_questions(ask, texts, [right[i] for i in block])
            for index, one in zip(block, made, strict=True):
                if output.num_done <= index < count:
                    name = f"{shown[index][0].id}+{shown[index][1].id}"
                    meta = {"made_by": options.llm}
                    kept = one.outcome == KEPT
                    sample = paired_sample(*shown[index], one.question, right[index], name, meta)
                    output.add([_row(sample)] if kept else [], {"id": name, "outcome": one.outcome})
                    bar.update()


def _row(sample: Sample) -> dict[str, Any]:
    return sample_to_row(sample)


def statistics(reports: Sequence[dict[str, Any]], unusable: Counter[str], path: Path) -> str:
    """Return in words how many questions were made and kept, and why the others were not."""
    outcomes = Counter(report["outcome"] for report in reports)
    kept = outcomes.pop(KEPT, 0)
    lines = [f"{path}: {kept} questions of {len(reports)} pairs were kept"]
    return "\n".join(lines + [f"  {number:6}  {why}" for why, number in (outcomes + unusable).most_common()])
