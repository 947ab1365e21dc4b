"""Binding: items that occur together come near each other in a joint space.

The loss is taken between all rows of a step, as `train.objectives.whole_batch` does it.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omni.config.components import build
from omni.joint_space import JointSpace
from omni.joint_space.inputs import text_of
from omni.joint_space.interaction import LATE, POOLED
from omni.joint_space.rows import items_of
from omni.losses import InfoNCE, PairLoss, SetLoss
from omni.model.batch import Example
from omni.samples.messages import Sample, SampleError
from train.data.bad_samples import LeftOutError
from train.objectives.base import ModelKind
from train.objectives.embedded_rows import EmbeddedRows
from train.objectives.whole_batch import FEWEST_ROWS, WholeBatchObjective


class BindObjective(WholeBatchObjective):
    """A contrastive loss between the items of a row, over all rows of a step.

    A row's items are its media, and its text where the space has the modality `text`: the assistant's answer, or the
    user's text if there is none. Rows that lack modalities take part with those they have; a row with a single item has
    nothing to be bound to, and is left out without being counted as bad. The temperature is the
    space's, learned unless `train.freeze` names `log_logit_scale`.

    Args:
        loss: class path and arguments of one of `omni.losses`; default: InfoNCE.
        anchors: only pairs with one of these are bound, such as [image] in ImageBind or [text] in LanguageBind;
            null = all pairs. A row without an anchor is bad.
        same_text: rows with the same text (in any case; the same id where there is no text) are no negatives of each
            other.
    """

    trains: ClassVar[ModelKind] = "joint_space"

    def __init__(
        self,
        loss: Mapping[str, Any] | None = None,
        anchors: Sequence[str] | None = None,
        same_text: bool = True,
    ) -> None:
        super().__init__()
        key = "objective.init_args"
        found = InfoNCE() if loss is None else build(loss, f"{key}.loss")
        if not isinstance(found, PairLoss | SetLoss):
            raise ValueError(f"{key}.loss: {type(found).__name__} is no omni.losses.PairLoss or SetLoss")
        if isinstance(found, SetLoss) and anchors is not None:
            raise ValueError(f"{key}.anchors: {type(found).__name__} takes all modalities at once; leave anchors out")
        if anchors is not None and (isinstance(anchors, str) or not anchors):
            raise ValueError(f"{key}.anchors must be a list of modalities or null, not {anchors!r}")
        self.loss: PairLoss | SetLoss = found
        self.anchors = None if anchors is None else list(anchors)
        self.same_text = same_text

    # --- samples ---

    def begin_run(self, model: JointSpace) -> None:
        """Check that the space has the anchors, and tell it how the loss compares items.

        Raises:
            ValueError: the space lacks an anchor.
        """
        for name in self.anchors or []:
            if name not in model.modalities:
                has = sorted(model.modalities)
                raise ValueError(f"objective.init_args.anchors: the space has no modality {name!r}; it has {has}")
        model.interaction = LATE if self._uses_tokens else POOLED

    def prepare(self, model: JointSpace, sample: Sample) -> Example:
        """Return the items of a row that the space has modalities for, preprocessed.

        Raises:
            LeftOutError: there is only one, which has nothing to be bound to.
            SampleError: there is none, none of an anchor, or several of one modality.
            MediaError: an item cannot be read.
        """
        items = items_of(model, sample)
        text = text_of(sample)
        names = [item.modality for item in items]
        if len(set(names)) < len(names):
            raise SampleError(sample.id, f"has several items of one modality ({names}); a row to bind has one of each")
        if len(names) < 2:
            have, error = (names[0], LeftOutError) if names else ("nothing", SampleError)
            raise error(
                sample.id, f"holds {have} of the space's {sorted(model.modalities)}; binding needs at least two"
            )
        if self.anchors is not None and not set(self.anchors) & set(names):
            raise SampleError(sample.id, f"holds {names}, none of which is an anchor ({self.anchors})")
        media = [model.prepare_media(item, sample.id, index) for index, item in enumerate(items)]
        group = text.lower() if text else sample.id
        # One label, so that the row counts as one: it has no answer tokens.
        return Example(
            sample.id, torch.zeros(0, dtype=torch.long), torch.zeros(1, dtype=torch.long), media, 1, None, group
        )

    # --- the loss; see `WholeBatchObjective` ---

    def embed(self, model: JointSpace, batch: Sequence[Example]) -> EmbeddedRows:
        """Return unit embeddings of all items of a micro-batch, by modality."""
        found = EmbeddedRows(groups=[example.group or example.id for example in batch])
        for name in model.modalities:
            places = [
                (row, item) for row, example in enumerate(batch) for item in example.media if item.modality == name
            ]
            if not places:
                continue
            features = model.encode_items(name, [item for _, item in places])
            found.rows[name] = [row for row, _ in places]
            if self._uses_tokens:
                tokens, mask = model.modality(name).embed_tokens(features, model.device)
                found.values[name], found.masks[name] = F.normalize(tokens, dim=-1), mask
            else:
                found.values[name] = F.normalize(model.embed_features(name, features), dim=-1)
        return found

    def loss_parameters(self, model: JointSpace) -> list[nn.Parameter]:
        """Return the logit scale, and what the loss has itself."""
        return [model.log_logit_scale, *self.loss.parameters()]

    def can_compare(self, rows: EmbeddedRows) -> bool:
        """Return whether two of the rows have items that are bound."""
        return bool(self._compared(rows))

    def whole_batch_loss(self, model: JointSpace, rows: EmbeddedRows) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean loss over pairs of items (or over rows, with a `SetLoss`).

        Metrics: the loss of each pair (or set) of modalities, and the logit scale.
        """
        logit_scale = model.logit_scale
        compared = self._compared(rows)
        terms = {names: self._loss_of(rows, names, chosen, logit_scale) for names, chosen in compared.items()}
        total = sum(len(chosen) for chosen in compared.values())
        loss = torch.zeros((), device=logit_scale.device)
        for names, value in terms.items():
            loss = loss + value * (len(compared[names]) / total)
        metrics = {f"loss_{'_'.join(names)}": value.detach() for names, value in terms.items()}
        return loss, {**metrics, "logit_scale": logit_scale.detach()}

    def _compared(self, rows: EmbeddedRows) -> dict[tuple[str, ...], list[int]]:
        """Pairs of modalities, or sets with a `SetLoss` -> the rows that are compared with each other by them."""
        if isinstance(self.loss, SetLoss):
            found = _rows_by_modalities(rows)
        else:
            pairs = self._pairs([*rows.values])
            found = {pair: sorted(set(rows.rows[pair[0]]) & set(rows.rows[pair[1]])) for pair in pairs}
        return {names: chosen for names, chosen in found.items() if len(chosen) >= FEWEST_ROWS}

    def _loss_of(self, rows: EmbeddedRows, names: Sequence[str], chosen: Sequence[int], logit_scale: Tensor) -> Tensor:
        values = [_take(rows, name, chosen) for name in names]
        same = self._same(rows, chosen)
        if isinstance(self.loss, SetLoss):
            return self.loss(values, same, logit_scale)
        if not self._uses_tokens:
            return self.loss(*values, same, logit_scale)
        masks = [rows.masks[name][_positions(rows, name, chosen)] for name in names]
        return self.loss(*values, same, logit_scale, *masks)

    @property
    def _uses_tokens(self) -> bool:
        return isinstance(self.loss, PairLoss) and self.loss.uses_tokens

    def _pairs(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """Pairs of modalities that are bound, the anchor first."""
        if self.anchors is None:
            return [*combinations(sorted(names), 2)]
        anchors = [name for name in self.anchors if name in names]
        pairs = [(anchor, name) for anchor in anchors for name in sorted(names) if name not in anchors]
        return [*combinations(anchors, 2), *pairs]

    def _same(self, rows: EmbeddedRows, chosen: Sequence[int]) -> Tensor:
        device = next(iter(rows.values.values())).device
        if not self.same_text:
            return torch.eye(len(chosen), dtype=torch.bool, device=device)
        numbers: dict[str, int] = {}
        found = [numbers.setdefault(rows.groups[row], len(numbers)) for row in chosen]
        groups = torch.tensor(found, device=device)
        return groups[:, None] == groups


def _positions(rows: EmbeddedRows, name: str, chosen: Sequence[int]) -> Tensor:
    place = {row: position for position, row in enumerate(rows.rows[name])}
    return torch.tensor([place[row] for row in chosen], device=rows.values[name].device)


def _take(rows: EmbeddedRows, name: str, chosen: Sequence[int]) -> Tensor:
    return rows.values[name][_positions(rows, name, chosen)]


def _rows_by_modalities(rows: EmbeddedRows) -> dict[tuple[str, ...], list[int]]:
    """Modalities -> the rows that have just these."""
    found: dict[tuple[str, ...], list[int]] = {}
    held: list[list[str]] = [[] for _ in rows.groups]
    for name, members in rows.rows.items():
        for row in members:
            held[row].append(name)
    for row, names in enumerate(held):
        if len(names) >= 2:
            found.setdefault(tuple(sorted(names)), []).append(row)
    return found
