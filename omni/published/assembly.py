"""From published Q-Formers, encoders' files and an LLM to an OmniModel, after every tensor has been accounted for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from adapters import Adapter
from omni.config import ModalityConfig, ModelConfig, PromptConfig, from_dict, to_dict
from omni.config.components import build
from omni.encoders.base import Encoder
from omni.encoders.building import build_encoder
from omni.encoders.eva_clip_names import lavis_name, transformers_name
from omni.encoders.weights import KeyMismatchError
from omni.llm.loading import HELD_PREFIX, load_llm
from omni.model.card import ModelCard, PublishedWeights
from omni.model.modality import Modality
from omni.model.omni_model import OmniModel
from omni.published.files import TRANSFORMERS_BLIP, PublishedFile
from omni.published.key_report import FileReport, check
from omni.published.lora import PublishedLoRA
from omni.published.qformers import FEATURE_DIM, LLM_DIM, PublishedQFormer, check_tokenizer
from omni.published.settings import INSTRUCTION_TOKENIZER, Settings, apply_overrides
from omni.runtime.hub import check_model
from omni.runtime.pretrained import load_config
from omni.starter import resolve

_PREFIXES = ("", "visual_encoder.", "module.")  # prefixes of an encoder's own names in its file


@dataclass(frozen=True)
class Part:
    """One modality of a published model."""

    qformer: PublishedQFormer
    encoder: Mapping[str, Any] | None  # class path and arguments; None = its file was not named
    encoder_file: str  # a description of that file, for the error when it was not named
    reads_instruction: bool
    cue: str = ""
    join_clips: bool = True
    licence: str | None = None  # the licence of the Q-Former's weights


@dataclass(frozen=True)
class Source:
    """A published model, as described by the files that the user named."""

    name: str
    parts: Mapping[str, Part]
    files: Sequence[PublishedFile]
    prompt: PromptConfig
    lora: PublishedLoRA | None = None
    llm: str | None = None  # set if the files hold the LLM
    instruction_tokenizer: str | None = None  # set if the files hold the tokenizer


@dataclass(frozen=True)
class Imported:
    """A model with the account of its files."""

    model: OmniModel
    reports: list[FileReport]


def assemble(source: Source, settings: Settings) -> Imported:
    """Build the model that `source` describes.

    Raises:
        KeysDoNotFitError: tensors are missing, unexpected, of another shape or unused; the message lists all.
        FileNotFoundError: the LLM, an encoder's file or the tokenizer of the instructions is missing.
        ValueError: widths do not fit together, a setting is wrong, or there is no LLM.
    """
    settings = _complete(settings, source)
    config = _config(source, settings)
    _check_llm_width(source, settings.llm)
    reports = {file.path: FileReport(file.path, frozenset(file.state)) for file in source.files}
    for name, part in source.parts.items():
        adapter = part.qformer.build_empty(config.modalities[name], f"modalities.{name}")
        part.qformer.account(adapter, reports[part.qformer.file.path], f"Q-Former of {name}")
    if source.lora is not None:
        source.lora.account(reports[source.lora.file.path])
    for file in source.files:
        if file.kind == TRANSFORMERS_BLIP:
            reports[file.path].leave_out(
                "of the LLM, which is loaded by itself", {name for name in file.state if name.startswith(HELD_PREFIX)}
            )
    encoders = {name: _build_encoder(name, modality, reports) for name, modality in config.modalities.items()}
    check([*reports.values()], settings.leave_out)
    _check_tokenizers(config)
    built = {name: encoder for name, encoder in encoders.items() if encoder is not None}
    model = _build(config, source, built, {path: report.used for path, report in reports.items()})
    model.card = _card(source, settings)
    return Imported(model.train(False), [*reports.values()])


def _complete(settings: Settings, source: Source) -> Settings:
    """Complete the settings with what the files hold themselves, where the user names nothing else."""
    llm = settings.llm or source.llm
    if llm is None:
        raise ValueError("--llm: name the LLM that these weights were made for")
    tokenizer = settings.instruction_tokenizer or source.instruction_tokenizer or INSTRUCTION_TOKENIZER
    return replace(settings, llm=llm, instruction_tokenizer=tokenizer)


def _config(source: Source, settings: Settings) -> ModelConfig:
    tokenizer = settings.instruction_tokenizer
    values: dict[str, Any] = {
        "llm": {"name": settings.llm, "dtype": settings.dtype}
        | ({} if source.lora is None else {"lora": to_dict(source.lora.config)}),
        "modalities": {
            name: {
                "encoder": part.encoder if part.encoder is None else _with_dtype(part.encoder, settings.encoder_dtype),
                "adapter": {
                    "class_path": "adapters.QFormer",
                    "init_args": part.qformer.arguments(tokenizer if part.reads_instruction else None),
                },
                "cue": part.cue,
                "join_clips": part.join_clips,
            }
            for name, part in source.parts.items()
        },
        "prompt": to_dict(source.prompt),
    }
    values = apply_overrides(values, settings.overrides)
    for name, part in source.parts.items():
        if values["modalities"][name]["encoder"] is None:
            raise ValueError(f"{name} needs its encoder's own file, {part.encoder_file}: name it too")
    config = from_dict(ModelConfig, values, "model")
    for name in config.modalities:
        if name not in source.parts:
            raise ValueError(f"--set modalities.{name}: there is no such modality; there are {sorted(source.parts)}")
    return config


def _with_dtype(encoder: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    arguments = dict(encoder["init_args"])
    if "image_encoder" in arguments:
        arguments["image_encoder"] = _with_dtype(arguments["image_encoder"], dtype)
    else:
        arguments["dtype"] = dtype
    return {"class_path": encoder["class_path"], "init_args": arguments}


def _check_llm_width(source: Source, llm: str) -> None:
    check_model(resolve(llm), "--llm")
    try:
        config: Any = load_config(resolve(llm))
    except OSError:
        return  # loading the LLM raises a better error
    width = config.get_text_config().hidden_size
    widths = {name: part.qformer.size(*LLM_DIM) for name, part in source.parts.items()}
    wrong = {name: found for name, found in widths.items() if found is not None and found != width}
    if wrong:
        files = ", ".join(f"{source.parts[name].qformer.file.path.name} ({found})" for name, found in wrong.items())
        raise ValueError(
            f"{llm} reads tokens of width {width:,}, but the projections make others: {files}. They were made for "
            "another LLM (Vicuna 7B is 4096 wide, Vicuna 13B 5120, OPT 2.7B 2560)"
        )


def _build_encoder(name: str, config: ModalityConfig, reports: Mapping[Path, FileReport]) -> Encoder | None:
    """Build the encoder and note which tensors of its file it took; return None, and note why, if they do not fit."""
    try:
        encoder = build_encoder(config, name)
    except KeyMismatchError as error:
        report = reports.get(error.source.resolve())
        if report is None:
            raise
        component = f"encoder of {name}"
        if error.source.is_dir():
            _report_folder(report, component, error)
            return None
        unexpected = [prefix + one for one in error.unexpected for prefix in _PREFIXES if prefix + one in report.names]
        report.used |= {one for one in report.names if "Qformer" not in one} - set(unexpected)
        report.problem(component, "missing", error.missing)
        report.problem(component, "unexpected", unexpected)
        report.problem(component, "of another shape", error.misshaped)
        return None
    own = _network_names(encoder)
    for path in _weights_of(config.encoder.init_args):
        report = reports.get(path)
        if report is None:
            continue
        if path.is_dir():
            report.used |= {one for one in report.names if lavis_name(one) is not None}
            continue
        used = {prefix + one for one in own for prefix in _PREFIXES}
        report.used |= report.names & used
        if not any("Qformer" in one for one in report.names):
            report.leave_out("of parts of the encoder that are not used here", report.names - report.used)
    return encoder


def _report_folder(report: FileReport, component: str, error: KeyMismatchError) -> None:
    """Report the tensors of a vision model of transformers that do not fit, by their names there."""
    unexpected = [name for name in report.names if lavis_name(name) in error.unexpected]
    report.used |= {name for name in report.names if lavis_name(name) is not None} - set(unexpected)
    report.problem(component, "missing", sorted({*map(transformers_name, error.missing)}))
    report.problem(component, "unexpected", unexpected)
    report.problem(component, "of another shape", [transformers_name(text) for text in error.misshaped])


def _network_names(encoder: Encoder) -> set[str]:
    networks = [module.published_network for module in encoder.modules() if isinstance(module, Encoder)]
    return {name for network in networks if network is not None for name in network.state_dict()}


def _weights_of(arguments: Mapping[str, Any]) -> list[Path]:
    nested = arguments.get("image_encoder")
    if isinstance(nested, Mapping):
        return _weights_of(nested.get("init_args", {}))
    return [Path(arguments["weights"]).resolve()] if "weights" in arguments else []


def _check_tokenizers(config: ModelConfig) -> None:
    names = {
        (arguments["instruction_tokenizer"], arguments.get("vocab_size", 30523))
        for arguments in (modality.adapter.init_args for modality in config.modalities.values())
        if arguments.get("instruction_tokenizer") is not None
    }
    for name, vocab_size in sorted(names):
        check_tokenizer(name, vocab_size)


def _build(
    config: ModelConfig, source: Source, encoders: Mapping[str, Encoder], used: Mapping[Path, set[str]]
) -> OmniModel:
    for name, encoder in encoders.items():
        width = source.parts[name].qformer.size(*FEATURE_DIM)
        if encoder.dim != width:
            raise ValueError(
                f"the Q-Former of {name} reads features of width {width}, but its encoder, {encoder.class_name}, gives "
                f"width {encoder.dim}: it was made for another encoder"
            )
    llm = load_llm(config.llm)
    modalities = {}
    for name, encoder in encoders.items():
        part = config.modalities[name]
        key = f"model.modalities.{name}.adapter"
        adapter = build(
            part.adapter, key, Adapter, feature_dim=encoder.dim, llm_dim=llm.hidden_size, embedding_rms=None
        )
        qformer = source.parts[name].qformer
        qformer.load(adapter, used[qformer.file.path])
        modalities[name] = Modality(encoder, adapter, part.cue, part.join_clips, part)
    if source.lora is not None:
        source.lora.add_to(llm, used[source.lora.file.path])
    model = OmniModel(llm, modalities, config.system, prompt=config.prompt)
    assert model.conversation  # its tokens are checked against the LLM's tokenizer
    with torch.no_grad():
        for weight_name, weight in model.trainable_parameters().items():
            if not bool(weight.isfinite().all()):
                raise ValueError(f"{weight_name} holds values that are not finite: a damaged file")
    return model


def _card(source: Source, settings: Settings) -> ModelCard:
    weights = [
        PublishedWeights(
            f"{source.name}, {name}, {part.qformer.file.path.name} (SHA-256 {part.qformer.file.digest()}...)",
            settings.licence or part.licence,
        )
        for name, part in source.parts.items()
    ]
    return ModelCard(
        training=[f"Imported from the published files of {source.name}; not trained here."], weights=weights
    )
