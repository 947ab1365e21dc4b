"""The frozen language model with its LoRA (PEFT) and the loss of answers; `omni.llm.loading` loads it.

What transformers gives is in `omni.llm.pretrained_lm`, what is found out by trying in `omni.llm.capabilities`.
Shapes: B batch, L sequence length, D width of the LLM, K kept positions.
"""

import logging
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast

from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from omni.config import LLMConfig, LoRAConfig
from omni.llm import cross_attention, layers
from omni.llm.answer_head import AnswerHead, Contexts, check_fused_loss
from omni.llm.batching import exact_batches
from omni.llm.capabilities import Capabilities
from omni.llm.packed_attention import PackAttention
from omni.llm.pretrained_lm import PretrainedLM
from omni.llm.recomputing import recomputing
from omni.losses import token_log_likelihoods

logger = logging.getLogger(__name__)

SHARED_LORA = "default"  # the name under which PEFT saves without a subfolder


class LanguageModel(PretrainedLM):
    """A causal LM of transformers with its tokenizer; frozen but for its LoRA."""

    def __init__(self, model: nn.Module, tokenizer: PreTrainedTokenizerBase, config: LLMConfig) -> None:
        super().__init__(model, tokenizer, config)
        self.capabilities = Capabilities(self)
        self.has_lora = False
        self.has_cross_attention = False  # whether its layers attend to media
        self.recomputes_layers = False  # whether the backward pass computes the layers again
        self._fuses_loss = False
        self._told_of_switches = False
        self._active_lora: frozenset[str] = frozenset()
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, as a frozen LLM does; `mode` only reaches the dropout of its LoRA."""
        super().train(mode)
        if self.has_lora:
            self._lora.set_dropout(self.model, mode)
        return self

    @property
    def causal_lm(self) -> nn.Module:
        """The model of transformers, without PEFT's wrapper."""
        return cast(Any, self.model).get_base_model() if self.has_lora else self.model

    # --- the loss of answers ---

    def answer_nll(self, inputs_embeds: Tensor, keep: Tensor, targets: Tensor, **inputs: Any) -> Tensor:
        """Return the summed negative log-likelihood in nats of `targets` [K] where `keep` [B, L] is True.

        `inputs` as for `forward`. Logits exist for a chunk of these positions at a time.
        """
        if self._fuses_loss and self.answer_head is not None:
            return self.answer_head.fused_nll(self._answer_states(inputs_embeds, keep, **inputs), targets)
        return -self.answer_log_likelihoods(inputs_embeds, keep, targets, **inputs).sum()

    def answer_log_likelihoods(self, inputs_embeds: Tensor, keep: Tensor, targets: Tensor, **inputs: Any) -> Tensor:
        """Return the log-likelihood in nats of each target, [K] in float32; arguments as for `answer_nll`."""
        if self.answer_head is None:
            return token_log_likelihoods(self(inputs_embeds, keep, use_cache=False, **inputs).logits, targets)
        hidden = self._answer_states(inputs_embeds, keep, **inputs)
        return self.answer_head.log_likelihoods(hidden, targets, contexts=self.recompute_contexts())

    def _answer_states(self, inputs_embeds: Tensor, keep: Tensor, **inputs: Any) -> Tensor:
        """Return what the head reads at the positions that are kept: [K, D]."""
        assert self.answer_head is not None
        return self.answer_head.hidden_states(inputs_embeds, use_cache=False, **self.accepted(inputs))[keep]

    # --- what it can do: see Capabilities ---

    @property
    def answer_head(self) -> AnswerHead | None:
        """The head apart from the rest; None where only both together will do."""
        return self.capabilities.answer_head

    @property
    def pack_attention(self) -> PackAttention | None:
        """How samples in one row are kept apart; None = they cannot be."""
        return self.capabilities.pack_attention

    @property
    def can_pack(self) -> bool:
        """Whether several samples can stand in one row without seeing each other."""
        return self.capabilities.pack_attention is not None

    @property
    def can_share(self) -> bool:
        """Whether samples in one row can have their common beginning there once.

        Not while its LoRA drops out, which would then be the same for all samples.
        """
        lora = self.config.lora if self.has_lora and self.drops_out else None
        return self.capabilities.can_share and (lora is None or lora.dropout == 0)

    @property
    def can_branch(self) -> bool:
        """Whether several continuations of one prefix can stand in one row."""
        return self.capabilities.can_branch

    @property
    def can_pad(self) -> bool:
        """Whether conversations of different lengths can be in one batch, behind a mask."""
        return self.capabilities.can_pad

    def exact_batches(
        self, lengths: Sequence[int], *, ends: Sequence[int] | None = None, packed: bool = False
    ) -> list[list[int]]:
        """Return the indices of conversations of `lengths` tokens that may be in one call, as if each were alone.

        Args:
            lengths: tokens of each conversation.
            ends: tokens that each may have with its answer; None = it gets none.
            packed: whether they would stand in one row.
        """
        if len(lengths) == 1:
            return [[0]]
        are_alike = len(set(lengths)) == 1 and not packed
        can_batch = are_alike or (packed and self.can_pack) or self.can_pad
        found = exact_batches(lengths, ends or lengths, self.length_switches, can_batch=can_batch)
        if can_batch and len(found) > 1 and not self._told_of_switches:
            self._told_of_switches = True
            logger.warning(
                "%s computes conversations of more than %s tokens otherwise: longer and shorter ones run apart",
                self.config.name,
                " or ".join(map(str, self.length_switches)),
            )
        return found

    @contextmanager
    def generating(self, length: int, end: int) -> Iterator[None]:
        """Inside, transformers' `generate` is exact for conversations of `length` tokens that may grow to `end`.

        Without its cache, where the LLM cannot go on from it.
        """
        if not getattr(self.causal_lm, "can_generate", lambda: True)():
            raise ValueError(
                f"transformers cannot generate with {self.config.name!r} ({type(self.causal_lm).__name__}); score "
                "candidates instead, or name another LLM"
            )
        crosses = bisect_left(self.length_switches, length) != bisect_left(self.length_switches, end)
        if self.capabilities.can_continue and not crosses:
            yield
        else:
            with recomputing(self.causal_lm, self.embed, positions=not self.own_positions):
                yield

    @property
    def can_copy_cache(self) -> bool:
        """Whether what a prefix left in the cache can serve several rows."""
        return self.capabilities.can_copy_cache

    def pack_arguments(self, lengths: Sequence[int], shared: int = 0) -> dict[str, Any]:
        """Return what keeps samples of `lengths` tokens in one row apart, behind `shared` tokens that all see."""
        return self.capabilities.pack_arguments(lengths, shared)

    # --- how it runs ---

    def use_pack_attention(self, way: PackAttention) -> None:
        """Keep samples in one row apart in this way and no other; ValueError where it does not work."""
        self.capabilities.use_pack_attention(way)

    def use_fused_loss(self) -> None:
        """Compute `answer_nll` through Liger Kernel from now on; ValueError where it cannot run."""
        check_fused_loss(self.device)
        self._fuses_loss = True

    def checkpoint_layers(self) -> None:
        """Recompute the layers in the backward pass: about a third more time, and much less memory for long sequences.

        Raises:
            ValueError: the architecture has no layers that transformers marks as such.
        """
        layers.checkpoint_layers(self._marked_layers("activation_checkpointing"), self.recompute_contexts)
        self.recomputes_layers = True

    def compile_layers(self, backend: str = "inductor") -> None:
        """Compile the layers with torch.compile. Call it before `checkpoint_layers`.

        Raises:
            ValueError: the architecture has no layers that transformers marks as such.
        """
        layers.compile_layers(self._marked_layers("compile"), backend)

    def restore_layers(self) -> None:
        """Undo `checkpoint_layers` and `compile_layers`."""
        layers.restore_layers(layers.marked_layers(self.model))
        self.recomputes_layers = False

    def _marked_layers(self, key: str) -> list[nn.Module]:
        found = layers.marked_layers(self.model)
        if not found:
            raise ValueError(
                f"train.{key}: {self.config.name} has no layers that transformers marks as such; set it to false"
            )
        return found

    def insert_cross_attention(self, numbers: Collection[int]) -> None:
        """Let the layers attend to media inside `cross_attention.attending`; the second time nothing changes.

        `numbers`: the layers, from 0, that an adapter has blocks before.

        Raises:
            ValueError: layers that cannot be told from the rest of the architecture or are of another width than the
                embeddings, or numbers of layers that there are not.
        """
        wrong = sorted(set(numbers) - set(range(self.num_layers)))
        if wrong or not numbers:
            named = f"the layers {wrong}" if wrong else "no layer"
            raise ValueError(
                f"an adapter beside the sequence attends before {named}: it must name some of the layers 0 to "
                f"{self.num_layers - 1} of {self.config.name}"
            )
        if self.has_cross_attention:
            return
        decoder = cast(Any, self.causal_lm).get_decoder()
        found, width = layers.decoder_layers(decoder, self.num_layers), self.text_config.hidden_size
        if found is None or width != self.hidden_size:
            reason = "cannot be found" if found is None else f"are of width {width}, its embeddings {self.hidden_size}"
            raise ValueError(
                "no adapter beside the sequence, such as adapters.GatedCrossAttention, works here: the layers of "
                f"{self.config.name} {reason}; use an adapter whose tokens stand in the sequence, such as "
                "adapters.Resampler"
            )
        cross_attention.insert(decoder, found)
        self.has_cross_attention = True

    # --- LoRA ---

    @property
    def _lora(self) -> Any:
        from omni.llm import lora  # PEFT takes seconds to import, and most models need none of it

        return lora

    def add_lora(self, config: LoRAConfig, names: Collection[str]) -> None:
        """Add one trainable LoRA for each of `names` (`SHARED_LORA` alone for one that serves everything).

        The LLM's own config names `config` from now on.
        """
        self.model = self._lora.add_lora(self.model, config, names)
        self._note_lora(config, names)

    def load_lora(self, name: str, folder: Path, config: LoRAConfig) -> None:
        """Add the LoRA that `save_lora` wrote to `folder`, under `name`; all LoRAs are switched on.

        The LLM's own config names `config`, with which it was made, from now on.

        Raises:
            FileNotFoundError: no LoRA there.
            ValueError: its weights are damaged, or are not those that this LLM's LoRA has.
        """
        self.model = self._lora.load_lora(self.model, name, folder)
        self._note_lora(config, self._lora.lora_names(self.model))

    def _note_lora(self, config: LoRAConfig, active: Collection[str]) -> None:
        self.has_lora = True
        self.config = replace(self.config, lora=config)
        self.activate_lora(active)
        self.train(self.training)

    def save_lora(self, folder: Path) -> None:
        """Write every LoRA in PEFT's own format, one subfolder for each that is not the shared one."""
        self._lora.save_lora(self.model, folder, self.config.name)

    def lora_names(self) -> list[str]:
        """Return the names of the LoRAs that the LLM has."""
        return self._lora.lora_names(self.model) if self.has_lora else []

    def lora_state(self) -> dict[str, Tensor]:
        """Return every weight that `save_lora` saves, by name."""
        return self._lora.lora_state(self.model) if self.has_lora else {}

    def activate_lora(self, names: Collection[str]) -> None:
        """Switch on exactly the LoRAs `names` (their updates add up); which of them are trained stays as it is."""
        if self.has_lora:
            self._lora.activate_lora(self.model, names)
            self._active_lora = frozenset(names)

    def recompute_contexts(self) -> Contexts | None:
        """Return the `context_fn` for torch's checkpoint with which a backward pass uses the LoRAs that are on now.

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
