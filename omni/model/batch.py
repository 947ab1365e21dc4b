"""Examples (prepared conversations) and how embedded ones are put together for the LLM, padded or packed.

Shapes: B batch, L length of one conversation, T length of a pack, D width of the LLM, C clips, N features.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, takewhile

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from omni.encoders.media_input import MediaInput
from omni.llm.cross_attention import AttendedSpan
from omni.prompts.chat_layout import IGNORED_LABEL

END = 1 << 60  # a column behind whatever will be generated


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
    leading_ids: tuple[int, ...] = ()  # tokens before the first media item that are no answer tokens and predict none
    needed: int | None = None  # tokens up to the last that predicts an answer token; None = all


@dataclass(frozen=True)
class LLMInputs:
    """What goes into the LLM: padded rows with an attention mask, or one pack of samples of known lengths."""

    inputs_embeds: Tensor  # [B, L, D], or [1, T, D] packed
    targets: Tensor  # [B, L] or [1, T]: what each position predicts, IGNORED_LABEL where that does not count
    attention_mask: Tensor | None  # [B, L] int64; None when packed
    position_ids: Tensor  # [B, L] or [1, T]
    lengths: tuple[int, ...] | None = None  # of the samples in a pack, without what they share; None when padded
    shared: int = 0  # tokens at the beginning of a pack that all its samples see
    attended: tuple[AttendedSpan, ...] = ()  # by row, then by place

    def counted(self) -> tuple[Tensor, Tensor]:
        """Where logits are needed (bool, like `targets`) and the targets there."""
        keep = self.targets != IGNORED_LABEL
        return keep, self.targets[keep]

    def owners(self) -> Tensor:
        """Which example (0, 1, ...) each position belongs to, shaped like `targets`."""
        if self.lengths is not None:  # what is shared counts as the first one's
            counts = torch.tensor([self.lengths[0] + self.shared, *self.lengths[1:]], device=self.targets.device)
            return torch.repeat_interleave(counts)[None]
        return torch.arange(len(self.targets), device=self.targets.device)[:, None].expand_as(self.targets)


def extent(example: Example, slots: Sequence[int], widths: Sequence[int]) -> tuple[tuple[int, ...], int | None]:
    """`leading_ids` and `needed` of an example whose media `slots` become so many tokens (`widths`)."""
    labelled = (example.labels != IGNORED_LABEL).nonzero().flatten().tolist()
    leading = min([*slots, *(index - 1 for index in labelled[:1])], default=len(example.labels) - 1)
    ids = tuple(example.token_ids[: max(0, leading)].tolist())
    if not labelled:
        return ids, None
    more = sum(width - 1 for slot, width in zip(slots, widths, strict=True) if slot < labelled[-1])
    return ids, labelled[-1] + more


def pad(examples: Sequence[EmbeddedExample], side: str = "left") -> LLMInputs:
    """A padded batch; with the mask, the side changes nothing but which positions are computed for nothing."""
    embeds = pad_sequence([example.embeds for example in examples], batch_first=True, padding_side=side)
    targets = pad_sequence(
        [_targets(example.labels) for example in examples],
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
    return LLMInputs(embeds, targets, mask, (mask.cumsum(-1) - 1).clamp(min=0), attended=tuple(attended))


def pack(examples: Sequence[EmbeddedExample], *, share: bool = False) -> LLMInputs:
    """All examples in one row, without a pad and without what stands behind the last token that predicts an answer.

    Positions start again at 0 with each; `omni.llm.packed_attention` keeps them from seeing each other. With `share`,
    the text with which all of them begin (that of the chat template, before the first media item) stands there once,
    and positions go on from it.
    """
    shared = _common_length([example.leading_ids for example in examples]) if share and len(examples) > 1 else 0
    needed = [len(example.labels) if example.needed is None else example.needed for example in examples]
    # the shared tokens as the first example has them: none of them predicts a token that counts
    starts = [0] + [shared] * (len(examples) - 1)
    spans = [slice(start, length) for start, length in zip(starts, needed, strict=True)]
    embeds = torch.cat([example.embeds[span] for example, span in zip(examples, spans, strict=True)])[None]
    targets = torch.cat([_targets(example.labels)[span] for example, span in zip(examples, spans, strict=True)])[None]
    positions = torch.cat([torch.arange(span.start, span.stop, device=embeds.device) for span in spans])[None]
    lengths = tuple(length - shared for length in needed)
    ends = [shared + end for end in accumulate(lengths)]
    attended = [
        AttendedSpan(0, item.modality, item.states, end - length + item.position, end)
        for example, length, end in zip(examples, needed, ends, strict=True)
        for item in example.attended
    ]
    return LLMInputs(embeds, targets, None, positions, lengths, shared, tuple(attended))


def _common_length(rows: Sequence[tuple[int, ...]]) -> int:
    """How many first entries are the same in all rows: as many as in the first and the last of them in order."""
    smallest, largest = min(rows), max(rows)
    same = (one == other for one, other in zip(smallest, largest, strict=False))
    return sum(takewhile(bool, same))


def _targets(labels: Tensor) -> Tensor:
    """Labels [L] of tokens to the label of the token after each. The first token is predicted by nothing."""
    return torch.cat([labels[1:], labels.new_full((1,), IGNORED_LABEL)])
