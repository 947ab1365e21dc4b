"""`python -m omni export FORM DIR --output DIR`: write a trained model in the form of other programs."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from omni.commands.importing import check_output
from omni.config.trust import TRUST_CODE_HELP
from omni.runtime.model_folder import check_model_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `export`."""
    forms = ", ".join(f"{name} ({about})" for name, (about, _) in FORMS.items())
    parser.add_argument("form", choices=FORMS, metavar="FORM", help=forms)
    parser.add_argument("model", type=Path, metavar="DIR", help="folder of the model, such as RUN/best")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in the folder")
    parser.add_argument(
        "--modalities",
        metavar="NAME,NAME",
        help="of merged-llm: media of which modalities the conversations hold, where each has a LoRA of its own",
    )
    parser.add_argument("--trust_code", "--trust-code", action="store_true", help=TRUST_CODE_HELP)


def run(arguments: argparse.Namespace) -> int:
    """Export, and print what was written; return exit code 0, or 1 after an error, which is printed."""
    _, export = FORMS[arguments.form]
    try:
        if arguments.modalities is not None and arguments.form != "merged-llm":
            raise ValueError(f"--modalities: {arguments.form} holds all modalities of the model; leave it out")
        check_model_folder(arguments.model, "DIR")
        check_output(arguments.output, arguments.overwrite)
        for line in export(arguments):
            print(line)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _merged_llm(arguments: argparse.Namespace) -> list[str]:
    # Imported late, here and below: torch and transformers take seconds, and mistakes should show at once.
    from omni.exporting.merged_llm import export_merged_llm
    from omni.model import OmniModel

    names = None if arguments.modalities is None else [name for name in arguments.modalities.split(",") if name]
    model = OmniModel.load(arguments.model, arguments.trust_code)
    done = export_merged_llm(model, arguments.output, names)
    parts = [f"LoRA {name}" for name in done.loras] + ([f"{done.trained} trained tensors"] if done.trained else [])
    return [
        f"{done.path}: {model.llm.config.name} with {' and '.join(parts) or 'nothing'} merged into it",
        f"checked: its logits differ from the model's by {done.error:.1e} of their spread",
    ]


def _transformers(arguments: argparse.Namespace) -> list[str]:
    from omni.exporting.llava import export_llava
    from omni.model import OmniModel

    done = export_llava(OmniModel.load(arguments.model, arguments.trust_code), arguments.output)
    return [
        f"{done.path}: a LLaVA, which AutoModelForImageTextToText and AutoProcessor of transformers load",
        f"checked: its logits differ from the model's by {done.error:.1e} of their spread",
    ]


def _sentence_transformer(arguments: argparse.Namespace) -> list[str]:
    from omni.exporting.sentence_transformer import export_sentence_transformer
    from omni.joint_space import JointSpace

    done = export_sentence_transformer(JointSpace.load(arguments.model, arguments.trust_code), arguments.output)
    return [
        f"{done.path}: {', '.join(done.modalities)} as a Router, which SentenceTransformer loads",
        f"checked: its embeddings differ from the space's by at most {done.error:.1e}",
    ]


FORMS: dict[str, tuple[str, Callable[[argparse.Namespace], list[str]]]] = {
    "merged-llm": ("the LLM with its LoRA merged, which transformers and vLLM load", _merged_llm),
    "sentence-transformers": ("a joint space of texts and pictures as a Router", _sentence_transformer),
    "hf": ("a whole model of pictures as LLaVA, which transformers and vLLM load", _transformers),
}
