"""`python -m eval.retrieval --space DIR --data PATHS --query sound --target image`: retrieval across a joint space.

The media of the query's modality are compared by cosine with all media of the target's modality, whichever rows of the
data they are in; those of rows with the same text are right. Queries to whose text no target belongs are left out.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from omni.config.trust import TRUST_CODE_HELP
from omni.runtime.model_folder import check_model_folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0, or 2 for a mistake of the user's."""
    options = build_parser().parse_args(arguments)
    try:
        run(options)
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m eval.retrieval", description="Retrieval in a joint space.")
    parser.add_argument("--space", required=True, type=Path, help="folder of the joint space, such as RUN/best")
    parser.add_argument(
        "--data", required=True, nargs="+", help="data sets with media of both modalities, in one row or several"
    )
    parser.add_argument("--query", required=True, help="modality that is searched with, such as sound")
    parser.add_argument("--target", required=True, help="modality that is found, such as image")
    parser.add_argument("--output", type=Path, help="folder of retrieval.json and gap.png (default: next to the space)")
    parser.add_argument("--device", help="where the space runs (default: the GPU if there is one)")
    parser.add_argument("--trust_code", action="store_true", help=TRUST_CODE_HELP)
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap (default: 0)")
    return parser


def run(options: argparse.Namespace) -> None:
    """Measure, write `retrieval.json` and `gap.png`, and print the table.

    Raises:
        ValueError: both modalities are the same, the space lacks one, or the data hold too little.
        FileNotFoundError: the space or the data are not there.
    """
    if options.query == options.target:
        raise ValueError(f"--query and --target are both {options.query}; name two modalities")
    check_model_folder(options.space, "--space", "joint space")
    # Imported late: torch and transformers take seconds, and mistakes in the arguments should show at once.
    from eval.retrieval.figures import measure, summary
    from eval.retrieval.gap import draw_gap
    from eval.retrieval.items import embed_items
    from omni.feature_cache import FeatureCache, default_directory
    from omni.joint_space import JointSpace
    from omni.runtime.device import default_device
    from omni.runtime.files import write_atomically

    names = [options.query, options.target]
    device = options.device or default_device()
    space = JointSpace.load(options.space, options.trust_code, modalities=names, device=device)
    space.feature_cache = FeatureCache(default_directory())
    query, target = embed_items(space, options.data, options.query, options.target)
    figures = measure(query, target, options.seed)
    output = options.output or options.space.parent / "retrieval" / f"{options.query}-{options.target}"
    output.mkdir(parents=True, exist_ok=True)
    write_atomically(output / "retrieval.json", json.dumps(figures, indent=1))
    draw_gap((options.query, query), (options.target, target), output / "gap.png", figures["gap"])
    print(summary(options.query, options.target, figures))
    print(f"\nwritten: {output / 'retrieval.json'}, {output / 'gap.png'}")
