"""`python -m train RECIPE.yaml [--KEY VALUE ...]`, or `accelerate launch -m train RECIPE.yaml [--KEY VALUE ...]`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from omni.recipe.schema import Recipe
from omni.runtime.hub import check_model
from omni.runtime.launching import say_once
from omni.runtime.model_folder import check_model_folder
from omni.starter import resolve
from train.recipe import DRY_RUN, USAGE, describe_keys, load_recipes

DONE, FAILED, WRONG_RECIPE = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status (see `train.recipe.USAGE`)."""
    if not arguments:
        print(USAGE)
        return WRONG_RECIPE
    if arguments[0] in ("-h", "--help"):
        return _help(arguments[1:])
    is_dry_run = DRY_RUN in arguments
    arguments = [argument for argument in arguments if argument != DRY_RUN]
    try:
        recipes = load_recipes(arguments[0], arguments[1:])
        _check_beginning(recipes[0])
    except (FileNotFoundError, ValueError) as error:
        return _fail(error, WRONG_RECIPE)
    # Tokenizers used before data workers are forked would print a warning for each of them.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.path.insert(0, os.getcwd())  # accelerate does not do it, and a recipe may name classes of the user's own files

    if is_dry_run:
        from train.preflight.checks import preflight

        return DONE if preflight(recipes) else FAILED

    # Imported late, so that a mistake in the recipe shows at once and not after seconds of imports.
    from train.data.bad_samples import TooManyBadSamplesError
    from train.run.run_state import NonFiniteLossError, RunInterruptedError
    from train.run.stages import run_stages
    from train.runtime.save_errors import SaveError

    try:
        run_stages(recipes)
    except RunInterruptedError as interrupted:
        if os.environ.get("RANK", "0") == "0":  # all processes stopped after the same step
            print(interrupted, file=sys.stderr)
        return 128 + interrupted.signal_number
    except KeyboardInterrupt:
        print("stopped at once; what was not saved yet is lost. The same command continues from last/", file=sys.stderr)
        return 130
    except (TooManyBadSamplesError, SaveError, NonFiniteLossError, FileNotFoundError, ValueError) as error:
        if os.environ.get("OMNI_TRACEBACK"):
            raise
        return _fail(error, FAILED)
    return DONE


def _check_beginning(recipe: Recipe) -> None:
    """Check that what the first stage begins with is there; later stages begin with the model of the one before."""
    if recipe.model is not None:
        check_model(resolve(recipe.model.llm.name), "model.llm.name")
    if recipe.init_from is not None:
        check_model_folder(Path(recipe.init_from), "init_from")


def _help(words: Sequence[str]) -> int:
    try:
        print("\n".join(describe_keys(part) for part in words or [""]))
    except ValueError as error:
        return _fail(error, WRONG_RECIPE)
    return DONE


def _fail(error: Exception, status: int) -> int:
    hint = "\n(OMNI_TRACEBACK=1 shows where in the code)" if status == FAILED else ""
    say_once(f"train: {error}{hint}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
