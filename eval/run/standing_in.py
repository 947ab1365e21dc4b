"""Find training media that stand in for a modality that items lack, from what their other modalities let expect."""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from eval.items.item import Item
from eval.run.answering import ITEM_ERRORS
from eval.run.cache import AnswerCache
from eval.run.pooled import cached_features
from eval.run.space import Respondent
from omni.encoders.base import Encoder

_ALPHAS = np.logspace(-1, 5, 13)
_FEWEST = 3


def stand_ins_of(
    model: Respondent,
    modalities: Sequence[str],
    items: Sequence[Item],
    examples: Sequence[Item],
    missing: str,
    cache: AnswerCache,
) -> list[int | None]:
    """Return for each item the index of the example whose medium stands in; None where the item cannot be read.

    A ridge regression (strength by leave-one-out error) from the frozen, mean-pooled features of the other modalities
    predicts those of the missing one; of the examples, the one whose features have the largest cosine with the
    prediction, both centred on the examples' mean, gives its medium. Examples are training items, never those asked.

    Raises:
        ValueError: there is no other modality, or fewer than three examples have all modalities.
    """
    present = [modality for modality in modalities if modality != missing]
    if not present:
        raise ValueError(f"{missing} is all that is shown, so that nothing is left to predict it from")
    encoders = {modality: model.modality(modality).encoder for modality in modalities}
    known = [_features(encoders, present, one, cache) for one in examples]
    wanted = [_features(encoders, [missing], one, cache) for one in examples]
    whole = [i for i, (left, right) in enumerate(zip(known, wanted, strict=True)) if _is_real(left) and _is_real(right)]
    if len(whole) < _FEWEST:
        raise ValueError(f"{len(whole)} training items have {' and '.join(modalities)}; at least {_FEWEST} are needed")
    left, right = (np.stack([rows[index] for index in whole]) for rows in (known, wanted))  # type: ignore[type-var]
    mean = right.mean(axis=0)
    ridge = make_pipeline(StandardScaler(), RidgeCV(alphas=_ALPHAS)).fit(left, right - mean)
    directions = _unit(right - mean)
    found: list[int | None] = []
    for item in items:
        features = _features(encoders, present, item, cache)
        if features is None:
            found.append(None)
            continue
        predicted = _unit(ridge.predict(features[None]))
        found.append(whole[int((directions @ predicted[0]).argmax())])
    return found


def _is_real(features: np.ndarray | None) -> bool:
    return features is not None


def _features(
    encoders: dict[str, Encoder], modalities: Sequence[str], item: Item, cache: AnswerCache
) -> np.ndarray | None:
    """The pooled features of an item's media of some modalities, side by side; None where one is not there."""
    found = []
    for modality in modalities:
        media = [part for part in item.media if part.modality == modality]
        try:
            rows = [cached_features(encoders[modality], part, cache) for part in media]
        except ITEM_ERRORS:
            return None
        if not rows:
            return None
        found.append(np.mean(rows, axis=0))
    return np.concatenate(found)


def _unit(values: np.ndarray) -> np.ndarray:
    return values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12)
