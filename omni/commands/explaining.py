"""`python -m omni explain DIR --media MODALITY=FILE... "QUESTION"`: which parts of its media an answer stands on."""

import argparse
import json
import sys
from pathlib import Path

from omni.config.trust import TRUST_CODE_HELP
from omni.runtime.files import write_atomically
from omni.runtime.model_folder import check_model_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `explain`."""
    parser.add_argument("model", type=Path, help="folder of the model, such as RUN/best")
    parser.add_argument("question", nargs="?", default="", help="text after the media")
    parser.add_argument(
        "--media", required=True, nargs="+", metavar="MODALITY=FILE", help="the media, in their order; starter:... too"
    )
    parser.add_argument("--answer", help="the answer to explain; default: the one that the model gives")
    parser.add_argument("--parts", type=int, default=49, help="the most parts of each medium (49)")
    parser.add_argument("--frequency_bands", type=int, default=1, help="bands into which sounds are cut too (1)")
    parser.add_argument(
        "--png", type=Path, help="where the picture goes; of several media PNG-2.png, PNG-3.png, ... too"
    )
    parser.add_argument("--json", type=Path, help="where all numbers go")
    parser.add_argument("--device", help="such as cpu or cuda:1; default: the GPU if there is one")
    parser.add_argument("--trust_code", "--trust-code", action="store_true", help=TRUST_CODE_HELP)


def run(arguments: argparse.Namespace) -> int:
    """Explain an answer and print the correlations; return exit code 0, or 1 after an error."""
    try:
        check_model_folder(arguments.model, "MODEL")
        pairs = [_pair(value) for value in arguments.media]
    except (FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    # Imported late: torch and transformers take seconds, and mistakes in the arguments should show at once.
    from omni.model import OmniModel
    from omni.starter import resolve

    try:
        model = OmniModel.load(arguments.model, arguments.trust_code, device=arguments.device).eval()
        content = [{"type": modality, "path": str(resolve(file))} for modality, file in pairs]
        text = [{"type": "text", "text": arguments.question}] if arguments.question else []
        explanation = model.explain(
            [{"role": "user", "content": [*content, *text]}],
            arguments.answer,
            parts=arguments.parts,
            frequency_bands=arguments.frequency_bands,
            on_cost=lambda cost: print(f"cost: {cost}", file=sys.stderr),
        )
        if arguments.png is not None:
            for index, picture in enumerate(explanation.render()):
                picture.save(
                    arguments.png if index == 0 else arguments.png.with_stem(f"{arguments.png.stem}-{index + 1}")
                )
        if arguments.json is not None:
            write_atomically(arguments.json, json.dumps(explanation.to_dict()))
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(explanation)
    return 0


def _pair(value: str) -> tuple[str, str]:
    modality, equals, file = value.partition("=")
    if not equals or not modality or not file:
        raise ValueError(f"--media takes MODALITY=FILE, such as image=bird.png; got {value!r}")
    return modality, file
