"""The data of a run: what is trained on, what is held out, and the plan of draws over it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omni.readers.held_out import hold_out
from omni.readers.sources import Source
from omni.recipe.schema import DataConfig, TrainConfig
from train.data.mixing import MixingPlan
from train.data.sources import open_sources
from train.data.streams import refuse_packs_of_streams, stream_layouts, streams_state


@dataclass(frozen=True)
class RunData:
    """The data of a run."""

    train: list[Source]
    evaluation: list[Source]
    plan: MixingPlan  # over those that are trained on
    held_out: str | None = None  # what `data.held_out_share` keeps out of training, in words

    def fingerprints(self) -> dict[str, list[dict[str, Any]]]:
        """Return what tells the data from other data, as JSON values: which rows of which data sets, in which order.

        Media are named in it, not read. It takes a pass over manifests, so one process does it, once.
        """
        return data_fingerprints(self.train, self.evaluation)

    def streams_state(self) -> dict[str, dict[str, Any]]:
        """Return what a checkpoint keeps of the streams among the data that is trained on."""
        return streams_state(self.train, self.plan.streams)


def data_fingerprints(train: Sequence[Source], evaluation: Sequence[Source]) -> dict[str, list[dict[str, Any]]]:
    """Return `RunData.fingerprints` of these data sets."""
    return {
        key: [
            {"name": source.name, "rows": source.size, "sha256": source.dataset.fingerprint(source.rows)}
            for source in sources
        ]
        for key, sources in (("data.train", train), ("data.evaluation", evaluation))
    }


def open_run_data(
    data: DataConfig, config: TrainConfig, num_processes: int, saved_streams: Mapping[str, Mapping[str, Any]]
) -> RunData:
    """Open all data sets of a recipe and plan the draws.

    Args:
        data, config: those of the recipe.
        num_processes: of the run.
        saved_streams: what the checkpoint that the run goes on from says of its streams; empty for a new run.

    Raises:
        FileNotFoundError, ValueError: naming the key of the recipe, or the data set, that does not fit.
    """
    split = hold_out(open_sources(data.train, saved_streams), data.held_out_share, data.held_out_by)
    train, evaluation = split.train, open_sources(data.evaluation) + split.held_out
    refuse_packs_of_streams(train, config)
    layouts = stream_layouts(train, config, num_processes, saved_streams)
    sizes, weights = [source.size for source in train], [source.weight for source in train]
    return RunData(
        train,
        evaluation,
        MixingPlan(sizes, weights, config.seed, layouts),
        split.describe() if split.held_out else None,
    )
