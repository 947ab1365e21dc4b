"""The feature cache that a run's recipe asks for."""

from pathlib import Path

from omni.feature_cache.cache import FeatureCache
from omni.feature_cache.location import default_directory
from omni.recipe.schema import TrainConfig


def cache_folder(config: TrainConfig) -> Path:
    """Return the folder that `train.feature_cache` names; the shared one where it names none."""
    return Path(config.feature_cache) if isinstance(config.feature_cache, str) else default_directory()


def open_cache(config: TrainConfig) -> FeatureCache:
    """Open the cache of a run: the folder, number format and size limit that its recipe says."""
    max_bytes = None if config.feature_cache_max_gb is None else max(1, int(config.feature_cache_max_gb * 1e9))
    return FeatureCache(cache_folder(config), config.feature_cache_dtype, max_bytes=max_bytes)
