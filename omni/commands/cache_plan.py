"""Plan what `python -m omni cache --build` encodes: what each stage of a recipe will ask of its feature cache."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from omni.config import JointSpaceConfig, ModalityConfig, SpaceModalityConfig
from omni.config.trust import opening
from omni.feature_cache.opening import cache_folder
from omni.readers.held_out import hold_out
from omni.readers.sources import Source, open_source
from omni.recipe.schema import DataConfig, Recipe, SourceConfig, TrainConfig


@dataclass(frozen=True)
class CacheStage:
    """The part of one stage of a recipe that decides which features it asks for.

    Attributes:
        modalities: all that its model will have, those of earlier stages and of `init_from` among them.
        space: the joint space that it trains, whose texts are items too; None = a model with an LLM.
        unfrozen: names of weights, or patterns of them, that this stage or an earlier run trains though they would be
            frozen; what an encoder with such weights will give is not known yet.
        recipe: the recipe of this stage.
        init_from: the folder that names the classes of the first stage's model; None = the recipe names them.
    """

    modalities: Mapping[str, ModalityConfig | SpaceModalityConfig]
    space: JointSpaceConfig | None
    unfrozen: tuple[str, ...]
    data: DataConfig
    train: TrainConfig
    recipe: Recipe
    init_from: Path | None = None

    @contextmanager
    def may_build(self) -> Iterator[None]:
        """Build inside its encoders and augmentations; of what the folder names, only classes that may run."""
        folder = nullcontext() if self.init_from is None else opening(self.init_from / "config.yaml", False)
        with self.recipe.opens_folders(), folder:
            yield

    def open_sources(self) -> list[tuple[Source, bool]]:
        """Open the data sets as training does: their rows, and whether these are trained on, and so augmented.

        Raises:
            FileNotFoundError, ValueError: a data set is missing or unreadable, or nothing of it is left to train on.
        """
        data = self.data
        split = hold_out([open_source(config) for config in data.train], data.held_out_share, data.held_out_by)
        evaluated = [*(open_source(config) for config in data.evaluation), *split.held_out]
        return [(source, True) for source in split.train] + [(source, False) for source in evaluated]

    def asks_the_same_as(self, other: "CacheStage") -> bool:
        """Return whether both stages ask for the same features of one cache."""
        return self._request() == other._request()

    def _request(self) -> tuple[object, ...]:
        train = self.train
        return (
            {name: (one.encoder, one.augmentation) for name, one in self.modalities.items()},
            self.space is not None,
            self.unfrozen,
            [[_rows_of(source) for source in part] for part in (self.data.train, self.data.evaluation)],
            (self.data.held_out_share, self.data.held_out_by),
            (cache_folder(train), train.feature_cache_dtype, train.feature_cache_views, train.seed),
        )


def plan_cache(recipes: Sequence[Recipe]) -> list[CacheStage]:
    """Return what the stages of a recipe will ask for, each with other features than those before it.

    Stages with `train.feature_cache: false` ask for nothing, unless none of the stages has a cache: then the recipe
    says nothing about it, and everything goes into the shared folder.

    Raises:
        FileNotFoundError, ValueError: the folder that `init_from` names holds no model.
    """
    stages: list[CacheStage] = []
    for recipe in recipes:
        stages.append(_stage(recipe, stages[-1] if stages else None))
    if any(stage.train.feature_cache for stage in stages):
        stages = [stage for stage in stages if stage.train.feature_cache]
    return [
        stage
        for index, stage in enumerate(stages)
        if not any(stage.asks_the_same_as(earlier) for earlier in stages[:index])
    ]


def _stage(recipe: Recipe, before: CacheStage | None) -> CacheStage:
    if before is None:
        modalities, space, unfrozen = _first_model(recipe)
    else:  # it begins with the model of the stage before it, whose folder need not exist yet
        modalities, space, unfrozen = before.modalities, before.space, before.unfrozen
    modalities = {**modalities, **recipe.add_modalities}
    folder = before.init_from if before is not None else None if recipe.init_from is None else Path(recipe.init_from)
    unfrozen = (*unfrozen, *recipe.train.unfreeze)
    return CacheStage(modalities, space, unfrozen, recipe.data, recipe.train, recipe, folder)


_Model = tuple[Mapping[str, ModalityConfig | SpaceModalityConfig], JointSpaceConfig | None, tuple[str, ...]]


def _first_model(recipe: Recipe) -> _Model:
    """Return modalities, joint space and unfrozen weights of the model that the first stage begins with."""
    if recipe.joint_space is not None:
        return recipe.joint_space.modalities, recipe.joint_space, ()
    if recipe.model is not None:
        return recipe.model.modalities, None, ()
    # Imported late: this imports transformers, for which a mistake in the recipe need not wait.
    from omni.joint_space.folder import SpaceFolder, is_space
    from omni.model.folder import ModelFolder

    assert recipe.init_from is not None
    path = Path(recipe.init_from)
    if is_space(path):
        space = SpaceFolder.read(path)
        return space.config.modalities, space.config, (*sorted(space.unfrozen),)
    model = ModelFolder.read(path)
    return model.config.modalities, None, (*sorted(model.unfrozen),)


def _rows_of(source: SourceConfig) -> SourceConfig:
    """Return the config without what does not change which media its rows hold."""
    return replace(source, weight=None, instructions=None, train_on_questions=False)
