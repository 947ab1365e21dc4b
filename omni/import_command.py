"""`python -m omni import SOURCE FILES... --llm ID`: published checkpoints into a model folder."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omni.published.assembly import Source
    from omni.published.files import PublishedFile

SOURCES = ("x-instructblip", "instructblip", "blip2")
DTYPES = ("float32", "bfloat16", "float16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `import`."""
    parser.add_argument("source", choices=SOURCES, help="which published model")
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILES",
        help="its files, the encoders' own among them; they are told apart by their keys, or by a label: "
        "image=FILE audio=FILE 3d=FILE video=FILE eva=FILE beats=FILE ulip2=FILE",
    )
    parser.add_argument("--llm", metavar="ID", required=True, help="the LLM: an id of a hub, or a folder")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder of the model (default: runs/SOURCE)")
    parser.add_argument("--overwrite", action="store_true", help="replace the model that is in the folder")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of the LLM (default: %(default)s)")
    parser.add_argument(
        "--encoder-dtype", choices=DTYPES, default="float32", help="of the encoders (default: %(default)s)"
    )
    parser.add_argument(
        "--instruction-tokenizer",
        default="bert-base-uncased",
        metavar="ID",
        help="tokenizer of the Q-Formers' instructions: an id of a hub, or a folder (default: %(default)s)",
    )
    parser.add_argument("--licence", help="of the published weights, for the model card")
    parser.add_argument(
        "--leave-out",
        action="append",
        default=[],
        metavar="NAME",
        help="tensors that are known not to be needed, where * stands for anything; may be given again",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a key of the model's config, such as modalities.image.cue='picture: '; may be given again",
    )


def run(arguments: argparse.Namespace) -> int:
    """Import, and say what was taken from which file. Exit code 0, or 1 (failed, with what does not fit)."""
    try:
        for line in _import(arguments):
            print(line)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _import(arguments: argparse.Namespace) -> list[str]:
    from omni.published.assembly import assemble
    from omni.published.files import read_files
    from omni.published.settings import Settings

    output = arguments.output or Path("runs") / arguments.source
    check_output(output, arguments.overwrite)
    settings = Settings(
        arguments.llm,
        arguments.dtype,
        arguments.encoder_dtype,
        arguments.instruction_tokenizer,
        arguments.licence,
        arguments.leave_out,
        arguments.set,
    )
    imported = assemble(_describe(arguments.source)(read_files(arguments.files)), settings)
    check_output(output, arguments.overwrite)  # once more, since building takes minutes
    imported.model.save(output)
    lines = [line for report in imported.reports for line in report.summary()]
    return [*lines, f"{output}: {', '.join(imported.model.modalities)} before {arguments.llm}"]


def _describe(source: str) -> "Callable[[list[PublishedFile]], Source]":
    from omni.published import blip2, instructblip, x_instructblip

    modules = {"x-instructblip": x_instructblip, "instructblip": instructblip, "blip2": blip2}
    return modules[source].describe


def check_output(output: Path, overwrite: bool) -> None:
    """FileExistsError if something is in the folder and is not to be replaced."""
    if output.is_dir() and not any(output.iterdir()):
        return
    if output.exists() and not (overwrite and output.is_dir()):
        raise FileExistsError(f"{output} is there already; name another --output, or replace it by --overwrite")
