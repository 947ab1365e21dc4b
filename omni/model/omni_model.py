"""OmniModel: encoders and adapters in front of a frozen causal LLM.

Training, generation, scoring and embedding share one path: messages -> `prepare` (CPU) -> `embed_examples` (encoders,
adapters, interleaving) -> the LLM.

Shapes: B batch, L length, Q media tokens, D width of the LLM.
"""

import dataclasses
import functools
import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from omni.config import ModelConfig, PromptConfig
from omni.encoders.base import tensor_bytes
from omni.llm import cross_attention
from omni.llm.cross_attention import AttendedMedia, attending
from omni.llm.language_model import SHARED_LORA, LanguageModel
from omni.llm.loading import load_llm
from omni.model.batch import AttendedItem, EmbeddedExample, Example, LLMInputs, extent, pack, pad
from omni.model.card import ModelCard
from omni.model.checkpoint import combine_models, load_model, save_model, write_model
from omni.model.encoder_stack import EncoderStack, media_places
from omni.model.inference import embed_conversations, generate, score_batch
from omni.model.modality import Modality, build_modality, share_adapters
from omni.model.preparation import Messages, measure_example, prepare_example
from omni.prompts.blip_layout import BlipLayout
from omni.prompts.chat_layout import MEDIA_SLOT, ChatLayout
from omni.runtime.fast_linear import speed_up_linears
from omni.runtime.parameter_names import plain_name
from omni.samples.messages import Sample


