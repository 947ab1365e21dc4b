"""What mteb gives to an encoder, as rows of media that omni reads by itself."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from torch.utils.data import DataLoader

from eval.plugins.media import plain_media
from omni.samples.messages import resolve_modality

COLUMNS = ("video", "image", "audio", "text")  # mteb's modalities, in the order in which they are shown to an LLM

Row = Mapping[str, Any]  # column -> medium or text, of those that the row has


def names_of(modalities: Collection[str], audio: str | None = None) -> dict[str, str]:
    """Return mteb's modality -> the model's, of those media that a model has; texts are left to the caller.

    Args:
        modalities: the model's.
        audio: which of them mteb's sounds are, where there is more than one for sounds.

    Raises:
        ValueError: `audio` is none of them, or is missing where `sound` and `speech` are both there.
    """
    names = {name: name for name in ("video", "image") if name in modalities}
    if audio is not None:
        if audio not in modalities:
            raise ValueError(f"audio={audio!r} is none of the modalities: {', '.join(sorted(modalities))}")
        return {**names, "audio": audio}
    if {*modalities} & {"audio", "sound", "speech"}:
        try:
            names["audio"] = resolve_modality("audio", modalities)
        except ValueError as error:
            raise ValueError(
                "sound and speech are both there; say which one mteb's sounds are: audio='sound'"
            ) from error
    return names


def read_batches(inputs: DataLoader, columns: Collection[str]) -> Iterator[list[Row]]:
    """Yield the rows of each batch.

    Sounds and videos are not decoded by `datasets`: omni decodes them, each encoder at the rates that it needs.

    Args:
        inputs: mteb's loader.
        columns: those that the model can read.

    Raises:
        ValueError: a column that the model has no modality for, or a row without anything.
    """
    loader = DataLoader(
        _undecoded(inputs.dataset),
        batch_size=inputs.batch_size,
        num_workers=inputs.num_workers,
        collate_fn=_rows,
    )
    number = 0
    for rows in loader:
        for row in rows:
            if missing := [*row.keys() - {*columns}]:
                raise ValueError(
                    f"row {number} has {', '.join(sorted(missing))}, and the model reads {', '.join(columns)} only; "
                    "take tasks of these modalities"
                )
            if not row:
                raise ValueError(f"row {number} has none of {', '.join(columns)}; there is nothing to embed")
            number += 1
        yield rows


def _rows(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    return [{name: plain_media(row[name]) for name in COLUMNS if row.get(name) is not None} for row in rows]


def _undecoded(dataset: Any) -> Any:
    """The data set with the files of sounds and videos in place of what is in them."""
    from datasets import Audio, Dataset, Video

    if not isinstance(dataset, Dataset):
        return dataset
    for name, feature in dataset.features.items():
        if isinstance(feature, Audio | Video) and feature.decode:
            dataset = dataset.cast_column(name, type(feature)(decode=False))
    return dataset
