"""`python -m eval.speed train|encoders|cache|ranking|decoding|serving`: measure speed, each by a subcommand."""

import argparse
import sys
from collections.abc import Sequence

from eval.speed.arguments import build_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0, or 2 for a mistake of the user's."""
    options = build_parser().parse_args(arguments)
    try:
        run(options)
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> None:
    """Measure what the command line asks for, and print the table."""
    # Imported late: torch and transformers take seconds, and mistakes in the arguments should show at once.
    from eval.speed import cached_features, decoding, encoders, ranking, serving

    commands = {
        "train": run_train,
        "encoders": encoders.run,
        "cache": cached_features.run,
        "ranking": ranking.run,
        "decoding": decoding.run,
        "serving": serving.run,
    }
    commands[options.command](options)


def run_train(options: argparse.Namespace) -> None:
    """Measure a training step, write the results and print the table."""
    from eval.speed.measuring import Settings, measure
    from eval.speed.report import markdown, write_report
    from eval.speed.shapes import build_shape

    settings = Settings(options.steps, options.rounds, not options.no_compile, options.profile)
    shape = build_shape(options.shape, options.dtype, options.batch_size, options.steps)
    result = measure(shape, settings, progress=lambda text: print(text, file=sys.stderr, flush=True))
    written = write_report(result, options.output)
    print(markdown(result))
    print("written: " + ", ".join(str(path) for path in written))


if __name__ == "__main__":
    sys.exit(main())
