"""`python -m omni import SOURCE FILES... --llm ID`: turn published checkpoints into models and joint spaces."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omni.joint_space import JointSpace
    from omni.model.omni_model import OmniModel
    from omni.published.key_report import FileReport
    from omni.published.settings import Settings

SOURCES = ("imagebind", "x-instructblip", "instructblip", "blip2")
DTYPES = ("float32", "bfloat16", "float16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `import`."""
    parser.add_argument("source", choices=SOURCES, help="which published model")
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILES",
        help="its files, the encoders' own among them; they are told apart by their keys, or by a label: "
        "image=FILE audio=FILE 3d=FILE video=FILE eva=FILE beats=FILE ulip2=FILE, or vocabulary=FILE for ImageBind; of "
        "InstructBLIP and BLIP-2 also the folder of transformers",
    )
    parser.add_argument(
        "--llm", metavar="ID", help="the LLM: an id of a hub, or a folder; a folder of transformers holds its own"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder of the model (default: runs/SOURCE)")
    parser.add_argument("--overwrite", action="store_true", help="replace the model that is in the folder")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of the LLM (default: %(default)s)")
    parser.add_argument(
        "--encoder-dtype", choices=DTYPES, default="float32", help="of the encoders (default: %(default)s)"
    )
    parser.add_argument(
        "--instruction-tokenizer",
        default="",
        metavar="ID",
        help="tokenizer of the Q-Formers' instructions: an id of a hub, or a folder (default: that in a folder of "
        "transformers, else bert-base-uncased)",
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
        help="a key of the model's config, such as llm.attention=eager; values are YAML; may be given again",
    )


def run(arguments: argparse.Namespace) -> int:
    """Import, and print what was taken from which file; return exit code 0, or 1 after an error, which is printed."""
    try:
        for line in _import(arguments):
            print(line)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _import(arguments: argparse.Namespace) -> list[str]:
    from omni.published.settings import Settings

    output = arguments.output or Path("runs") / arguments.source
    check_output(output, arguments.overwrite)
    settings = Settings(
        arguments.llm or "",
        arguments.dtype,
        arguments.encoder_dtype,
        arguments.instruction_tokenizer,
        arguments.licence,
        arguments.leave_out,
        arguments.set,
    )
    if arguments.source == "imagebind":
        if arguments.llm is not None:
            raise ValueError("--llm: ImageBind becomes a joint space, which has no LLM; leave it out")
        model, reports = _import_space(arguments.files, settings)
        missing = "" if "text" in model.modalities else "; for texts, name CLIP's vocabulary too: vocabulary=FILE"
        last = f"{output}: joint space of {', '.join(model.modalities)}{missing}"
    else:
        model, reports = _import_model(arguments.source, arguments.files, settings)
        last = f"{output}: {', '.join(model.modalities)} before {model.llm.config.name}"
    check_output(output, arguments.overwrite)  # once more, since building takes minutes
    model.save(output)
    return [*(line for report in reports for line in report.summary()), last]


def _import_space(files: Sequence[str], settings: "Settings") -> "tuple[JointSpace, list[FileReport]]":
    from omni.published.imagebind import import_space

    return import_space(files, settings)


def _import_model(source: str, files: Sequence[str], settings: "Settings") -> "tuple[OmniModel, list[FileReport]]":
    from omni.published import blip2, instructblip, x_instructblip
    from omni.published.assembly import assemble
    from omni.published.files import read_files

    modules = {"x-instructblip": x_instructblip, "instructblip": instructblip, "blip2": blip2}
    imported = assemble(modules[source].describe(read_files(files)), settings)
    return imported.model, imported.reports


def check_output(output: Path, overwrite: bool) -> None:
    """Raise FileExistsError if the folder is not empty and must not be replaced."""
    if output.is_dir() and not any(output.iterdir()):
        return
    if output.exists() and not (overwrite and output.is_dir()):
        raise FileExistsError(f"{output} is there already; name another --output, or replace it by --overwrite")
