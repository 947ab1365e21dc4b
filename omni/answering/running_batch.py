"""Conversations that are answered together, a token for each in one call of the LLM; they join and leave in between.

Shapes: R rows, C columns of the cache, D width of the LLM, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from omni.answering.choosing import choose
from omni.answering.row import Row
from omni.answering.row_cache import RowCache
from omni.llm.cross_attention import AttendedMedia, AttendedSpan, attending
from omni.model import OmniModel
from omni.model.batch import END, pad

_ROOM = 64  # columns of the mask that are made at a time


class RunningBatch:
    """The rows of one batch, their cache, and what they look at.

    The caller sees to it that the LoRAs of these conversations are on.

    Args:
        model: the model, whose LLM can pad and has a cache that `RowCache` can hold.
    """

    def __init__(self, model: OmniModel) -> None:
        self._model = model
        self.rows: list[Row] = []
        self._lengths: list[int] = []  # tokens of each row in the cache
        self._cache: RowCache | None = None
        self._media: AttendedMedia | None = None
        self._mask = torch.empty(0)  # [R, C and more] int64, 1 in the columns to come
        self._positions = torch.empty(0)  # [R, 1] of the next tokens

    @property
    def num_columns(self) -> int:
        """Columns of the cache."""
        return 0 if self._cache is None else self._cache.num_columns

    @property
    def num_bytes(self) -> int:
        """Bytes of the cache."""
        return 0 if self._cache is None else self._cache.num_bytes

    @torch.no_grad()
    def join(self, rows: Sequence[Row]) -> None:
        """Read new conversations, choose their first tokens, and take in those that have not ended with it.

        Where the LLM raises an error, nothing has changed.
        """
        inputs = pad([row.prompt.unread() for row in rows], side="left")
        with attending(self._model.attended_media(inputs)):
            output = self._model.llm(
                inputs.inputs_embeds,
                1,
                attention_mask=inputs.attention_mask,
                position_ids=inputs.position_ids,
                use_cache=True,
            )
        if self._cache is None:
            self._cache = RowCache(output.past_key_values)
        else:
            self._cache.join(output.past_key_values)
        self.rows = [*self.rows, *rows]
        self._lengths += [row.prompt.length for row in rows]
        self._arrange()
        for row in rows:
            row.forget_tokens()
        _take(rows, output.logits[:, -1])
        self.remove_ended()

    @torch.no_grad()
    def step(self) -> None:
        """Choose a token for each row, of which there are some; those that end with it leave."""
        assert self._cache is not None
        device = self._positions.device
        last = torch.tensor([[row.last_token] for row in self.rows], device=device)
        end = self._cache.num_columns + 1
        if end > self._mask.shape[1]:
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(self.rows), _ROOM)], dim=1)
        with attending(self._media):
            output = self._model.llm(
                self._model.llm.embed(last),
                1,
                attention_mask=self._mask[:, :end],
                position_ids=self._positions,
                past_key_values=self._cache.cache,
                use_cache=True,
            )
        self._positions = self._positions + 1
        self._lengths = [length + 1 for length in self._lengths]
        _take(self.rows, output.logits[:, -1])
        self.remove_ended()

    def fail(self, error: Exception) -> None:
        """End all answers with an error."""
        for row in self.rows:
            row.fail(error)
        self.remove_ended()

    def remove_ended(self) -> None:
        """Let rows that have ended leave, and the pads that they made."""
        kept = [r for r, row in enumerate(self.rows) if row.ended is None]
        if len(kept) == len(self.rows):
            return
        self.rows = [self.rows[r] for r in kept]
        self._lengths = [self._lengths[r] for r in kept]
        if kept:
            assert self._cache is not None
            self._cache.keep(kept, max(self._lengths))
            self._arrange()
        else:
            self._cache, self._media = None, None

    def _arrange(self) -> None:
        """Make the mask, the positions and the media again, for rows that came or went."""
        device, columns = self._model.device, self.num_columns
        lengths = torch.tensor(self._lengths, device=device)[:, None]
        self._positions = lengths.clone()
        places = torch.arange(columns + _ROOM, device=device)
        self._mask = (places >= columns - lengths).long()
        spans = [
            AttendedSpan(r, item.modality, item.states, columns - length + item.position, END)
            for r, (row, length) in enumerate(zip(self.rows, self._lengths, strict=True))
            for item in row.prompt.attended
        ]
        self._media = self._model.gather_attended(spans, len(self.rows)) if spans else None


def _take(rows: Sequence[Row], logits: Tensor) -> None:
    """Choose the next token of each row by logits [R, V]."""
    for row, chosen in zip(rows, choose(logits, [row.chooser for row in rows]), strict=True):
        row.take(chosen)


def can_hold(model: OmniModel) -> bool:
    """Return whether a batch can hold a conversation of this model, whose answer goes on from its cache."""
    llm: Any = model.llm
    if llm.length_switches or llm.own_positions or not llm.capabilities.can_continue:
        return False
    with torch.no_grad(), attending(None):
        output = llm(llm.sample_embeddings(4)[None], 1, use_cache=True)
    return RowCache.can_hold(getattr(output, "past_key_values", None))  # Mamba has another kind of memory


def can_join(model: OmniModel) -> bool:
    """Return whether a batch can hold several conversations, each as if it were alone; takes runs of the LLM."""
    return model.llm.can_pad and model.llm.can_copy_cache
