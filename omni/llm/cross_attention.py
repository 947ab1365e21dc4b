"""Media that the layers of the LLM attend to (`adapters.AttendedAdapter`), and how they get there.

Hooks before the LLM and before each of its layers, which do nothing outside `attending`. They stand outside of what
else is done to layers: compiled, checkpointed, sharded or with LoRA, a layer only ever sees another input. So no
collective operation of a sharded LLM depends on which media a process has.

A *column* is a place in the rows that the LLM reads, those in its cache included.
Shapes: R rows, L columns of this call, K media states of a row, W their width, D width of the LLM.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from adapters import AttendedAdapter


@dataclass(frozen=True)
class AttendedSpan:
    """Which columns of a row see a media item: those from `start` on, and before `end`."""

    row: int
    modality: str
    states: Tensor  # [K, W]
    start: int
    end: int


@dataclass(frozen=True)
class _OfModality:
    """All media of one modality: a state is seen from the columns from `start` on, and before `end`."""

    adapter: AttendedAdapter
    layers: frozenset[int]  # those that the adapter has a block before
    states: Tensor  # [R, K, W]
    start: Tensor  # [R, K]
    end: Tensor  # [R, K]; 0 where there is no state

    def rows(self, index: Tensor) -> _OfModality:
        return replace(self, states=self.states[index], start=self.start[index], end=self.end[index])


@dataclass
class AttendedMedia:
    """The media that the rows of one batch attend to, for the calls of the LLM inside `attending`."""

    modalities: list[_OfModality]
    recompute: bool  # whether the backward pass computes the blocks again, to save memory
    # What every block looks at, if somebody wants to know: (index of the modality, [R, L, K] or None = not known).
    record: list[tuple[int, Tensor | None]] | None = None
    _first_column: int = 0
    _visible: dict[tuple[int, int, int], tuple[_OfModality, Tensor]] = field(default_factory=dict)

    def rows(self, index: Tensor) -> AttendedMedia:
        """Return the media of rows `index`, as of a batch of its own."""
        return AttendedMedia([one.rows(index) for one in self.modalities], self.recompute)

    def begin(self, first_column: int) -> None:
        """Note that the LLM is called with columns from `first_column` on."""
        self._first_column = first_column
        self._visible.clear()

    def before_layer(self, layer: int, hidden: Tensor) -> Tensor:
        """Return what the layer takes instead of [R, L, D], or of several rows for each of R in turn (beams)."""
        for index in range(len(self.modalities)):
            if layer in self.modalities[index].layers:
                media, visible = self._seen_by(index, hidden)
                if self.record is not None:
                    weights = media.adapter.attended_weights(layer, hidden, media.states, visible)
                    self.record.append((index, weights))
                if self.recompute and torch.is_grad_enabled():
                    hidden = cast(
                        Tensor,
                        checkpoint(media.adapter.attend, layer, hidden, media.states, visible, use_reentrant=False),
                    )
                else:
                    hidden = media.adapter.attend(layer, hidden, media.states, visible)
        return hidden

    def _seen_by(self, index: int, hidden: Tensor) -> tuple[_OfModality, Tensor]:
        num_rows, length = hidden.shape[:2]
        key = (index, num_rows, length)
        if key not in self._visible:
            media = self.modalities[index]
            copies, rest = divmod(num_rows, len(media.states))
            assert rest == 0, (num_rows, len(media.states))
            if copies > 1:
                media = media.rows(torch.arange(num_rows, device=hidden.device) // copies)
            columns = torch.arange(self._first_column, self._first_column + length, device=hidden.device)[:, None]
            visible = (media.start[:, None] <= columns) & (columns < media.end[:, None])
            self._visible[key] = media, visible
        return self._visible[key]


# The value belongs to the thread or task that runs the LLM: hooks have no other way to know what a call is about, since
# most architectures of transformers pass on no arguments that they do not know.
_ATTENDED: ContextVar[AttendedMedia | None] = ContextVar("attended_media", default=None)


@contextmanager
def attending(media: AttendedMedia | None) -> Iterator[None]:
    """Inside, the layers of the LLM attend to `media`; None = to none."""
    token = _ATTENDED.set(media)
    try:
        yield
    finally:
        _ATTENDED.reset(token)


def gather(
    spans: Sequence[AttendedSpan], adapters: Mapping[str, AttendedAdapter], num_rows: int, recompute: bool
) -> AttendedMedia | None:
    """Return the media of a batch of `num_rows` rows by modality, in the order of their names; None = there are none.

    Each block sees what the blocks of the modalities before it have added. `recompute`: whether the backward pass
    computes the blocks again, to save memory.
    """
    of_modality: dict[str, list[list[AttendedSpan]]] = defaultdict(lambda: [[] for _ in range(num_rows)])
    for span in spans:
        if len(span.states) == 0:  # an item without a single real feature
            continue
        of_modality[span.modality][span.row].append(span)
    found = [_of_modality(adapters[name], rows) for name, rows in sorted(of_modality.items())]
    return AttendedMedia(found, recompute) if found else None


def _of_modality(adapter: AttendedAdapter, rows: list[list[AttendedSpan]]) -> _OfModality:
    some = next(span.states for row in rows for span in row)
    states, starts, ends = [], [], []
    for row in rows:
        stops = [span.end for span in row]
        if adapter.attend_to == "last":
            for index, following in enumerate(row[1:]):
                stops[index] = min(stops[index], following.start)  # a sample of a pack ends before the next begins
        lengths = torch.tensor([len(span.states) for span in row], dtype=torch.long)
        states.append(torch.cat([span.states for span in row]) if row else some[:0])
        starts.append(torch.tensor([span.start for span in row], dtype=torch.long).repeat_interleave(lengths))
        ends.append(torch.tensor(stops, dtype=torch.long).repeat_interleave(lengths))
    device = some.device
    return _OfModality(
        adapter,
        frozenset(adapter.attended_layers),
        pad_sequence(states, batch_first=True),
        pad_sequence(starts, batch_first=True).to(device),
        pad_sequence(ends, batch_first=True).to(device),
    )


def insert(decoder: nn.Module, layers: Sequence[nn.Module]) -> None:
    """Let `layers` of the LLM, which run inside `decoder`, attend to media inside `attending`. Call it once."""
    decoder.register_forward_pre_hook(_before_llm, with_kwargs=True)
    for index, layer in enumerate(layers):
        layer.register_forward_pre_hook(partial(_before_layer, index), with_kwargs=True)


def _before_llm(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    media = _ATTENDED.get()
    if media is not None:
        cache = kwargs.get("past_key_values")
        media.begin(0 if cache is None else int(cache.get_seq_length()))


def _before_layer(index: int, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    media = _ATTENDED.get()
    if media is None:
        return None
    if args:
        return (media.before_layer(index, args[0]), *args[1:]), kwargs
    return args, kwargs | {"hidden_states": media.before_layer(index, kwargs["hidden_states"])}
