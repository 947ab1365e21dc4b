"""`python -m train.make_data questions | discriminate ... --output FILE.jsonl`: training data from captioned media."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from omni.samples.pairs import QUESTION

DONE, FAILED, INTERRUPTED = 0, 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 0 done, 1 failed, 2 wrong usage, 130 interrupted (the same command goes on)."""
    parser = argparse.ArgumentParser(
        prog="python -m train.make_data",
        description="Make training data offline. Killed at any moment, the same command goes on where it was.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    summary = "question-answer pairs from captions, kept if the model finds its answer again"
    questions_parser = commands.add_parser("questions", help=summary, description=summary)
    _add_question_arguments(questions_parser)
    summary = "'which of the two is ...?' about two media of different modalities, from metadata or by a model"
    _add_pair_arguments(commands.add_parser("discriminate", help=summary, description=summary))
    parsed = parser.parse_args(arguments)

    # Imported late: torch and transformers take seconds, and mistakes in the arguments should show at once.
    from train.make_data.making import questions
    from train.make_data.pairing import discriminate
    from train.runtime.save_errors import SaveError

    try:
        print({"questions": questions, "discriminate": discriminate}[parsed.command](parsed))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    except (SaveError, FileNotFoundError, ValueError) as error:
        print(f"make_data: {error}", file=sys.stderr)
        return FAILED
    return DONE


def _add_question_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--captions", required=True, help="data set of captioned media, as omni.readers.open_dataset takes it")
    add("--llm", required=True, help="any causal language model: folder, Hugging Face id or starter:smollm2")
    _add_output_arguments(parser, "captions")
    add("--per_caption", type=_at_least(1), default=3, help="most pairs of one caption (default: 3)")
    add("--min_match", type=float, default=90.0, help="fuzzy ratio of the two answers to exceed, 0-100 (default: 90)")
    add("--temperature", type=float, default=0.0, help="0 = the likeliest words (default), above = drawn ones")


def _add_pair_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--first", required=True, help="data set of captioned media of one modality")
    add("--second", required=True, help="data set of captioned media of another modality")
    add("--llm", help="a causal language model that asks, and has to answer its own question; none = from metadata")
    add(
        "--key",
        default="category",
        help="without --llm: the key that tells two rows apart (default: category)",
    )
    add(
        "--question",
        default=QUESTION,
        help="without --llm: the question, with {value} where the value of the key stands (default: %(default)s)",
    )
    _add_output_arguments(parser, "pairs")


def _add_output_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    add = parser.add_argument
    add("--output", required=True, help="the .jsonl file to write; FILE.progress next to it records what is done")
    add("--batch_size", type=_at_least(1), default=16, help=f"{what} in one run of the model (default: 16)")
    add("--seed", type=_at_least(0), default=0, help="seed of whatever is drawn (default: 0)")
    add("--limit", type=_at_least(1), help=f"only the first {what}; can be raised later")
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
