"""The core of a model: encoders, adapters and a frozen causal LLM, from messages to what the LLM computes.

Training, generation, scoring and embedding share one path: messages -> `prepare` (CPU) -> `embed_examples` (encoders,
adapters, interleaving) -> the LLM, in groups of examples that use the same LoRAs.

Shapes: B batch, L length, Q media tokens, D width of the LLM.
"""

import functools
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from omni.config import ModelConfig, PromptConfig
from omni.llm import cross_attention
from omni.llm.cross_attention import AttendedMedia, AttendedSpan, attending
from omni.llm.language_model import SHARED_LORA, LanguageModel
from omni.model.batch import AttendedItem, EmbeddedExample, Example, LLMInputs, extent, pack, pad
from omni.model.card import ModelCard
from omni.model.encoder_stack import EncoderStack, media_places
from omni.model.modality import Modality
from omni.model.preparation import Messages, make_example, parse_conversation
from omni.model.trainable import LLM, part_of
from omni.prompts.blip_layout import BlipLayout
from omni.prompts.chat_layout import MEDIA_SLOT, ChatLayout
from omni.runtime.fast_linear import speed_up_linears
from omni.samples.messages import Sample, SampleError


class ModelCore(EncoderStack):
    """Frozen encoders -> trained adapters -> frozen causal LLM: lays conversations out, embeds them and runs the LLM.

    `OmniModel` adds what a trained model is for, and folders.

    Args:
        llm: the language model.
        modalities: name -> encoder, adapter and cue.
        system: system message where a conversation has none; None = the chat template's default.
        card: what is known of its training, for the model card.
        prompt: layout of conversations; None = the LLM's chat template.
    """

    def __init__(
        self,
        llm: LanguageModel,
        modalities: Mapping[str, Modality],
        system: str | None = None,
        card: ModelCard | None = None,
        prompt: PromptConfig | None = None,
    ) -> None:
        super().__init__(modalities, card)
        for name, modality in modalities.items():
            if modality.adapter.llm_dim != llm.hidden_size:
                raise ValueError(
                    f"modality {name!r}: the adapter makes tokens of width {modality.adapter.llm_dim}, "
                    f"the LLM {llm.config.name} reads width {llm.hidden_size}"
                )
        self.llm = llm
        self.system = system
        self.prompt = prompt
        for modality in modalities.values():
            if modality.attended_adapter is not None:
                llm.insert_cross_attention(modality.attended_adapter.attended_layers)

    def modality(self, name: str) -> Modality:
        """Return the modality `name`; the ValueError for an unknown one lists those that there are."""
        return cast(Modality, super().modality(name))

    @property
    def config(self) -> ModelConfig:
        """How to build this model again.

        Raises:
            ValueError: the model was put together by hand, with a modality that has no config.
        """
        modalities = {}
        for name in self.modalities:
            config = self.modality(name).config
            if config is None:
                raise ValueError(f"modality {name!r} was built without a ModalityConfig: give Modality(config=...) one")
            modalities[name] = config
        return ModelConfig(self.llm.config, modalities, self.system, self.prompt)

    @property
    def device(self) -> torch.device:
        return self.llm.device

    @property
    def language_model(self) -> LanguageModel:
        return self.llm

    def add(self, name: str, modality: Modality) -> None:
        """Take in a new modality."""
        speed_up_linears(modality)
        self.modalities[name] = modality
        if modality.attended_adapter is not None:
            self.llm.insert_cross_attention(modality.attended_adapter.attended_layers)
        for cached in ("conversation", "end_token_ids"):
            self.__dict__.pop(cached, None)

    def prepare_to_unfreeze(self, names: Collection[str]) -> None:
        if any(part_of(name) == LLM for name in names):
            _ = self.llm.identity  # that of the LLM as it was published, so taken before it changes

    # --- messages -> examples -> embeddings ---

    @functools.cached_property
    def conversation(self) -> ChatLayout:
        """Lays out conversations for this LLM with this model's cues."""
        cues = {name: self.modality(name).cue for name in self.modalities}
        if self.prompt is not None:
            return BlipLayout(self.llm.tokenizer, cues, self.prompt, self.system)
        return ChatLayout(self.llm.tokenizer, cues, self.system)

    @functools.cached_property
    def end_token_ids(self) -> list[int]:
        """Ids of the tokens that end an answer: the chat template's, and those that the LLM's own settings name."""
        return sorted({*self.conversation.end_token_ids(), *self.llm.end_token_ids})

    def prepare(self, messages: Sample | Messages, *, answer: bool = False, questions: bool = False) -> Example:
        """Lay out a conversation and preprocess its media, on the CPU; safe in data-loading workers.

        With `answer` the conversation ends with the assistant's turn, whose tokens get labels; with `questions` the
        user's text gets labels too.

        Raises:
            SampleError: the conversation does not fit the model or its context.
            MediaError: a media item cannot be read.
        """
        sample_id, parsed = parse_conversation(messages, [*self.modalities])
        layout = self.conversation.encode(parsed, answer=answer, questions=questions, sample_id=sample_id)
        try:
            self.llm.check_tokens(layout.token_ids)
        except ValueError as error:
            raise SampleError(sample_id, str(error)) from error
        media = [
            replace(self.prepare_media(item, sample_id, index), instruction=instruction)
            for index, (item, instruction) in enumerate(zip(layout.media, layout.instructions, strict=True))
        ]
        num_media_tokens = sum(self.modality(item.modality).num_tokens(item) for item in media)
        return make_example(sample_id, layout, media, num_media_tokens, self.llm.context_length)

    def measure(self, messages: Sample | Messages) -> int:
        """Return the `length` of the example that `prepare(messages, answer=True)` makes where no features are cached.

        It is much cheaper than `prepare` where adapters make the same number of tokens of anything: then no media item
        is read. It raises what `prepare` raises, except for media items that are not read, and for the context.
        """
        sample_id, parsed = parse_conversation(messages, [*self.modalities])
        layout = self.conversation.encode(parsed, answer=True, sample_id=sample_id)
        media_length = sum(self.modality(item.modality).measure(item) for item in layout.media)
        return len(layout.token_ids) - len(layout.media) + media_length

    def media_tokens(self, examples: Sequence[Example]) -> list[list[Tensor]]:
        """Return for each example the media tokens [Q, D] of each of its media."""
        examples = self.encode_media(examples)
        tokens: list[list[Tensor]] = [[torch.empty(0)] * len(example.media) for example in examples]
        for name, places in media_places(examples).items():
            modality = self.modality(name)
            for (i, j), found in zip(places, modality([examples[i].media[j] for i, j in places]), strict=True):
                tokens[i][j] = found
            if self.routing_log is not None:
                self.routing_log.add(name, modality, examples, places)
        return tokens

    def embed_examples(self, examples: Sequence[Example]) -> list[EmbeddedExample]:
        """Embed every token of every example: text through the LLM's table, media tokens in their places."""
        media = self.media_tokens(examples)
        return [self.interleave(example, found) for example, found in zip(examples, media, strict=True)]

    def interleave(self, example: Example, media: Sequence[Tensor]) -> EmbeddedExample:
        """Embed an example's text, with its media tokens [Q, D] in their places."""
        slots = (example.token_ids == MEDIA_SLOT).nonzero().flatten().tolist()
        labels = example.labels.to(self.device)
        text = self.llm.embed(example.token_ids.clamp(min=0))
        embeds: list[Tensor] = []
        new_labels: list[Tensor] = []
        attended: list[AttendedItem] = []
        widths: list[int] = []  # tokens in place of each slot
        start = 0
        for slot, item, tokens in zip(slots, example.media, media, strict=True):
            embeds.append(text[start:slot])
            new_labels.append(labels[start:slot])
            if self.modality(item.modality).adapter.in_sequence:
                embeds.append(tokens.to(text.dtype))
                # read from the labels on the CPU: a GPU would be waited for once for each media item
                new_labels.append(labels.new_full((len(tokens),), int(example.labels[slot])))
            else:
                attended.append(AttendedItem(item.modality, tokens, sum(map(len, embeds))))
            widths.append(len(tokens) if self.modality(item.modality).adapter.in_sequence else 0)
            start = slot + 1
        joined = torch.cat([*embeds, text[start:]]), torch.cat([*new_labels, labels[start:]])
        return EmbeddedExample(*joined, tuple(attended), *extent(example, slots, widths))

    # --- what the LLM computes ---

    def forward(
        self, batch: Sequence[Example], *, packed: bool = False, num_answer_tokens: int | Tensor | None = None
    ) -> Tensor:
        """Return the loss: the summed negative log-likelihood of the answer tokens, divided by `num_answer_tokens`.

        With `packed` the examples stand in one row without pads, and still do not see each other. An LLM that cannot
        keep them apart (`LanguageModel.can_pack`) gets them padded, with the same loss.

        num_answer_tokens: those of the whole step; default: those of this batch.
        """
        if num_answer_tokens is None:
            num_answer_tokens = max(1, sum(example.num_answer_tokens for example in batch))
        return self.answer_nll(batch, self.embed_examples(batch), packed=packed) / num_answer_tokens

    def answer_nll(
        self, batch: Sequence[Example], embedded: Sequence[EmbeddedExample], *, packed: bool = False
    ) -> Tensor:
        """Return the summed negative log-likelihood in nats of the answer tokens of embedded examples."""
        total = torch.zeros((), device=self.device)
        for group in self.batches(batch, embedded, packed=packed):
            inputs = self.batched([embedded[i] for i in group], packed)
            keep, targets = inputs.counted()
            with attending(self.attended_media(inputs)):
                options = self.attention_inputs(inputs)
                total = total + self.llm.answer_nll(inputs.inputs_embeds, keep, targets, **options)
        return total

    def answer_log_likelihoods(
        self, batch: Sequence[Example], embedded: Sequence[EmbeddedExample], *, packed: bool = False
    ) -> Tensor:
        """Return the log-likelihood in nats of each embedded example's answer, summed over its tokens: [B], float32."""
        found: list[Tensor] = [torch.empty(0)] * len(batch)
        for group in self.batches(batch, embedded, packed=packed):
            inputs = self.batched([embedded[i] for i in group], packed)
            keep, targets = inputs.counted()
            with attending(self.attended_media(inputs)):
                options = self.attention_inputs(inputs)
                tokens = self.llm.answer_log_likelihoods(inputs.inputs_embeds, keep, targets, **options)
            counts = inputs.owners()[keep].bincount(minlength=len(group)).tolist()
            for i, part in zip(group, tokens.split(counts), strict=True):
                found[i] = part.sum()
        return torch.stack(found)

    def batched(self, embedded: Sequence[EmbeddedExample], packed: bool) -> LLMInputs:
        """Put examples into one row, where `packed` says so and the LLM can keep them apart, else pad them."""
        if not (packed and self.llm.can_pack):
            return pad(embedded)
        if self.llm.length_switches:  # the length counts, so what stands behind the answers does too
            embedded = [replace(one, needed=None) for one in embedded]
        return pack(embedded, share=self.llm.can_share)

    def run(self, inputs: LLMInputs, keep: Tensor | int, **options: Any) -> Any:
        """Return the LLM's output for prepared inputs; `keep` as for `LanguageModel.forward`."""
        with attending(self.attended_media(inputs)):
            return self.llm(inputs.inputs_embeds, keep, use_cache=False, **self.attention_inputs(inputs), **options)

    def attention_inputs(self, inputs: LLMInputs) -> dict[str, Any]:
        """Return the LLM's arguments for positions, and for what keeps pads or other samples from being seen."""
        if inputs.lengths is None:
            return {"position_ids": inputs.position_ids, "attention_mask": inputs.attention_mask}
        return {"position_ids": inputs.position_ids, **self.llm.pack_arguments(inputs.lengths, inputs.shared)}

    def attended_media(self, inputs: LLMInputs) -> AttendedMedia | None:
        """Return the media that the LLM's layers attend to next to the sequence; None = there are none."""
        return self.gather_attended(inputs.attended, len(inputs.inputs_embeds))

    def gather_attended(self, spans: Sequence[AttendedSpan], num_rows: int) -> AttendedMedia | None:
        """Return the media of a batch of `num_rows` rows that see them as `spans` say; None = there are none."""
        found = {name: self.modality(name).attended_adapter for name in {span.modality for span in spans}}
        adapters = {name: adapter for name, adapter in found.items() if adapter is not None}
        return cross_attention.gather(spans, adapters, num_rows, self.llm.recomputes_layers)

    def batches(
        self,
        batch: Sequence[Example],
        embedded: Sequence[EmbeddedExample],
        *,
        packed: bool = False,
        ends: Sequence[int] | None = None,
    ) -> Iterator[list[int]]:
        """Yield the indices of examples that may be in one call of the LLM, whose numbers are then the same as alone.

        They use the same LoRAs, which are switched on until the next group.

        Args:
            batch: the examples.
            embedded: the same, embedded.
            packed: whether they would stand in one row.
            ends: tokens that each may have with its answer; None = no answer is added.
        """
        lengths = [len(one.labels) for one in embedded]
        for group in self.lora_groups(batch):
            own_ends = None if ends is None else [ends[i] for i in group]
            for rows in self.llm.exact_batches([lengths[i] for i in group], ends=own_ends, packed=packed):
                yield [group[row] for row in rows]

    def loras_of(self, example: Example) -> frozenset[str]:
        """Return the LoRAs that are on while the LLM reads an example."""
        return (example.modalities | {SHARED_LORA}) & frozenset(self.llm.lora_names())

    def lora_groups(self, batch: Sequence[Example]) -> Iterator[list[int]]:
        """Yield the indices of examples that use the same LoRAs; until the next group, its LoRAs are switched on."""
        if not batch:
            return
        names = set(self.llm.lora_names())
        if not names - {SHARED_LORA}:
            yield [*range(len(batch))]
            return
        groups: dict[frozenset[str], list[int]] = defaultdict(list)
        for index, example in enumerate(batch):
            groups[self.loras_of(example)].append(index)
        try:
            for active, group in groups.items():
                self.llm.activate_lora(active)
                yield group
        finally:
            self.llm.activate_lora(names)
