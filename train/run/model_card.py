"""What a run writes into the model card: data with licences, figures, and how it was trained."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import islice

from omni.model.card import ModelCard, TrainingData
from omni.readers import SampleDataset
from omni.readers.sources import Source
from omni.recipe.schema import TrainConfig
from omni.samples.messages import Sample

_ROWS_ASKED_FOR_LICENCE = 200  # data sets of one kind rarely mix licences, and reading all rows of a large one is slow


def training_card(
    before: ModelCard,
    sources: Sequence[Source],
    config: TrainConfig,
    *,
    step: int,
    global_batch: str,
    evaluation_loss: float | None,
) -> ModelCard:
    """The card after `step` steps, on top of that of the model the run began with."""
    card = ModelCard(
        data=[TrainingData(source.name, source.size, licence_of(source)) for source in sources],
        metrics={} if evaluation_loss is None else {"evaluation loss (nats per answer token)": evaluation_loss},
        training=[
            f"{step} steps of {global_batch}, {config.optimizer}, {config.schedule} schedule from "
            f"{config.lr:g} after {config.warmup_steps} steps of warm-up, weight decay {config.weight_decay:g}, "
            f"precision {'float32' if config.precision == 'no' else config.precision}, seed {config.seed}"
        ],
    )
    return ModelCard.merge([before, card])


def licence_of(source: Source) -> str | None:
    """The licences that the rows of a data set state in their `meta`, joined; None if none does or none is read."""
    stream = source.dataset.stream
    if stream is not None and not stream.can_reread:
        return None
    return _licence_of_rows(source.dataset, tuple(islice(source.rows, _ROWS_ASKED_FOR_LICENCE)))


@lru_cache(maxsize=32)  # a card is written with every checkpoint, and rows of tar shards are read with their media
def _licence_of_rows(dataset: SampleDataset, rows: tuple[int, ...]) -> str | None:
    samples = (dataset[row] for row in rows)
    stated = {
        str(found.meta["licence"]) for found in samples if isinstance(found, Sample) and found.meta.get("licence")
    }
    return ", ".join(sorted(stated)) or None
