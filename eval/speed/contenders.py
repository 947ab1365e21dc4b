"""The training steps that are compared: a plain transformers loop, and ours with one saving after another.

Shapes: B batch, L length, Q media tokens, D width of the LLM, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from omni.feature_cache import FeatureCache
from omni.model import OmniModel
from omni.model.batch import Example
from omni.prompts.chat_layout import IGNORED_LABEL, MEDIA_SLOT
from omni.runtime.fast_linear import slow_down_linears, speed_up_linears
from omni.samples.messages import Sample


@dataclass(frozen=True)
class Contender:
    """Which savings are on; `plain` is the loop that has none and none of our code paths after preparation."""

    key: str
    label: str
    plain: bool = False
    cached: bool = False
    packed: bool = False
    answers_only: bool = False
    compiled: bool = False
    checkpointed: bool = False


CONTENDERS = [
    Contender("a", "plain transformers loop", plain=True),
    Contender("b", "omni, encoders live"),
    Contender("c", "+ feature cache", cached=True),
    Contender("d", "+ packing", cached=True, packed=True),
    Contender("e", "+ logits of answers only", cached=True, packed=True, answers_only=True),
    Contender("f", "+ torch.compile", cached=True, packed=True, answers_only=True, compiled=True),
    Contender("g", "(e) + checkpointing", cached=True, packed=True, answers_only=True, checkpointed=True),
]


class Steps:
    """Runs training steps of one model as any contender does."""

    def __init__(self, model: OmniModel, cache_folder: Path, dtype: torch.dtype) -> None:
        self.model = model
        name = {torch.float32: "float32", torch.bfloat16: "bfloat16"}[dtype]
        self.cache = FeatureCache(cache_folder, name)
        self.trainable = [*model.trainable_parameters().values()]
        self.initial = [parameter.detach().clone() for parameter in self.trainable]
        self.optimizer = torch.optim.AdamW(self.trainable, lr=1e-4)
        model.train()

    @contextmanager
    def of(self, contender: Contender) -> Iterator[None]:
        """Start from the initial weights; while this is on, `run` steps as `contender` does."""
        with torch.no_grad():
            for parameter, value in zip(self.trainable, self.initial, strict=True):
                parameter.copy_(value)
        self.optimizer = torch.optim.AdamW(self.trainable, lr=1e-4)
        self.model.feature_cache = self.cache if contender.cached else None
        if contender.plain:
            slow_down_linears(self.model)
        if contender.compiled:
            self.model.llm.compile_layers()
        if contender.checkpointed:
            self.model.llm.checkpoint_layers()
        try:
            yield
        finally:
            self.model.feature_cache = None
            speed_up_linears(self.model)
            self.model.llm.restore_layers()  # compiled code is kept, and found again by torch the next time

    def run(self, contender: Contender, samples: Sequence[Sample]) -> float:
        """Take one step, from media files to updated weights; return its loss."""
        examples = [self.model.prepare(sample, answer=True) for sample in samples]
        if contender.plain:
            loss = plain_loss(self.model, examples)
        elif contender.answers_only:
            loss = self.model(examples, packed=contender.packed)
        else:
            loss = all_logits_loss(self.model, examples, contender.packed)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trainable, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.detach())


def plain_loss(model: OmniModel, examples: Sequence[Example]) -> Tensor:
    """Return the loss as scripts over transformers compute it: one padded batch, HF's own loss over logits [B, L, V].

    Encoder, adapter and LLM are the model's own modules, joined here by hand. The LLM is frozen, as in LLaVA's and
    BLIP-2's recipes, so no weight gradient of it is computed here either.
    """
    llm = cast(Any, model.llm.model)
    media = [item for example in examples for item in example.media]
    modality = model.modality(media[0].modality)
    counts = [len(next(iter((item.inputs or {}).values()))) for item in media]
    inputs = {name: torch.cat([(item.inputs or {})[name] for item in media]) for name in media[0].inputs or {}}
    features = modality.encoder(inputs)
    tokens, mask = modality.adapter(features.values.to(modality_dtype(model)), features.mask)  # [clips, Q, D]
    found = iter(zip(tokens.split(counts), mask.split(counts), strict=True))
    rows, labels = [], []
    for example in examples:
        embeds = llm.get_input_embeddings()(example.token_ids.clamp(min=0).to(model.device))
        slot = int((example.token_ids == MEDIA_SLOT).nonzero()[0])
        item_tokens, item_mask = next(found)
        media_tokens = item_tokens[item_mask].to(embeds.dtype)
        rows.append(torch.cat([embeds[:slot], media_tokens, embeds[slot + 1 :]]))
        ignored = example.labels.new_full((len(media_tokens),), IGNORED_LABEL)
        labels.append(torch.cat([example.labels[:slot], ignored, example.labels[slot + 1 :]]).to(model.device))
    mask_rows = [torch.ones(len(row), dtype=torch.long, device=model.device) for row in rows]
    return llm(
        inputs_embeds=pad_sequence(rows, batch_first=True),
        attention_mask=pad_sequence(mask_rows, batch_first=True),
        labels=pad_sequence(labels, batch_first=True, padding_value=IGNORED_LABEL),
        use_cache=False,
    ).loss


def all_logits_loss(model: OmniModel, examples: Sequence[Example], packed: bool) -> Tensor:
    """Return our loss with the logits of all positions, to measure their cost."""
    inputs = model.batched(model.embed_examples(examples), packed)
    logits = model.llm(
        inputs.inputs_embeds,
        0,
        use_cache=False,
        **model.attention_inputs(inputs),
    ).logits
    return F.cross_entropy(logits.float().flatten(0, 1), inputs.targets.flatten(), ignore_index=IGNORED_LABEL)


def modality_dtype(model: OmniModel) -> torch.dtype:
    """Return the number format of the adapter."""
    return next(iter(model.trainable_parameters().values())).dtype
