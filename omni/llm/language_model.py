"""The frozen causal language model, with its LoRA (PEFT); `omni.llm.loading` loads it.

Shapes: B batch, L sequence length, D width of the LLM, V vocabulary, K kept positions.
"""

import functools
import hashlib
import json
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from omni.config import LLMConfig, LoRAConfig
from omni.llm.answer_head import AnswerHead, Contexts, find_answer_head
from omni.llm.capabilities import honours_copied_cache, honours_packing, honours_sharing, honours_tree_mask
from omni.llm.cross_attention import attending
from omni.llm.packed_attention import SHARING, SPLIT, PackAttention, pack_arguments, register
from omni.losses import token_log_likelihoods
from omni.runtime.fast_linear import speed_up_linears

logger = logging.getLogger(__name__)

SHARED_LORA = "default"  # the name under which PEFT saves without a subfolder


class LanguageModel(nn.Module):
    """A causal LM of transformers with its tokenizer; frozen but for its LoRA."""

    def __init__(self, model: nn.Module, tokenizer: PreTrainedTokenizerBase, config: LLMConfig) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.config = config
        self.has_lora = False
        self._active_lora: frozenset[str] = frozenset()
        self.attends_to_media = False  # whether its layers look at media; see omni.llm.cross_attention
        self.recomputes_layers = False  # see omni.llm.layers.checkpoint_layers
        self.shares_beginnings = True  # whether samples of a pack share what all begin with, where that works
        self._sharing_works = False  # in the way of packing that was chosen
        self.fused_loss = False  # the loss through Liger Kernel; see omni.llm.answer_head.check_fused_loss
        model.requires_grad_(False)
        speed_up_linears(model)
        self.train(False)

    @property
    def hidden_size(self) -> int:
        """Width of the input embeddings."""
        return self._embedding.weight.shape[1]

    @property
    def embedding_rms(self) -> float:
        """Root mean square of the input embeddings: the scale at which the LLM expects tokens."""
        # through the module, since some (Gemma 3) scale what is in the table; a sample, since tables can be huge
        with torch.no_grad():
            return self._sample_embeddings(4096).float().pow(2).mean().sqrt().item()

    def _sample_embeddings(self, count: int) -> Tensor:
        """Embeddings [count or less, D] of tokens from all over the vocabulary."""
        size = self._embedding.weight.shape[0]
        return self.embed(torch.arange(0, size, max(1, size // count))[:count])

    @property
    def can_pack(self) -> bool:
        """Whether several samples can stand in one row without seeing each other; found out by trying."""
        return self.pack_attention is not None

    @functools.cached_property
    def pack_attention(self) -> PackAttention | None:
        """How samples in one row are kept apart: the fastest way that works; None = they cannot be."""
        ways: list[PackAttention] = ["mask"]
        if self.config.attention == "flash_attention_2":
            ways = ["varlen", "mask"]
        elif self.device.type == "cpu":
            ways = ["split", "mask"]  # a GPU would wait for the many small calls of split
        for way in ways:
            if self._try_packing(way):
                return way
        logger.warning("%s cannot keep packed samples apart: they are padded instead", self.config.name)
        return None

    def use_pack_attention(self, way: PackAttention) -> None:
        """Keep samples in one row apart in this way and no other.

        Raises:
            ValueError: it does not work with this LLM.
        """
        if not self._try_packing(way):
            raise ValueError(
                f"packing in the way {way!r} does not keep samples apart in {self.config.name} with attention: "
                f"{self.config.attention}; auto finds out what does (split needs sdpa, varlen flash_attention_2)"
            )
        self.pack_attention = way

    @property
    def can_share(self) -> bool:
        """Whether samples in one row can have their common beginning there once.

        Not while its LoRA drops out, which would then be the same for all samples.
        """
        drops_out = self._drops_out and self.has_lora and self.config.lora is not None and self.config.lora.dropout > 0
        return self.can_pack and self.shares_beginnings and self._sharing_works and not drops_out

    def pack_arguments(self, lengths: Sequence[int], shared: int = 0) -> dict[str, Any]:
        """What the LLM is called with, beside embeddings and positions, for samples of `lengths` tokens in one row,
        behind `shared` tokens that all of them see."""
        assert self.pack_attention is not None
        return self._arguments_of(self.pack_attention, lengths, shared)

    def _try_packing(self, way: PackAttention) -> bool:
        """Switch to this way if it works; else all stays as it is."""
        model = cast(Any, self.model)
        before = model.config._attn_implementation
        if not self._may_pack(way, before):
            return False
        wanted = SPLIT if way == "split" else "sdpa" if before == SPLIT else before
        register()
        _set_attention(model, wanted)
        embeds = self._sample_embeddings(12)
        tried: PackAttention = "split" if way == "varlen" and self._waits_for_gpu else way  # which take the same
        with self._trial(SPLIT if tried == "split" else "sdpa"):
            honoured = honours_packing(model, embeds, lambda lengths: self._arguments_of(tried, lengths))
            sharing = way in SHARING and honours_sharing(
                model, embeds, lambda lengths, shared: self._arguments_of(way, lengths, shared)
            )
        if honoured:
            self._sharing_works = sharing
        else:
            _set_attention(model, before)
        return honoured

    def _arguments_of(self, way: PackAttention, lengths: Sequence[int], shared: int = 0) -> dict[str, Any]:
        return pack_arguments(way, lengths, self.device, self.dtype, shared)

    def _may_pack(self, way: PackAttention, implementation: str) -> bool:
        """What a trial with a few tokens could not tell."""
        if way == "varlen":
            return self.config.attention == "flash_attention_2"
        if way == "reference":
            # The one mask is for all layers, so it has no windows; flash-attn takes no such mask, and what transformers
            # makes of it would index out of bounds, after which a GPU computes nothing more.
            return self.attention_window is None and implementation != "flash_attention_2"
        if way == "split":
            # chunks of attention would be lost: only the mask that transformers makes knows of them
            text_config = cast(Any, self.model).config.get_text_config()
            return implementation in ("sdpa", SPLIT) and not getattr(text_config, "attention_chunk_size", None)
        return True

    @functools.cached_property
    def can_branch(self) -> bool:
        """Whether several continuations of one prefix can stand in one row; found out by trying."""
        if self.config.attention == "flash_attention_2" or not self.can_copy_cache:
            return False
        with self._trial():
            return honours_tree_mask(self.model, self._sample_embeddings(12))

    @functools.cached_property
    def can_copy_cache(self) -> bool:
        """Whether what a prefix left in the cache can serve several rows; found out by trying."""
        with self._trial():
            return honours_copied_cache(self.model, self._sample_embeddings(12))

    @functools.cached_property
    def answer_head(self) -> AnswerHead | None:
        """The head apart from the rest, so that logits can be made in chunks; None where only both together will do."""
        with self._trial():
            found = find_answer_head(self.causal_lm, self._sample_embeddings(12))
        if found is None:
            logger.warning("%s does more than a linear head: logits of all answers at once", self.config.name)
        return found

    @property
    def causal_lm(self) -> nn.Module:
        """The model of transformers, without PEFT's wrapper."""
        return cast(Any, self.model).get_base_model() if self.has_lora else self.model

    @property
    def num_layers(self) -> int:
        """Number of its layers."""
        return int(cast(Any, self.model).config.get_text_config().num_hidden_layers)

    @property
    def attention_window(self) -> int | None:
        """How far back local attention layers look; None = everywhere."""
        text_config = cast(Any, self.model).config.get_text_config()
        return getattr(text_config, "sliding_window", None) or getattr(text_config, "attention_chunk_size", None)

    @property
    def context_length(self) -> int:
        """Most tokens, media tokens included, that the LLM can read."""
        text_config = cast(Any, self.model).config.get_text_config()
        return int(getattr(text_config, "max_position_embeddings", None) or 1 << 30)

    @property
    def end_token_ids(self) -> list[int]:
        """Those at which the LLM's own generation settings stop; some LLMs have several."""
        settings = getattr(self.causal_lm, "generation_config", None)
        found = None if settings is None else settings.eos_token_id
        return [] if found is None else [found] if isinstance(found, int) else [*found]

    @property
    def device(self) -> torch.device:
        return self._embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self._embedding.weight.dtype

    @property
    def _embedding(self) -> nn.Embedding:
        return cast(Any, self.model).get_input_embeddings()

    def embed(self, token_ids: Tensor) -> Tensor:
        """Token ids [L] -> input embeddings [L, D]."""
        return self._embedding(token_ids.to(self.device))

    def forward(self, inputs_embeds: Tensor, keep: Tensor | int, **inputs: Any) -> Any:
        """Run the LLM; logits only where `keep` [B, L] is True (giving [K, V]), or at the last `keep` positions.

        `inputs` go to the transformers model: attention_mask, position_ids, past_key_values, use_cache.
        """
        return self.model(inputs_embeds=inputs_embeds, logits_to_keep=keep, **inputs)

    def answer_nll(self, inputs_embeds: Tensor, keep: Tensor, targets: Tensor, **inputs: Any) -> Tensor:
        """Summed negative log-likelihood in nats of `targets` [K] at the positions where `keep` [B, L] is True.

        `inputs` as for `forward`. Logits exist for a chunk of these positions at a time.
        """
        if self.fused_loss and self.answer_head is not None:
            return self.answer_head.fused_nll(self._answer_states(inputs_embeds, keep, **inputs), targets)
        return -self.answer_log_likelihoods(inputs_embeds, keep, targets, **inputs).sum()

    def answer_log_likelihoods(self, inputs_embeds: Tensor, keep: Tensor, targets: Tensor, **inputs: Any) -> Tensor:
        """As `answer_nll`: the log-likelihood in nats of each target, [K] in float32."""
        if self.answer_head is None:
            return token_log_likelihoods(self(inputs_embeds, keep, use_cache=False, **inputs).logits, targets)
        hidden = self._answer_states(inputs_embeds, keep, **inputs)
        return self.answer_head.log_likelihoods(hidden, targets, contexts=self.recompute_contexts())

    def _answer_states(self, inputs_embeds: Tensor, keep: Tensor, **inputs: Any) -> Tensor:
        """What the head reads at the positions that are kept: [K, D]."""
        assert self.answer_head is not None
        return self.answer_head.hidden_states(inputs_embeds, use_cache=False, **inputs)[keep]

    def train(self, mode: bool = True) -> "LanguageModel":
        """The frozen LLM stays in evaluation mode; `mode` only reaches the dropout of its LoRA."""
        super().train(False)
        self._drops_out = mode
        if self.has_lora:
            self._lora.set_dropout(self.model, mode)
        return self

    @property
    def _waits_for_gpu(self) -> bool:
        """Whether it is on the CPU, where flash-attn takes nothing, before it is spread over GPUs."""
        return cast(Any, self.model).config._attn_implementation == "flash_attention_2" and self.device.type == "cpu"

    @contextmanager
    def _trial(self, instead: str = "sdpa") -> Iterator[None]:
        """Two runs are to agree, and to leave torch's random state as it is for the forward pass after.

        They may come in the midst of a forward pass, whose media are not theirs. `instead`: the attention that stands
        in for one that only GPUs have.
        """
        before, implementation = self._drops_out, cast(Any, self.model).config._attn_implementation
        self.train(False)
        if self._waits_for_gpu:
            _set_attention(self.model, instead)
        try:
            with attending(None):
                yield
        finally:
            _set_attention(self.model, implementation)
            self.train(before)

    @functools.cached_property
    def base_fingerprint(self) -> str:
        """Identifies the LLM in whatever dtype it is: architecture, and a sample of its embeddings in bfloat16."""
        config = cast(Any, self.model).config
        weight = self._embedding.weight.detach()
        rows = weight[:: max(1, weight.shape[0] // 64)].to("cpu", torch.bfloat16)
        shape = [config.model_type, weight.shape[1], config.get_text_config().num_hidden_layers, weight.shape[0]]
        digest = hashlib.sha256(json.dumps(shape).encode())
        digest.update(rows.contiguous().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]

    # --- LoRA ---

    @property
    def _lora(self) -> Any:
        from omni.llm import lora  # PEFT takes seconds to import, and most models need none of it

        return lora

    def add_lora(self, config: LoRAConfig, names: Collection[str]) -> None:
        """Add one trainable LoRA for each of `names` (`SHARED_LORA` alone for one that serves everything)."""
        self.model = self._lora.add_lora(self.model, config, names)
        self.has_lora = True
        self.activate_lora(names)
        self.train(self.training)

    def load_lora(self, name: str, folder: Path) -> None:
        """Add the LoRA that `save_lora` wrote to `folder`, under `name`; all LoRAs are switched on.

        Raises:
            FileNotFoundError: no LoRA there.
            ValueError: its weights are damaged, or are not those that this LLM's LoRA has.
        """
        self.model = self._lora.load_lora(self.model, name, folder)
        self.has_lora = True
        self.activate_lora(self.lora_names())
        self.train(self.training)

    def save_lora(self, folder: Path) -> None:
        """Write every LoRA in PEFT's own format, one subfolder for each that is not the shared one."""
        self._lora.save_lora(self.model, folder, self.config.name)

    def lora_names(self) -> list[str]:
        """Names of the LoRAs that the LLM has."""
        return self._lora.lora_names(self.model) if self.has_lora else []

    def lora_state(self) -> dict[str, Tensor]:
        """Every weight that `save_lora` saves."""
        return self._lora.lora_state(self.model) if self.has_lora else {}

    def activate_lora(self, names: Collection[str]) -> None:
        """Switch on exactly the LoRAs `names` (their updates add up); which of them are trained stays as it is."""
        if self.has_lora:
            self._lora.activate_lora(self.model, names)
            self._active_lora = frozenset(names)

    def recompute_contexts(self) -> Contexts | None:
        """`context_fn` for torch's checkpoint: what the backward pass computes again uses the LoRAs that are on now.

        None where that makes no difference.
        """
        if not set(self.lora_names()) - {SHARED_LORA}:
            return None
        names = self._active_lora
        return lambda: (nullcontext(), self._with_lora(names))

    @contextmanager
    def _with_lora(self, names: frozenset[str]) -> Iterator[None]:
        before = self._active_lora
        if names == before:
            yield
            return
        self.activate_lora(names)
        try:
            yield
        finally:
            self.activate_lora(before)


def _set_attention(model: Any, implementation: str) -> None:
    if model.config._attn_implementation != implementation:
        model.set_attn_implementation(implementation)