class OmniModel(EncoderStack):
    """Frozen encoders -> trained adapters -> frozen causal LLM.

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
        """The modality `name`; ValueError lists those that there are."""
        return cast(Modality, super().modality(name))

    @property
    def config(self) -> ModelConfig:
        """How to build this model again; ValueError if it was put together by hand without configs."""
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

    # --- messages -> examples -> embeddings ---

    @functools.cached_property
    def conversation(self) -> ChatLayout:
        """Lays out conversations for this LLM with this model's cues."""
        cues = {name: self.modality(name).cue for name in self.modalities}
        if self.prompt is not None:
            return BlipLayout(self.llm.tokenizer, cues, self.prompt, self.system)
        return ChatLayout(self.llm.tokenizer, cues, self.system)

    def add(self, name: str, modality: Modality) -> None:
        """Take in a new modality."""
        speed_up_linears(modality)
        self.modalities[name] = modality
        if modality.attended_adapter is not None:
            self.llm.insert_cross_attention(modality.attended_adapter.attended_layers)
        for cached in ("conversation", "end_token_ids"):
            self.__dict__.pop(cached, None)

    def prepare(self, messages: Sample | Messages, *, answer: bool = False, questions: bool = False) -> Example:
        """Lay out a conversation and preprocess its media, on the CPU; safe in data-loading workers.

        With `answer` the conversation ends with the assistant's turn, whose tokens get labels; with `questions` the
        user's text gets labels too.

        Raises:
            SampleError: the conversation does not fit the model or its context.
            MediaError: a media item cannot be read.
        """
        return prepare_example(self, messages, answer=answer, questions=questions)

    def measure(self, messages: Sample | Messages) -> int:
        """`length` of the example that `prepare(messages, answer=True)` makes where no features are cached.

        Much cheaper where adapters make the same number of tokens of anything: then no media item is read.
        Raises what `prepare` raises, but for what is wrong with media items that are not read, and for the context.
        """
        return measure_example(self, messages)

    def media_tokens(self, examples: Sequence[Example]) -> list[list[Tensor]]:
        """For each example, for each of its media, the media tokens [Q, D]."""
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
        """Every token of every example as an embedding: text through the LLM's table, media in their places."""
        media = self.media_tokens(examples)
        return [self.interleave(example, found) for example, found in zip(examples, media, strict=True)]

    def interleave(self, example: Example, media: Sequence[Tensor]) -> EmbeddedExample:
        """An example with its text embedded and its media tokens [Q, D] in their places."""
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
                # of the labels on the CPU: those on the device would be waited for, once for each media item
                new_labels.append(labels.new_full((len(tokens),), int(example.labels[slot])))
            else:
                attended.append(AttendedItem(item.modality, tokens, sum(map(len, embeds))))
            widths.append(len(tokens) if self.modality(item.modality).adapter.in_sequence else 0)
            start = slot + 1
        joined = torch.cat([*embeds, text[start:]]), torch.cat([*new_labels, labels[start:]])
        return EmbeddedExample(*joined, tuple(attended), *extent(example, slots, widths))

    # --- training ---

    def forward(
        self, batch: Sequence[Example], *, packed: bool = False, num_answer_tokens: int | Tensor | None = None
    ) -> Tensor:
        """Summed negative log-likelihood of the answer tokens, divided by `num_answer_tokens` (default: this batch's).

        With `packed` the examples stand in one row without pads, and still do not see each other. An LLM that cannot
        keep them apart (`LanguageModel.can_pack`) gets them padded, with the same loss.
        """
        if num_answer_tokens is None:
            num_answer_tokens = max(1, sum(example.num_answer_tokens for example in batch))
        return self.answer_nll(batch, self.embed_examples(batch), packed=packed) / num_answer_tokens

    def answer_nll(
        self, batch: Sequence[Example], embedded: Sequence[EmbeddedExample], *, packed: bool = False
    ) -> Tensor:
        """Summed negative log-likelihood in nats of the answer tokens of embedded examples."""
        total = torch.zeros((), device=self.device)
        for group in self.lora_groups(batch):
            inputs = self.batched([embedded[i] for i in group], packed)
            keep, targets = inputs.counted()
            with attending(self.attended_media(inputs)):
                options = self.attention_inputs(inputs)
                total = total + self.llm.answer_nll(inputs.inputs_embeds, keep, targets, **options)
        return total

    def answer_log_likelihoods(
        self, batch: Sequence[Example], embedded: Sequence[EmbeddedExample], *, packed: bool = False
    ) -> Tensor:
        """Log-likelihood in nats of each embedded example's answer tokens, summed: [B], float32."""
        found: list[Tensor] = [torch.empty(0)] * len(batch)
        for group in self.lora_groups(batch):
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
        """Examples in one row, where `packed` says so and the LLM can keep them apart, else padded."""
        return pack(embedded, share=self.llm.can_share) if packed and self.llm.can_pack else pad(embedded)

    def run(self, inputs: LLMInputs, keep: Tensor | int, **options: Any) -> Any:
        """The LLM's output for prepared inputs; `keep` as for `LanguageModel.forward`."""
        with attending(self.attended_media(inputs)):
            return self.llm(inputs.inputs_embeds, keep, use_cache=False, **self.attention_inputs(inputs), **options)

    def attention_inputs(self, inputs: LLMInputs) -> dict[str, Any]:
        """Positions, and what keeps pads or other samples from being seen."""
        if inputs.lengths is None:
            return {"position_ids": inputs.position_ids, "attention_mask": inputs.attention_mask}
        return {"position_ids": inputs.position_ids, **self.llm.pack_arguments(inputs.lengths, inputs.shared)}

    def attended_media(self, inputs: LLMInputs) -> AttendedMedia | None:
        """Return what the LLM's layers attend to beside the sequence; None = nothing."""
        found = {name: self.modality(name).attended_adapter for name in {span.modality for span in inputs.attended}}
        adapters = {name: adapter for name, adapter in found.items() if adapter is not None}
        return cross_attention.gather(inputs.attended, adapters, len(inputs.inputs_embeds), self.llm.recomputes_layers)

    def lora_groups(self, batch: Sequence[Example]) -> Iterator[list[int]]:
        """Indices of examples that use the same LoRAs; while a group is out, its LoRAs are switched on."""
        if not batch:
            return
        names = set(self.llm.lora_names())
        if not names - {SHARED_LORA}:
            yield [*range(len(batch))]
            return
        groups: dict[frozenset[str], list[int]] = defaultdict(list)
        for index, example in enumerate(batch):
            groups[(example.modalities | {SHARED_LORA}) & names].append(index)
        try:
            for active, group in groups.items():
                self.llm.activate_lora(active)
                yield group
        finally:
            self.llm.activate_lora(names)

    # --- inference ---

    def generate(
        self,
        messages: Messages | Sample | Sequence[Messages | Sample],
        *,
        streamer: Any = None,
        **generation_config: Any,
    ) -> Any:
        """The assistant's answer to a conversation (str), or to each of several (list of str).

        Greedy, at most 64 new tokens, unless `generation_config` (transformers' names) says otherwise; an answer ends
        with the LLM's context in any case. A streamer of transformers receives the ids of a single conversation's
        answer as they come.

        Raises:
            ValueError: a conversation that does not fit the model (`prepare`), several with a streamer, or options
                that ask for more than one text a conversation.
        """
        return generate(self, messages, streamer, **generation_config)

    @functools.cached_property
    def end_token_ids(self) -> list[int]:
        """Ids of the tokens that end an answer: the chat template's, and those that the LLM's own settings name."""
        return sorted({*self.conversation.end_token_ids(), *self.llm.end_token_ids})

    def score(self, messages: Messages | Sample, candidates: Sequence[str], normalization: str = "sum") -> Tensor:
        """Log-likelihood in nats of each candidate as the assistant's answer (end token included): [num_candidates].

        `normalization`: "sum", "mean" (per token) or "bytes" (per UTF-8 byte of the candidate).
        """
        return self.score_batch([messages], [candidates], normalization)[0]

    def score_batch(
        self,
        messages: Sequence[Messages | Sample],
        candidates: Sequence[str] | Sequence[Sequence[str]],
        normalization: str = "sum",
    ) -> Tensor:
        """`score` for several conversations: [B, num_candidates].

        The candidates are the same for all, or a list for each, all lists of one length.
        """
        return score_batch(self, messages, candidates, normalization)

    def embed(self, messages: Messages | Sample | Sequence[Messages | Sample], prompt: str | None = None) -> Tensor:
        """The LLM's last hidden state at the last token of each conversation, in float32: [B, D].

        prompt: text put at the end of the user's last turn, such as "Summarise this in one word:", after which the
            last token stands for all that came before (PromptEOL, Jiang et al. 2023, arXiv 2307.16645; of pictures
            E5-V, Jiang et al. 2024, arXiv 2407.12580).
        """
        return embed_conversations(self, messages, prompt)

    def fingerprint(self) -> str:
        """64 hex digits that change with anything that changes the outputs."""
        digest = hashlib.sha256(f"{self.llm.base_fingerprint} {self.llm.config} {self.system!r}".encode())
        digest.update(b"" if self.prompt is None else str(self.prompt).encode())
        for name in sorted(self.modalities):
            modality = self.modality(name)
            digest.update(f"{name} {modality.cue!r} {modality.join_clips} {modality.encoder.fingerprint()}".encode())
            if modality.config is not None:  # arguments that leave no trace in the weights, such as `top_k`
                adapter = dataclasses.asdict(modality.config.adapter)
                digest.update(json.dumps(adapter, sort_keys=True, default=str).encode())
        state = {plain_name(name): value for name, value in self.state_dict().items()}
        trained = {name: value for name, value in state.items() if ".adapter." in name or name in self.unfrozen}
        for name, value in sorted((trained | self.llm.lora_state()).items()):
            digest.update(name.encode())
            digest.update(tensor_bytes(value))
        return digest.hexdigest()

    # --- checkpoints ---

    def write(self, directory: Path) -> None:
        """Write adapters, config, model card and LoRA into an existing folder."""
        write_model(self, directory)

    def save(self, directory: str | Path, card: ModelCard | None = None) -> None:
        """Write adapters, config, model card and LoRA to a folder, in one atomic step; see `omni.model.checkpoint`."""
        save_model(self, Path(directory), card)

    @classmethod
    def load(
        cls, directory: str | Path, *, device: str | torch.device | None = None, dtype: str | None = None
    ) -> "OmniModel":
        """Load what `save` wrote; strict: a missing, unexpected or misshaped key is an error that names it."""
        return load_model(Path(directory), device=device, dtype=dtype)

    @classmethod
    def combine(
        cls,
        directories: Mapping[str, str | Path],
        *,
        system: str | None = None,
        device: str | torch.device | None = None,
        dtype: str | None = None,
    ) -> "OmniModel":
        """One model of modalities that were trained apart over the same LLM: modality -> the folder it comes from."""
        paths = {name: Path(directory) for name, directory in directories.items()}
        return combine_models(paths, system=system, device=device, dtype=dtype)


def build_model(
    config: ModelConfig, device: str | torch.device | None = None, card: ModelCard | None = None
) -> OmniModel:
    """Build an untrained model: frozen LLM and encoders with their weights, new adapters, new LoRA.

    New weights come from torch's global random state: seed it before.
    """
    llm = load_llm(config.llm, device)
    modalities = {name: build_modality(modality, name, llm) for name, modality in config.modalities.items()}
    share_adapters(modalities)
    if config.llm.lora is not None:
        names: Collection[str] = [SHARED_LORA] if config.llm.lora.mode == "shared" else [*config.modalities]
        llm.add_lora(config.llm.lora, names)
    model = OmniModel(llm, modalities, config.system, card, config.prompt)
    model.modalities.to(device or "cpu")
    return model.train(False)
