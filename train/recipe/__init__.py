"""Recipes: the files that come with omni, and how the command line reads and explains them."""

from collections.abc import Sequence
from pathlib import Path

from omni.recipe import reading
from omni.recipe.reading import write_recipe
from omni.recipe.schema import Recipe
from train.recipe.help import DRY_RUN, USAGE, describe_keys

__all__ = ["DRY_RUN", "RECIPES", "USAGE", "describe_keys", "load_recipe", "load_recipes", "write_recipe"]

RECIPES = Path(__file__).parents[1] / "recipes"  # those that come with omni


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe of one stage, or the last stage of one that has several; see `load_recipes`."""
    return load_recipes(path, overrides)[-1]


def load_recipes(path: str | Path, overrides: Sequence[str] = ()) -> list[Recipe]:
    """Read a recipe as `omni.recipe.reading.load_recipes` does; if there is none, the error names those of omni."""
    return reading.load_recipes(path, overrides, shipped=RECIPES)
