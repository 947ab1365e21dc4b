"""`python -m omni center SPACE --data PATH...`: measure the centre of each modality of a joint space."""

import argparse
import sys
from pathlib import Path

from omni.config.trust import TRUST_CODE_HELP
from omni.runtime.model_folder import check_model_folder

_SHOWN_BAD = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `center`."""
    parser.add_argument("space", type=Path, help="folder of the joint space, such as RUN/best; centres are added to it")
    parser.add_argument(
        "--data",
        required=True,
        nargs="+",
        metavar="PATH",
        help="data sets whose media and texts are averaged, such as those that the space was trained on",
    )
    parser.add_argument("--trust_code", "--trust-code", action="store_true", help=TRUST_CODE_HELP)
    parser.add_argument("--no-cache", action="store_true", help="neither read nor keep features in $OMNI_HOME/features")


def run(arguments: argparse.Namespace) -> int:
    """Measure and save the centres; return exit code 0, or 1 after an error."""
    try:
        check_model_folder(arguments.space, "SPACE", "joint space")
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    # Imported late: torch and transformers take seconds, and mistakes in the arguments should show at once.
    from omni.feature_cache import FeatureCache, default_directory
    from omni.joint_space import JointSpace, measure_centers
    from omni.readers import open_dataset

    try:
        samples = [sample for path in arguments.data for sample in open_dataset(path)]
        space = JointSpace.load(arguments.space, arguments.trust_code)
        if not arguments.no_cache:
            space.feature_cache = FeatureCache(default_directory())
        counts, bad = measure_centers(space, samples)
        space.save(arguments.space)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, count in counts.items():
        print(f"{name}: centre of {count:,} items, of length {space.centers[name].norm():.3f}")
    for line in bad[:_SHOWN_BAD]:
        print(f"left out: {line}", file=sys.stderr)
    if len(bad) > _SHOWN_BAD:
        print(f"left out: ... and {len(bad) - _SHOWN_BAD:,} more", file=sys.stderr)
    return 0
