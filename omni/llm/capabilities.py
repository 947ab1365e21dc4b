"""What an LLM can do, found out by running it on a few tokens (`omni.llm.trials`) when first asked, and remembered."""

import functools
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from omni.llm.answer_head import AnswerHead, find_answer_head
from omni.llm.cross_attention import attending
from omni.llm.packed_attention import SHARING, SPLIT, PackAttention, pack_arguments, register
from omni.llm.pretrained_lm import PretrainedLM
from omni.llm.trials import honours_copied_cache, honours_packing, honours_sharing, honours_tree_mask

logger = logging.getLogger(__name__)

_NUM_TOKENS = 12  # of a trial


class Capabilities:
    """What one LLM can do. Answers are found by forward passes, and so before it is compiled or spread over processes.

    Args:
        llm: the LLM; the attention of its layers is switched to the way of packing that is chosen.
    """

    def __init__(self, llm: PretrainedLM) -> None:
        self._llm = llm
        self._shares = False  # in the way of packing that was chosen

    @functools.cached_property
    def pack_attention(self) -> PackAttention | None:
        """How samples in one row are kept apart: the fastest way that works; None = they cannot be."""
        ways: list[PackAttention] = ["mask"]
        if self._llm.config.attention == "flash_attention_2":
            ways = ["varlen", "mask"]
        elif self._llm.device.type == "cpu":
            ways = ["split", "mask"]  # a GPU would wait for the many small calls of split
        for way in ways:
            if self._try_packing(way):
                return way
        logger.warning("%s cannot keep packed samples apart: they are padded instead", self._llm.config.name)
        return None

    @property
    def can_share(self) -> bool:
        """Whether samples in one row can have their common beginning there once."""
        return self.pack_attention is not None and self._shares

    @functools.cached_property
    def can_branch(self) -> bool:
        """Whether several continuations of one prefix can stand in one row."""
        if self._llm.config.attention == "flash_attention_2" or not self.can_copy_cache:
            return False
        with self._trial():
            return honours_tree_mask(self._llm.model, self._llm.sample_embeddings(_NUM_TOKENS))

    @functools.cached_property
    def can_copy_cache(self) -> bool:
        """Whether what a prefix left in the cache can serve several rows."""
        with self._trial():
            return honours_copied_cache(self._llm.model, self._llm.sample_embeddings(_NUM_TOKENS))

    @functools.cached_property
    def answer_head(self) -> AnswerHead | None:
        """The head apart from the rest, so that logits can be made in chunks; None where only both together will do."""
        with self._trial():
            found = find_answer_head(self._llm.causal_lm, self._llm.sample_embeddings(_NUM_TOKENS))
        if found is None:
            logger.warning("%s does more than a linear head: logits of all answers at once", self._llm.config.name)
        return found

    def use_pack_attention(self, way: PackAttention) -> None:
        """Keep samples in one row apart in this way and no other.

        Raises:
            ValueError: it does not work with this LLM.
        """
        if not self._try_packing(way):
            config = self._llm.config
            raise ValueError(
                f"packing in the way {way!r} does not keep samples apart in {config.name} with attention: "
                f"{config.attention}; auto finds out what does (split needs sdpa, varlen flash_attention_2)"
            )
        self.pack_attention = way

    def pack_arguments(self, lengths: Sequence[int], shared: int = 0) -> dict[str, Any]:
        """Return what the LLM is called with, besides embeddings and positions, for samples of `lengths` tokens in one
        row, behind `shared` tokens that all of them see."""
        assert self.pack_attention is not None
        return self._arguments_of(self.pack_attention, lengths, shared)

    def _arguments_of(self, way: PackAttention, lengths: Sequence[int], shared: int = 0) -> dict[str, Any]:
        return pack_arguments(way, lengths, self._llm.device, self._llm.dtype, shared)

    def _try_packing(self, way: PackAttention) -> bool:
        """Switch to this way if it works; else all stays as it is."""
        before = self._attention
        if not self._may_pack(way, before):
            return False
        register()
        self._set_attention(SPLIT if way == "split" else "sdpa" if before == SPLIT else before)
        model, embeds = self._llm.model, self._llm.sample_embeddings(_NUM_TOKENS)
        tried: PackAttention = "split" if way == "varlen" and self._waits_for_gpu else way  # which take the same
        with self._trial(SPLIT if tried == "split" else "sdpa"):
            honoured = honours_packing(model, embeds, lambda lengths: self._arguments_of(tried, lengths))
            sharing = way in SHARING and honours_sharing(
                model, embeds, lambda lengths, shared: self._arguments_of(way, lengths, shared)
            )
        if honoured:
            self._shares = sharing
        else:
            self._set_attention(before)
        return honoured

    def _may_pack(self, way: PackAttention, implementation: str) -> bool:
        """Whether a trial is worth it: what follows is what one with a few tokens could not tell."""
        if way == "varlen":
            return self._llm.config.attention == "flash_attention_2"
        if way == "reference":
            # The one mask is for all layers, so it has no windows; flash-attn takes no such mask, and what transformers
            # makes of it would index out of bounds, after which a GPU computes nothing more.
            return self._llm.attention_window is None and implementation != "flash_attention_2"
        if way == "split":
            # chunks of attention would be lost: only the mask that transformers makes knows of them
            chunks = getattr(self._llm.text_config, "attention_chunk_size", None)
            return implementation in ("sdpa", SPLIT) and not chunks
        return True

    @contextmanager
    def _trial(self, instead: str = "sdpa") -> Iterator[None]:
        """Make two runs inside comparable: no dropout, no media, and torch's random state is left as it is.

        Trials may come in the midst of a forward pass, whose media are not theirs. `instead`: the attention that stands
        in for one that only GPUs have.
        """
        before, implementation = self._llm.drops_out, self._attention
        self._llm.train(False)
        if self._waits_for_gpu:
            self._set_attention(instead)
        try:
            with attending(None):
                yield
        finally:
            self._set_attention(implementation)
            self._llm.train(before)

    @property
    def _waits_for_gpu(self) -> bool:
        """Whether it is on the CPU, where flash-attn takes nothing, before it is spread over GPUs."""
        return self._attention == "flash_attention_2" and self._llm.device.type == "cpu"

    @property
    def _attention(self) -> str:
        return cast(Any, self._llm.model).config._attn_implementation

    def _set_attention(self, implementation: str) -> None:
        if self._attention != implementation:
            cast(Any, self._llm.model).set_attn_implementation(implementation)
