"""Examples (prepared conversations) and how embedded ones are put together for the LLM, padded or packed.

Shapes: B batch, L length of one conversation, T length of a pack, D width of the LLM, C clips, N features.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from omni.conversation import IGNORED_LABEL
from omni.encoders.base import Features

END = 1 << 60  # a column behind whatever will be generated


@dataclass(frozen=True)
class MediaInput:
    """One media item, preprocessed (`inputs`) or already encoded (`features`)."""

    modality: str
    inputs: dict[str, Tensor] | None  # each [C, ...], what the encoder takes
    features: Features | None  # [C, N, D] and [C, N], from the cache
    instruction: str = ""
    content_hash: str | None = None  # key in the feature cache; None = do not cache


@dataclass(frozen=True)
class Example:
    """A conversation ready for the model; made in data-loading workers."""

    id: str
    token_ids: Tensor  # [L] int64, MEDIA_SLOT where a media item's tokens go
    labels: Tensor  # [L] int64, IGNORED_LABEL everywhere but at answer tokens
    media: list[MediaInput] = field(default_factory=list)  # in the order of the slots
    length: int = 0  # tokens of text and (at most) of media
    rejected: "Example | None" = None  # of a preference pair: the same prompt and media with the worse answer
    group: str | None = None  # rows of one group mean the same, for contrastive losses

    @property
    def num_answer_tokens(self) -> int:
        """Tokens that the loss is taken over."""
        return int((self.labels != IGNORED_LABEL).sum())

    @property
    def lengths(self) -> list[int]:
        """`length` of each conversation: its own, and that of the rejected answer."""
        return [self.length] if self.rejected is None else [self.length, self.rejected.length]

    @property
    def modalities(self) -> frozenset[str]:
        return frozenset(item.modality for item in self.media)


@dataclass(frozen=True)
class AttendedItem:
    """A media item that the LLM's layers look at, beside the sequence."""

    modality: str
    states: Tensor  # [K, W]
    position: int  # tokens of the conversation before it


@dataclass(frozen=True)
class EmbeddedExample:
    """A conversation with every token as an embedding of the LLM."""

    embeds: Tensor  # [L, D]
    labels: Tensor  # [L]
    attended: tuple[AttendedItem, ...] = ()  # in their order


@dataclass(frozen=True)
class AttendedSpan:
    """Which columns of a row see a media item: those from `start` on, and before `end`."""

    row: int
    modality: str
    states: Tensor  # [K, W]
    start: int
    end: int


@dataclass(frozen=True)
class LLMInputs:
    """What goes into the LLM: padded rows with an attention mask, or one pack of samples of known lengths."""

    inputs_embeds: Tensor  # [B, L, D], or [1, T, D] packed
    labels: Tensor  # [B, L] or [1, T]
    attention_mask: Tensor | None  # [B, L] int64; None when packed
    position_ids: Tensor  # [B, L] or [1, T]
    lengths: tuple[int, ...] | None = None  # of the samples in a pack; None when padded
    attended: tuple[AttendedSpan, ...] = ()  # by row, then by place

    def shifted(self) -> tuple[Tensor, Tensor]:
        """Where logits are needed (bool, like `labels`) and the targets there: position t predicts label t + 1."""
        targets = torch.full_like(self.labels, IGNORED_LABEL)
        targets[:, :-1] = self.labels[:, 1:]
        keep = targets != IGNORED_LABEL
        return keep, targets[keep]

    def owners(self) -> Tensor:
        """Which example (0, 1, ...) each position belongs to, shaped like `labels`."""
        if self.attention_mask is None:
            return (self.position_ids == 0).cumsum(-1) - 1
        return torch.arange(len(self.labels), device=self.labels.device)[:, None].expand_as(self.labels)


def pad(examples: Sequence[EmbeddedExample], side: str = "left") -> LLMInputs:
    """A padded batch; with the mask, the side changes nothing but which positions are computed for nothing."""
    embeds = pad_sequence([example.embeds for example in examples], batch_first=True, padding_side=side)
    labels = pad_sequence(
        [_without_first(example.labels) for example in examples],
        batch_first=True,
        padding_value=IGNORED_LABEL,
        padding_side=side,
    )
    mask = pad_sequence(
        [torch.ones(len(example.labels), dtype=torch.long, device=embeds.device) for example in examples],
        batch_first=True,
        padding_side=side,
    )
    width = embeds.shape[1]
    attended = [
        AttendedSpan(row, item.modality, item.states, item.position + offset, END)
        for row, example in enumerate(examples)
        for offset in [width - len(example.labels) if side == "left" else 0]
        for item in example.attended
    ]
    return LLMInputs(embeds, labels, mask, (mask.cumsum(-1) - 1).clamp(min=0), attended=tuple(attended))


def pack(examples: Sequence[EmbeddedExample]) -> LLMInputs:
    """All examples in one row, without a pad. Positions start again at 0 with each; `omni.packed_attention` keeps them
    from seeing each other."""
    embeds = torch.cat([example.embeds for example in examples])[None]
    labels = torch.cat([_without_first(example.labels) for example in examples])[None]
    lengths = tuple(len(example.labels) for example in examples)
    positions = torch.cat([torch.arange(length, device=embeds.device) for length in lengths])[None]
    ends = [*accumulate(lengths)]
    attended = [
        AttendedSpan(0, item.modality, item.states, end - length + item.position, end)
        for example, length, end in zip(examples, lengths, ends, strict=True)
        for item in example.attended
    ]
    return LLMInputs(embeds, labels, None, positions, lengths, tuple(attended))


def _without_first(labels: Tensor) -> Tensor:
    """Nothing predicts a sample's first token: in a pack, the token before it belongs to another sample."""
    labels = labels.clone()
    labels[:1] = IGNORED_LABEL
    return labels


def with_features(example: Example, features: Sequence[Features]) -> Example:
    """The example with its media already encoded."""
    media = [replace(item, inputs=None, features=one) for item, one in zip(example.media, features, strict=True)]
    return replace(example, media=media)
