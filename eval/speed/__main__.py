"""`python -m eval.speed train|encoders|cache|decoding`: measure speed; each measurement is a subcommand."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from eval.speed import cached_features, decoding, encoders
from eval.speed.measuring import Settings, measure
from eval.speed.report import markdown, write_report
from eval.speed.shapes import DTYPES, SHAPES, build_shape


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m eval.speed", description="Measure speed and memory.")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="a training step, one saving after another, beside a plain loop")
    train.add_argument("--shape", choices=sorted(SHAPES), default="starter", help="model and data (default: starter)")
    train.add_argument("--dtype", choices=sorted(DTYPES), help="of all weights (default: float32; bfloat16 on a GPU)")
    train.add_argument("--batch_size", type=int, help="samples of a step (default: the shape's own)")
    train.add_argument("--steps", type=int, default=4, help="steps of a round (default: 4)")
    train.add_argument("--rounds", type=int, default=5, help="times that all contenders take turns (default: 5)")
    train.add_argument("--no_compile", action="store_true", help="leave out torch.compile, which takes minutes")
    train.add_argument("--profile", action="store_true", help="also say where the time of the last contender goes")
    train.add_argument("--output", type=Path, default=Path("runs/speed"), help="folder (default: runs/speed)")
    train.set_defaults(run=run_train)
    trunks = commands.add_parser("encoders", help="ImageBind's trunks beside a plain stack of nn.MultiheadAttention")
    encoders.add_arguments(trunks)
    trunks.set_defaults(run=encoders.run)
    cache = commands.add_parser("cache", help="features of the starter pictures: the encoder beside the feature cache")
    cached_features.add_arguments(cache)
    cache.set_defaults(run=cached_features.run)
    files = commands.add_parser("decoding", help="ordinary files of every kind: CPU time, next to another checkout")
    decoding.add_arguments(files)
    files.set_defaults(run=decoding.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0, or 2 for a mistake of the user's."""
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def run_train(options: argparse.Namespace) -> None:
    """Measure a training step, write the results and print the table."""
    settings = Settings(options.steps, options.rounds, not options.no_compile, options.profile)
    shape = build_shape(options.shape, options.dtype, options.batch_size, options.steps)
    result = measure(shape, settings, progress=lambda text: print(text, file=sys.stderr, flush=True))
    written = write_report(result, options.output)
    print(markdown(result))
    print("written: " + ", ".join(str(path) for path in written))


if __name__ == "__main__":
    sys.exit(main())
