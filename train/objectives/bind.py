"""Binding: items that occur together come near each other in a joint space.

The loss needs all rows of a step at once, while a process computes one micro-batch at a time. So each step embeds
everything without gradients first, takes the loss and its gradient with respect to the embeddings over the whole
global batch, and then goes through the micro-batches again with those gradients (GradCache, Gao et al. 2021, arXiv
2101.06983). That is exactly the big batch's gradient, in the memory of a micro-batch, and neither accumulation nor the
number of processes changes it. Frozen encoders run once; what is trained behind them twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omni.config.components import build
from omni.encoders.media_input import MediaInput
from omni.joint_space import JointSpace
from omni.joint_space.inputs import text_of
from omni.joint_space.rows import items_of
from omni.losses import InfoNCE, PairLoss, SetLoss
from omni.model.batch import Example
from omni.model.encoder_stack import EncoderStack
from omni.samples.messages import Sample, SampleError

_FEWEST_ROWS = 2  # below, there is nothing to tell apart


@dataclass
class EmbeddedRows:
    """Unit embeddings of the rows of one or several micro-batches, by modality."""

    values: dict[str, Tensor] = field(default_factory=dict)  # [B, D], or [B, N, D] for late interaction
    masks: dict[str, Tensor] = field(default_factory=dict)  # [B, N], for late interaction only
    rows: dict[str, list[int]] = field(default_factory=dict)  # which row each is of
    groups: list[str] = field(default_factory=list)  # of each row; rows of one group mean the same

    def detached(self) -> "EmbeddedRows":
        """A copy on the CPU, to be sent to other processes."""
        values = {name: value.detach().cpu() for name, value in self.values.items()}
        return replace(self, values=values, masks={name: mask.cpu() for name, mask in self.masks.items()})

    def single_rows(self) -> list["EmbeddedRows"]:
        """Each row by itself, in memory of its own: a view would be sent to other processes with all the rest."""
        found = [EmbeddedRows(groups=[group]) for group in self.groups]
        for name, members in self.rows.items():
            for position, row in enumerate(members):
                found[row].rows[name] = [0]
                found[row].values[name] = self.values[name][position : position + 1].clone()
                if name in self.masks:
                    found[row].masks[name] = self.masks[name][position : position + 1].clone()
        return found

    @classmethod
    def joined(cls, parts: Sequence["EmbeddedRows"], device: torch.device) -> "EmbeddedRows":
        """All parts as one, in order."""
        whole = cls(groups=[group for part in parts for group in part.groups])
        for name in sorted({name for part in parts for name in part.values}):
            values, masks, first = [], [], 0
            for part in parts:
                if name in part.values:
                    values.append(part.values[name].to(device))
                    masks.append(part.masks[name].to(device) if name in part.masks else None)
                    whole.rows.setdefault(name, []).extend(first + row for row in part.rows[name])
                first += len(part.groups)
            longest = max(value.shape[1] for value in values)
            if masks[0] is not None:
                values = [F.pad(value, (0, 0, 0, longest - value.shape[1])) for value in values]
                padded = [F.pad(mask, (0, longest - mask.shape[1])) for mask in masks if mask is not None]
                whole.masks[name] = torch.cat(padded)
            whole.values[name] = torch.cat(values)
        return whole


@dataclass(frozen=True)
class _Planned:
    """What a micro-batch of the step contributes: gradients with respect to its embeddings, and its share."""

    gradients: dict[str, Tensor]
    share: float


class BindObjective(nn.Module):
    """A contrastive loss between the items of a row, over all rows of a step.

    A row's items are its media, and its text where the space has the modality `text`: the assistant's answer, or the
    user's text if there is none. Rows that lack modalities take part with those they have. The temperature is the
    space's, learned unless `train.freeze` names `log_logit_scale`.

    Args:
        loss: class path and arguments of one of `omni.losses`; default: InfoNCE.
        anchors: only pairs with one of these are bound, such as [image] in ImageBind or [text] in LanguageBind;
            null = all pairs. A row without an anchor is bad.
        same_text: rows with the same text (in any case; the same id where there is no text) are no negatives of each
            other.
    """

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
        self._planned: list[_Planned] = []
        self._parameter_gradients: list[tuple[nn.Parameter, Tensor]] = []
        self._value = torch.zeros(())
        self._metrics: dict[str, Tensor] = {}

    # --- samples ---

    def begin_run(self, model: EncoderStack) -> None:
        """See `train.objectives.SampleObjective`: check that the model is a space with the anchors."""
        if not isinstance(model, JointSpace):
            raise ValueError("objective: BindObjective trains a joint space: the recipe needs joint_space, not model")
        for name in self.anchors or []:
            if name not in model.modalities:
                has = sorted(model.modalities)
                raise ValueError(f"objective.init_args.anchors: the space has no modality {name!r}; it has {has}")

    def begin_step(self, num_samples: int) -> None:
        """See `train.objectives.SampleObjective`."""
        self._planned = []

    def check_batch(self, global_batch_size: int) -> None:
        """Raise ValueError if a step has too few rows to tell apart: it would train nothing."""
        if global_batch_size < _FEWEST_ROWS:
            raise ValueError(
                f"objective: BindObjective compares the rows of a step, but a step has {global_batch_size}: raise "
                "train.batch_size or train.accumulation_steps"
            )

    def prepare(self, model: JointSpace, sample: Sample) -> Example:
        """The items of a row that the space has modalities for, preprocessed.

        Raises:
            SampleError: there are fewer than two, none of an anchor, or several of one modality.
            MediaError: an item cannot be read.
        """
        items = items_of(model, sample)
        text = text_of(sample)
        names = [item.modality for item in items]
        if len(set(names)) < len(names):
            raise SampleError(sample.id, f"has several items of one modality ({names}); a row to bind has one of each")
        if len(names) < 2:
            have = names[0] if names else "nothing"
            raise SampleError(
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

    # --- a step: plan it over the whole batch, then one forward pass for each micro-batch ---

    def encode_frozen(self, model: JointSpace, batch: Sequence[Example]) -> list[Example]:
        """The batch with the features of frozen encoders in place of their inputs, kept on the CPU."""
        frozen = {name for name in model.modalities if not model.modality(name).encoder.is_trained}
        parts = [[item for item in example.media if item.modality in frozen] for example in batch]
        encoded = model.encode_media([replace(example, media=part) for example, part in zip(batch, parts, strict=True)])
        found = []
        for example, done in zip(batch, encoded, strict=True):
            by_name = {item.modality: _on_cpu(item) for item in done.media}
            found.append(replace(example, media=[by_name.get(item.modality, item) for item in example.media]))
        return found

    def embed(self, model: JointSpace, batch: Sequence[Example]) -> EmbeddedRows:
        """Unit embeddings of all items of a micro-batch; see `EmbeddedRows`."""
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

    def plan_step(self, model: JointSpace, parts: Sequence[EmbeddedRows], mine: Sequence[int]) -> None:
        """Take the loss over all micro-batches of the step, in order, and keep the gradients of those that are `mine`.

        Args:
            parts: embeddings of every micro-batch of every process.
            mine: indices of those that this process will run, in order, without empty ones.
        """
        whole = EmbeddedRows.joined(parts, model.device)
        for value in whole.values.values():
            value.requires_grad_()
        with torch.enable_grad():
            loss, self._metrics = self.whole_batch_loss(whole, model.logit_scale)
        own = [model.log_logit_scale, *self.loss.parameters()]
        trained = [parameter for parameter in own if parameter.requires_grad]
        names = [*whole.values]
        targets = [*whole.values.values(), *trained]
        if loss.requires_grad:
            gradients = torch.autograd.grad(loss, targets, allow_unused=True, materialize_grads=True)
        else:
            gradients = [torch.zeros_like(target) for target in targets]
        self._value = loss.detach()
        self._parameter_gradients = [*zip(trained, gradients[len(names) :], strict=True)]
        by_part = _split(dict(zip(names, gradients, strict=False)), parts)
        num_rows = max(1, len(whole.groups))
        self._planned = [_Planned(by_part[index], len(parts[index].groups) / num_rows) for index in mine]

    def forward(
        self, model: JointSpace, batch: Sequence[Example], num_answer_tokens: int, *, packed: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `train.objectives.Objective`.

        Without a planned step the loss is that of this batch alone, times its rows, divided by `num_answer_tokens`
        (rows of the step). Metrics: the loss of each pair of modalities, and the logit scale.
        """
        embedded = self.embed(model, batch)
        if not self._planned:
            loss, metrics = self.whole_batch_loss(embedded, model.logit_scale)
            share = len(batch) / num_answer_tokens
            return loss * share, {name: value * share for name, value in metrics.items()}
        planned = self._planned.pop(0)
        # Its gradient is that of the whole loss; its value is replaced by this micro-batch's share of the loss.
        proxy = torch.zeros((), device=model.device)
        for name, values in embedded.values.items():
            proxy = proxy + (values * planned.gradients[name][:, : values.shape[1]]).sum()
        for parameter, gradient in self._parameter_gradients:
            proxy = proxy + (parameter * gradient).sum() * planned.share
        metrics = {name: value * planned.share for name, value in self._metrics.items()}
        return proxy - proxy.detach() + self._value * planned.share, metrics

    def whole_batch_loss(self, rows: EmbeddedRows, logit_scale: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss over all rows at once, the mean over pairs of items (or, of a `SetLoss`, over rows)."""
        terms: dict[str, tuple[Tensor, int]] = {}
        if isinstance(self.loss, SetLoss):
            for names, chosen in _rows_by_modalities(rows).items():
                if len(chosen) >= _FEWEST_ROWS:
                    values = [_take(rows, name, chosen) for name in names]
                    terms["_".join(names)] = self.loss(values, self._same(rows, chosen), logit_scale), len(chosen)
        else:
            for first, second in self._pairs([*rows.values]):
                chosen = sorted(set(rows.rows[first]) & set(rows.rows[second]))
                if len(chosen) >= _FEWEST_ROWS:
                    terms[f"{first}_{second}"] = self._pair_loss(rows, first, second, chosen, logit_scale), len(chosen)
        total = sum(count for _, count in terms.values())
        loss = torch.zeros((), device=logit_scale.device)
        for value, count in terms.values():
            loss = loss + value * (count / total)
        metrics = {f"loss_{name}": value.detach() for name, (value, _) in terms.items()}
        return loss, {**metrics, "logit_scale": logit_scale.detach()}

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

    def _pair_loss(
        self, rows: EmbeddedRows, first: str, second: str, chosen: Sequence[int], logit_scale: Tensor
    ) -> Tensor:
        assert isinstance(self.loss, PairLoss)
        values = [_take(rows, name, chosen) for name in (first, second)]
        same = self._same(rows, chosen)
        if not self._uses_tokens:
            return self.loss(*values, same, logit_scale)
        masks = [rows.masks[name][_positions(rows, name, chosen)] for name in (first, second)]
        return self.loss(*values, same, logit_scale, *masks)

    def _same(self, rows: EmbeddedRows, chosen: Sequence[int]) -> Tensor:
        device = next(iter(rows.values.values())).device
        if not self.same_text:
            return torch.eye(len(chosen), dtype=torch.bool, device=device)
        numbers: dict[str, int] = {}
        found = [numbers.setdefault(rows.groups[row], len(numbers)) for row in chosen]
        groups = torch.tensor(found, device=device)
        return groups[:, None] == groups


def _on_cpu(item: MediaInput) -> MediaInput:
    features = item.features
    if features is None or features.values.device.type == "cpu":
        return item
    return replace(item, features=type(features)(features.values.cpu(), features.mask.cpu()))


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


def _split(gradients: Mapping[str, Tensor], parts: Sequence[EmbeddedRows]) -> list[dict[str, Tensor]]:
    """Gradients of the joined embeddings, part by part."""
    found: list[dict[str, Tensor]] = [{} for _ in parts]
    for name, gradient in gradients.items():
        sizes = [len(part.rows.get(name, [])) for part in parts]
        for target, piece in zip(found, gradient.split(sizes), strict=True):
            target[name] = piece
    return found
