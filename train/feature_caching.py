"""The feature cache of a run."""

from pathlib import Path

from omni.feature_cache import FeatureCache
from omni.model import OmniModel
from omni.starter import home
from train.config import TrainConfig


def attach_feature_cache(model: OmniModel, config: TrainConfig) -> None:
    """Give `model` the cache that the recipe asks for, if it asks for one."""
    setting = config.feature_cache
    if not setting:
        return
    folder = home() / "features" if setting is True else Path(setting)
    max_bytes = None if config.feature_cache_max_gb is None else max(1, int(config.feature_cache_max_gb * 1e9))
    model.feature_cache = FeatureCache(folder, config.feature_cache_dtype, max_bytes=max_bytes)
    for name in model.modalities:
        model.encoder_fingerprints.of(model.modality(name).encoder)  # once, before workers are forked
