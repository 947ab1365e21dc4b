"""One modality of a model: its frozen encoder, its adapter and the cue before its tokens.

Shapes: C clips of one item, N features of a clip, F width of the features, Q media tokens, D width of the LLM.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from adapters import Adapter, AttendedAdapter, Instruction
from omni.augmentation import RandomVersions
from omni.config import EncoderConfig, ModalityConfig
from omni.config.components import ComponentConfig, admit, build
from omni.encoders.base import Encoder, Features
from omni.encoders.building import admit_media, build_encoder
from omni.encoders.encoding import encode_items
from omni.encoders.media_input import MediaInput
from omni.encoders.released import EncoderDescription, ReleasedEncoder
from omni.llm.language_model import LanguageModel
from omni.media.item import Media
from omni.runtime.pretrained import load_tokenizer
from omni.starter import resolve

_MAX_INSTRUCTION_TOKENS = 128  # as X-InstructBLIP and InstructBLIP were trained


class EncodedModality(nn.Module):
    """The encoder of one modality, which all models have; what is trained behind it is up to the kind of model.

    Args:
        encoder: media -> features.
        config: how to build it again; needed to save the model.
        augmentation: random changes of media items in training; None = none.
    """

    trained_part_name: str
    config_key: str  # where in a recipe its modalities are

    def __init__(
        self, encoder: Encoder, config: EncoderConfig | None = None, augmentation: RandomVersions | None = None
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = config
        self.augmentation = augmentation

    @property
    def trained_part(self) -> nn.Module:
        """What is trained behind the encoder."""
        return self.get_submodule(self.trained_part_name)

    def train(self, mode: bool = True) -> Self:
        """What is trained stays in evaluation mode where it is frozen: no dropout, running statistics as they are."""
        super().train(mode)
        if not any(weight.requires_grad for weight in self.trained_part.parameters()):
            self.trained_part.eval()
        return self

    def encode(self, items: Sequence[MediaInput]) -> list[Features]:
        """For each item its features, [C, N, F] and [C, N]; those that are there already are taken as they are."""
        return encode_items(self.encoder, items)

    def release_encoder(self, name: str) -> None:
        """Drop the weights of the frozen encoder; it is built again, as modality `name`, when it is needed.

        An encoder that can release its weights itself does so; another one is replaced by a stand-in.
        """
        if self.encoder.release():
            return
        assert self.config is not None
        make = functools.partial(build_encoder, self.config, name, self.config_key)
        device = next(self.encoder.parameters(), torch.empty(0)).device
        self.encoder = ReleasedEncoder(EncoderDescription.of(self.encoder), make).to(device)


class Modality(EncodedModality):
    """Encoder, adapter and cue of one modality.

    Args:
        encoder: media -> features.
        adapter: features -> media tokens.
        cue: text before the media tokens.
        join_clips: whether the adapter sees all clips of an item as one sequence of features, or each clip by itself.
        config: how to build both again; needed to save the model.
        augmentation: random changes of media items in training; None = none.
        feature_noise: standard deviation of the normal noise on features in training, in their own scale.
    """

    trained_part_name = "adapter"
    config_key = "model.modalities"

    def __init__(
        self,
        encoder: Encoder,
        adapter: Adapter,
        cue: str = "",
        join_clips: bool = True,
        config: ModalityConfig | None = None,
        augmentation: RandomVersions | None = None,
        feature_noise: float = 0.0,
    ) -> None:
        super().__init__(encoder, config, augmentation)
        if encoder.dim != adapter.feature_dim:
            raise ValueError(
                f"{type(adapter).__name__} takes features of width {adapter.feature_dim}, but "
                f"{type(encoder).__name__} gives width {encoder.dim}"
            )
        if not adapter.in_sequence and not isinstance(adapter, AttendedAdapter):
            raise ValueError(
                f"{type(adapter).__name__} says in_sequence = False, but is no adapters.AttendedAdapter: only that "
                "contract says what the language model's layers do with its states"
            )
        self.config: ModalityConfig | None = config
        self.adapter = adapter
        self.cue = cue
        self.join_clips = join_clips
        self.feature_noise = feature_noise

    @property
    def attended_adapter(self) -> AttendedAdapter | None:
        """The adapter where the LLM's layers attend to its states; None where its tokens stand in the sequence."""
        return self.adapter if isinstance(self.adapter, AttendedAdapter) else None

    def forward(self, items: Sequence[MediaInput]) -> list[Tensor]:
        """Media items -> for each its media tokens [Q, D]; Q may differ between items."""
        return self.adapt(self.encode(items), [item.instruction for item in items])

    def adapt(self, features: Sequence[Features], instructions: Sequence[str]) -> list[Tensor]:
        """Features of items ([C, N, F], [C, N] each) and their instructions -> media tokens [Q, D] each."""
        values, mask, clips = self._adapter_rows(features)
        if self.feature_noise and self.adapter.training:
            values = values + self.feature_noise * torch.randn_like(values)
        instruction = self._instruction(instructions, clips) if self.adapter.uses_instruction else None
        tokens, token_mask = self.adapter(values, mask, instruction)
        pairs = zip(tokens.split(clips), token_mask.split(clips), strict=True)
        return [item_tokens[item_mask] for item_tokens, item_mask in pairs]

    def _adapter_rows(self, features: Sequence[Features]) -> tuple[Tensor, Tensor, list[int]]:
        """What the adapter takes, [rows, N, F] and [rows, N], and how many rows each item has."""
        clips = [1 if self.join_clips else len(item.values) for item in features]
        weight = next(self.adapter.parameters())
        if self.join_clips:
            rows = [(item.values.flatten(0, 1), item.mask.flatten()) for item in features]
        else:
            rows = [row for item in features for row in zip(item.values, item.mask, strict=True)]
        values = pad_sequence([value.to(weight.device, weight.dtype) for value, _ in rows], batch_first=True)
        mask = pad_sequence([row_mask.to(weight.device) for _, row_mask in rows], batch_first=True)
        return values, mask, clips

    @torch.no_grad()
    def attribution(self, features: Features, instruction: str) -> Tensor | None:
        """Return how much each media token of one item stands on each of its features: [Q, C N]; None = not known.

        See `Adapter.attribution`; of clips that the adapter sees one by one, a token stands on those of its own.
        """
        values, mask, clips = self._adapter_rows([features])
        told = self._instruction([instruction], clips) if self.adapter.uses_instruction else None
        found = self.adapter.attribution(values, mask, told)  # [rows, Q, N]
        if found is None:
            return None
        _, token_mask = self.adapter(values, mask, told)
        return torch.block_diag(*(row[real] for row, real in zip(found.float(), token_mask, strict=True)))

    def num_tokens(self, item: MediaInput) -> int:
        """Tokens that an item becomes: exact for cached features and query adapters, else the most it can be."""
        if item.features is not None:
            num_clips, num_features = item.features.mask.shape
        else:
            inputs = item.inputs or {}
            num_clips = len(next(iter(inputs.values())))
            of_clip = self.encoder.features_per_clip(inputs)
            if of_clip is None and self.join_clips:
                return self.adapter.num_tokens(self.encoder.max_features)
            num_features = max(1, self.encoder.max_features // num_clips) if of_clip is None else of_clip
        if self.join_clips:
            return self.adapter.num_tokens(num_clips * num_features)
        return num_clips * self.adapter.num_tokens(num_features)

    def measure(self, media: Media) -> int:
        """`num_tokens` of an item before it is preprocessed; it is only read if its number of tokens depends on it."""
        most = self.adapter.num_tokens(self.encoder.max_features)
        if self.join_clips and self.adapter.num_tokens(1) == most:
            return most
        return self.num_tokens(MediaInput(media.modality, self.encoder.preprocess(media), None))

    @functools.cached_property
    def _instruction_tokenizer(self) -> Any:
        name = self.adapter.instruction_tokenizer
        if name is None:
            raise ValueError(f"{type(self.adapter).__name__} uses instructions but names no instruction_tokenizer")
        # of a long instruction the end stays, where the question is, as in InstructBLIP and X-InstructBLIP
        return load_tokenizer(resolve(name), truncation_side="left")

    def _instruction(self, texts: Sequence[str], clips: Sequence[int]) -> Instruction:
        """Tokenised instructions, repeated for each clip of their own item (interleaved, not tiled)."""
        encoded = self._instruction_tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=_MAX_INSTRUCTION_TOKENS,
            split_special_tokens=True,  # a `[SEP]` that somebody typed is text
            return_tensors="pt",
        )
        device = next(self.adapter.parameters()).device
        repeats = torch.tensor(clips, device=device)
        token_ids = encoded["input_ids"].to(device).repeat_interleave(repeats, dim=0)
        return Instruction(token_ids, encoded["attention_mask"].to(device).bool().repeat_interleave(repeats, dim=0))


