"""`python -m train.make_data questions --captions MANIFEST --llm NAME --output FILE.jsonl`."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from omni.readers import SampleDataset, open_dataset
from omni.readers.manifest import sample_to_row
from omni.samples.messages import Message, Sample, SampleError, Text
from train.make_data.questions import KEPT, MadeQuestions, QuestionSettings, ask_model, make_questions
from train.make_data.resumable import ResumableOutput, delete_output
from train.runtime.save_errors import SaveError

DONE, FAILED, INTERRUPTED = 0, 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 0 done, 1 failed, 2 wrong usage, 130 interrupted (the same command goes on)."""
    parser = argparse.ArgumentParser(
        prog="python -m train.make_data",
        description="Make training data offline. Killed at any moment, the same command goes on where it was.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    summary = "question-answer pairs from captions, kept if the model finds its answer again"
    _add_arguments(commands.add_parser("questions", help=summary, description=summary))
    parsed = parser.parse_args(arguments)
    try:
        print(questions(parsed))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    except (SaveError, FileNotFoundError, ValueError) as error:
        print(f"make_data: {error}", file=sys.stderr)
        return FAILED
    return DONE


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
    # Imported late: torch and transformers take seconds, and mistakes in the arguments should show at once.
    from omni.config import LLMConfig
    from omni.llm.loading import load_llm
    from omni.model import OmniModel

    model = OmniModel(load_llm(LLMConfig(options.llm, dtype=options.dtype), options.device), {})
    first = output.num_done - output.num_done % options.batch_size
    with tqdm(total=count, initial=output.num_done, unit="caption") as bar:
        for start in range(first, count, options.batch_size):
            rows = range(start, min(start + options.batch_size, len(dataset)))  # a whole block, whatever the limit
            samples = [dataset[row] for row in rows]
            captions = {index: text for index, sample in enumerate(samples) if (text := caption_of(sample)) is not None}
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


def caption_of(sample: Sample | SampleError) -> str | None:
    """Return the caption of a sample with media: `meta.caption`, else its last answer; None if it has neither."""
    if isinstance(sample, SampleError) or not sample.media:
        return None
    caption = sample.meta.get("caption")
    if not isinstance(caption, str):
        caption = sample.last_answer or ""
    return " ".join(caption.split()) or None


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


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--captions", required=True, help="data set of captioned media, as omni.readers.open_dataset takes it")
    add("--llm", required=True, help="any causal language model: folder, Hugging Face id or starter:smollm2")
    add("--output", required=True, help="the .jsonl file to write; FILE.progress next to it records what is done")
    add("--per_caption", type=_at_least(1), default=3, help="most pairs of one caption (default: 3)")
    add("--min_match", type=float, default=90.0, help="fuzzy ratio of the two answers to exceed, 0-100 (default: 90)")
    add("--batch_size", type=_at_least(1), default=16, help="captions in one run of the model (default: 16)")
    add("--temperature", type=float, default=0.0, help="0 = the likeliest words (default), above = drawn ones")
    add("--seed", type=_at_least(0), default=0, help="seed of the words that are drawn (default: 0)")
    add("--limit", type=_at_least(1), help="only the first captions; can be raised later")
    add("--device", default="cpu", help="where the model runs, such as cuda (default: cpu)")
    add(
        "--dtype",
        default="float32",
        choices=["float32", "bfloat16", "float16"],
        help="number format of the model (default: float32)",
    )
    add("--restart", action="store_true", help="delete the output and start again")


def _at_least(least: int) -> Any:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, not {value}")
        return value

    return number


if __name__ == "__main__":
    sys.exit(main())
