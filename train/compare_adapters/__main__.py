"""`python -m train.compare_adapters`: every adapter trained on the starter pictures with the same budget."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from train.compare_adapters.contenders import CONTENDERS, Budget, Comparison

DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130
TRAIN, HELD_OUT = "starter:stamps/image-train.jsonl", "starter:stamps/image-test.jsonl"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.compare_adapters", description="Train every adapter on the same data with one budget."
    )
    add = parser.add_argument
    add("--adapters", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS), help="default: all")
    add("--steps", type=int, default=24, help="of each adapter (default: 24)")
    add("--seconds", type=float, help="of training, at most, of each adapter (default: no limit)")
    add("--batch_size", type=int, default=8, help="pictures of a step (default: 8)")
    add("--lr", type=float, default=1e-3, help="learning rate (default: 1e-3)")
    add("--pictures", type=int, help="to train on (default: all)")
    add("--items", type=int, default=60, help="held-out pictures (default: 60)")
    add("--output", type=Path, default=Path("runs/speed"), help="folder (default: runs/speed)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0, 1 (failed), 2 (a mistake of the user's), or 128 + N after signal N."""
    options = build_parser().parse_args(arguments)
    for name in ("steps", "batch_size", "items", "lr"):
        if not getattr(options, name) > 0:
            return _fail(f"--{name} is {getattr(options, name)}, but must be above 0", WRONG)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # or it warns in every forked worker

    from train.data.bad_samples import TooManyBadSamplesError
    from train.run.run_state import NonFiniteLossError, RunInterruptedError
    from train.runtime.save_errors import SaveError

    try:
        _compare(options)
    except RunInterruptedError as interrupted:
        return 128 + interrupted.signal_number
    except KeyboardInterrupt:
        return INTERRUPTED
    except (TooManyBadSamplesError, SaveError, NonFiniteLossError) as error:
        return _fail(error, FAILED)
    except (ValueError, FileNotFoundError) as error:
        return _fail(error, WRONG)
    return DONE


def _fail(error: Exception | str, status: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return status


def _compare(options: argparse.Namespace) -> None:
    """Train all adapters on the starter pictures, write the results and print the table."""
    # Imported late: torch and transformers take seconds, and mistakes in the arguments should show at once.
    import torch

    from omni.config import LLMConfig
    from omni.config.components import ComponentConfig
    from omni.readers.sources import open_source
    from omni.recipe.schema import SourceConfig
    from train.compare_adapters.comparing import measure_adapters
    from train.compare_adapters.held_out import PROMPT, captioned_items
    from train.compare_adapters.results import markdown

    budget = Budget(options.steps, options.batch_size, options.lr, options.seconds)
    encoder = ComponentConfig("omni.encoders.EfficientNetLite", {"weights": "starter:efficientnet-lite0"})
    data = SourceConfig(TRAIN, limit=options.pictures, instructions=[PROMPT])
    comparison = Comparison(LLMConfig("starter:smollm2"), encoder, "image", data, budget)
    results = measure_adapters(
        {name: CONTENDERS[name] for name in options.adapters},
        comparison,
        captioned_items(HELD_OUT, options.items),
        progress=lambda text: print(text, file=sys.stderr, flush=True),
    )
    num_pictures = open_source(data).size
    text = markdown(results, budget, num_pictures, torch.get_num_threads())
    options.output.mkdir(parents=True, exist_ok=True)
    values = {"budget": asdict(budget), "pictures": num_pictures, "adapters": [asdict(one) for one in results]}
    (options.output / "adapters.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    (options.output / "adapters.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    print(f"written: {options.output / 'adapters.json'}, {options.output / 'adapters.md'}")


if __name__ == "__main__":
    sys.exit(main())