def admit_modality(config: ModalityConfig, name: str) -> None:
    """Check the classes of the modality `name` of a folder, before anything is built.

    Raises:
        ValueError: naming the class that may not run, or is of another kind than is expected.
    """
    admit_media(config, name)
    admit(config.adapter, f"model.modalities.{name}.adapter", Adapter)


def build_modality(config: ModalityConfig, name: str, llm: LanguageModel) -> Modality:
    """Build encoder and adapter of the modality `name`; the adapter is told the sizes and the scale of the LLM."""
    key = f"model.modalities.{name}"
    state = torch.get_rng_state()
    encoder = build_encoder(config, name)
    if not encoder.trainable:
        torch.set_rng_state(state)  # a frozen encoder draws nothing that lasts, so adapters are the same without it
    adapter = build_adapter(config.adapter, f"{key}.adapter", encoder.dim, llm)
    augmentation = None if config.augmentation is None else RandomVersions(config.augmentation, f"{key}.augmentation")
    return Modality(encoder, adapter, config.cue, config.join_clips, config, augmentation, config.feature_noise)


def build_adapter(config: ComponentConfig, key: str, feature_dim: int, llm: LanguageModel) -> Adapter:
    """Build an adapter, which is told the sizes and the scale of the LLM; `key` names it in errors."""
    return build(
        config,
        key,
        Adapter,
        feature_dim=feature_dim,
        llm_dim=llm.hidden_size,
        num_llm_layers=llm.num_layers,
        embedding_rms=llm.embedding_rms,
    )


def share_adapters(modalities: Mapping[str, Modality]) -> None:
    """Let modalities whose configs say so (`share_adapter`) have parts of their adapters in common, or all.

    Raises:
        ValueError: adapters that have no part in common, or are built with other arguments.
    """
    first: dict[str, str] = {}
    for name, modality in modalities.items():
        config = modality.config
        if config is None or config.share_adapter is None:
            continue
        other = modalities[first.setdefault(config.share_adapter, name)]
        key = f"model.modalities.{name}.share_adapter: {config.share_adapter!r}"
        assert other.config is not None
        if ComponentConfig.parse(config.adapter) != ComponentConfig.parse(other.config.adapter):
            raise ValueError(
                f"{key} is also that of {first[config.share_adapter]!r}, whose adapter is another one or has other "
                "init_args: give both the same"
            )
        try:
            modality.adapter = modality.adapter.shared_with(other.adapter)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error
