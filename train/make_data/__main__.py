"""`python -m train.make_data questions --captions MANIFEST --llm NAME --output FILE.jsonl`."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

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

    # Imported late: torch and transformers take seconds, and mistakes in the arguments should show at once.
    from train.make_data.making import questions
    from train.runtime.save_errors import SaveError

    try:
        print(questions(parsed))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    except (SaveError, FileNotFoundError, ValueError) as error:
        print(f"make_data: {error}", file=sys.stderr)
        return FAILED
    return DONE


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
