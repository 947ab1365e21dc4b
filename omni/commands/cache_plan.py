"""What of a recipe matters for its feature cache: encoders, data sets and the cache's own keys.

Recipes are training's; this reads the few keys that say which features a run will ask for, and leaves the others alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omni.config import JointSpaceConfig, ModalityConfig, ModelConfig, SpaceModalityConfig, from_dict
from omni.config.reading import read_yaml
from omni.readers import AnswersAsMedia, SampleDataset, open_dataset
from omni.starter import home


@dataclass(frozen=True)
class CachedSource:
    """A data set of a recipe, and whether it is trained on (and so augmented)."""

    path: str
    limit: int | None
    options: dict[str, Any]
    is_trained_on: bool
    media_from_answer: str | None = None

    def open(self) -> SampleDataset:
        """Its rows, as training sees them."""
        rows = open_dataset(self.path, **self.options)
        return rows if self.media_from_answer is None else AnswersAsMedia(rows, self.media_from_answer)


@dataclass(frozen=True)
class CacheRecipe:
    """What the cache of a recipe will hold, and how."""

    modalities: dict[str, ModalityConfig | SpaceModalityConfig]
    sources: list[CachedSource]
    directory: Path
    dtype: str
    max_bytes: int | None
    num_views: int
    seed: int
    unfrozen: list[str]  # names of weights, or patterns, that are trained though they would be frozen


def read_cache_recipe(path: Path) -> CacheRecipe:
    """Read the recipe at `path`; of one with stages, the data sets of all of them.

    Raises:
        FileNotFoundError: there is no recipe, or no model where it says `init_from`.
        ValueError: it is no recipe, or names no model or data.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no recipe {path}")
    values = read_yaml(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(values, Mapping):
        raise ValueError(f"{path}: a recipe holds the keys data, train and model, not {values!r}")
    parts = [values, *(values.get("stages") or [])]
    train: dict[str, Any] = {}
    for part in parts:
        train |= part.get("train") or {}
    setting = train.get("feature_cache")
    max_gb = train.get("feature_cache_max_gb")
    return CacheRecipe(
        _modalities(values, path),
        _sources(parts, path),
        Path(setting) if isinstance(setting, str) else home() / "features",
        train.get("feature_cache_dtype", "float32"),
        None if max_gb is None else max(1, int(max_gb * 1e9)),
        train.get("feature_cache_views", 1),
        train.get("seed", 0),
        _unfrozen(values, parts[: 2 if values.get("stages") else 1]),
    )


def _modalities(values: Mapping[str, Any], path: Path) -> dict[str, ModalityConfig | SpaceModalityConfig]:
    added: dict[str, ModalityConfig | SpaceModalityConfig] = {}
    for part in [values, *(values.get("stages") or [])]:
        for name, config in (part.get("add_modalities") or {}).items():
            added[name] = from_dict(ModalityConfig, config, f"recipe.add_modalities.{name}")
    folder = values.get("init_from")
    if values.get("joint_space") is not None:
        return {**from_dict(JointSpaceConfig, values["joint_space"], "recipe.joint_space").modalities}
    if folder is not None:
        from omni.joint_space.checkpoint import is_space, read_space_config
        from omni.model.checkpoint import read_config  # imports transformers, which a mistake need not wait for

        if is_space(folder):
            return {**read_space_config(Path(folder))[0].modalities}

        return {**read_config(Path(folder))[0].modalities, **added}
    if not isinstance(values.get("model"), Mapping):
        raise ValueError(f"{path}: set exactly one of model, joint_space (new ones) and init_from (a folder)")
    return {**from_dict(ModelConfig, values["model"], "recipe.model").modalities, **added}


def _unfrozen(values: Mapping[str, Any], first: list[Mapping[str, Any]]) -> list[str]:
    """Of the first stage, and of the model that it begins with: what later stages train is frozen until then."""
    patterns: list[str] = []
    for part in first:
        patterns = (part.get("train") or {}).get("unfreeze", patterns)
    if values.get("init_from") is None:
        return [*patterns]
    from omni.model.checkpoint import read_unfrozen

    return [*patterns, *read_unfrozen(Path(values["init_from"]))]


def _sources(parts: list[Mapping[str, Any]], path: Path) -> list[CachedSource]:
    found: list[CachedSource] = []
    for part in parts:
        for key in ("train", "evaluation"):
            for source in (part.get("data") or {}).get(key) or []:
                if not isinstance(source, Mapping) or "path" not in source:
                    raise ValueError(f"{path}: data.{key} is a list of data sets with a path, but holds {source!r}")
                cached = CachedSource(
                    source["path"],
                    source.get("limit"),
                    dict(source.get("options") or {}),
                    key == "train",
                    source.get("media_from_answer"),
                )
                if cached not in found:
                    found.append(cached)
    if not found:
        raise ValueError(f"{path}: data.train must be a list of at least one data set")
    return found
