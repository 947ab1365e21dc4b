"""The data sets of a run that are streams of tar shards: how they are cut up, and what a checkpoint keeps of that."""

from collections.abc import Mapping, Sequence
from typing import Any

from omni.readers.shard_names import expand_shards
from omni.readers.sources import Source
from omni.recipe.schema import SourceConfig, TrainConfig
from train.data.stream_order import StreamLayout, choose_lanes

_SHOWN = 3  # shards that an error names


def refuse_packs_of_streams(sources: Sequence[Source], config: TrainConfig) -> None:
    """Packs are planned from the lengths of samples that are read in the order of the mix, which a stream cannot give.

    Raises:
        ValueError: naming `train.pack_tokens` and the data set.
    """
    streams = [source.name for source in sources if source.dataset.stream is not None]
    if streams and config.pack_tokens is not None:
        raise ValueError(
            f"train.pack_tokens is {config.pack_tokens}, but {streams[0]} is read from shards in order, and packs are "
            "planned before training, from any row at any time. Leave pack_tokens out (train.packing: true packs the "
            "samples of each forward pass), or give the data as a manifest"
        )


def stream_layouts(
    sources: Sequence[Source], config: TrainConfig, num_processes: int, saved: Mapping[str, Mapping[str, Any]]
) -> dict[int, StreamLayout]:
    """For each data set that is a stream, by its index: how it is cut up; as in the checkpoint if there is one."""
    layouts = {}
    for index, source in enumerate(sources):
        dataset = source.dataset.stream
        if dataset is not None:
            before = saved.get(str(index))
            lanes = choose_lanes(len(dataset.shards), num_processes, config.num_workers, dataset.lanes)
            block = config.batch_size
            if before is not None:
                lanes, block = before["lanes"], before["block"]
            layouts[index] = StreamLayout(lanes, block, dataset.sizes, dataset.shuffle_buffer)
    return layouts


def streams_state(sources: Sequence[Source], layouts: Mapping[int, StreamLayout]) -> dict[str, dict[str, Any]]:
    """What a checkpoint keeps of the streams, as JSON values. Their position is the number of steps."""
    state = {}
    for index, layout in layouts.items():
        dataset = sources[index].dataset.stream
        assert dataset is not None
        state[str(index)] = {
            "shards": [*dataset.shards],
            "sizes": [*layout.shard_sizes],
            "lanes": layout.lanes,
            "block": layout.block,
        }
    return state


def saved_options(config: SourceConfig, saved: Mapping[str, Any]) -> dict[str, Any]:
    """The reader's options with the sizes of shards that a checkpoint holds: they decide which sample comes when, and
    the output of a command need not be counted again.

    Raises:
        ValueError: there are other shards now.
    """
    shards, before = expand_shards(config.path), saved["shards"]
    if shards[: len(before)] != before or (config.limit is None and len(shards) != len(before)):
        changed = sorted(set(shards) ^ set(before))[:_SHOWN] or ["their order"]
        raise ValueError(
            f"data: the shards of {config.name} are not those that the run began with ({len(before)} before, "
            f"{len(shards)} now; different: {', '.join(changed)}). Bring them back, or begin anew with "
            "--train.resume never"
        )
    return config.options | {"shard_sizes": saved["sizes"] + [0] * (len(shards) - len(before))}
