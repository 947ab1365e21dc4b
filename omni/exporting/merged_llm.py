"""Write the LLM of a model, with its LoRA merged, as a folder that transformers and vLLM load as any other LLM."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from omni.exporting.card import render_export_card
from omni.exporting.comparison import check_logits, logits_of, probe_ids
from omni.exporting.folder import exporting
from omni.exporting.merging import check_mergeable, choose_loras, merge_loras
from omni.model.core import ModelCore
from omni.model.trainable import LLM, part_of
from omni.runtime.pretrained import load_pretrained
from omni.runtime.quiet import quiet_loading


@dataclass(frozen=True)
class MergedLLM:
    """What was written.

    Attributes:
        path: the folder.
        loras: names of the LoRAs that were merged.
        trained: how many tensors of the LLM itself were trained.
        error: difference of the logits from the model's, as a share of their spread.
    """

    path: Path
    loras: tuple[str, ...]
    trained: int
    error: float


def export_merged_llm(model: ModelCore, output: Path, modalities: Sequence[str] | None = None) -> MergedLLM:
    """Write the LLM of `model` for conversations with media of `modalities`, and check it by its logits.

    The folder has the LLM's own dtype, tokenizer, chat template and generation settings, and stops at the tokens at
    which the model stops. The weights of `model` change: it is not to be used any more.

    Args:
        model: the model.
        output: the folder, which takes the place of what is there in one step when all of it is right.
        modalities: which LoRAs are on, where each modality has its own; None = the only one, or the shared one.

    Raises:
        ValueError: the LLM cannot be written as a plain one (`check_mergeable`), it is not clear which LoRAs are meant
            (`choose_loras`), what was written does not give the model's logits, or `output` holds something else.
    """
    check_mergeable(model, modalities)
    llm = model.llm
    names = choose_loras(model, modalities)
    dtype, tokenizer, probe = llm.dtype, llm.tokenizer, probe_ids(llm.num_embeddings, llm.context_length)
    trained = sum(part_of(name) == LLM for name in model.unfrozen)
    card = render_export_card(model, "transformers", f"{llm.config.name}, merged", _about(model, names, trained))
    ends, defaults = model.end_token_ids, llm.generation_defaults
    llm.activate_lora(names)
    expected = logits_of(llm.model, probe)
    plain = cast(Any, merge_loras(llm, names))
    with exporting(output) as temporary:
        with quiet_loading():
            plain.generation_config = GenerationConfig()  # transformers refuses to write some that it reads
            plain.save_pretrained(temporary, save_original_format=False)
            tokenizer.save_pretrained(temporary)
        write_generation_config(temporary, defaults, ends)
        error = _check(temporary, expected, probe, dtype, tokenizer)
        (temporary / "README.md").write_text(card, encoding="utf-8")
    return MergedLLM(output, tuple(names), trained, error)


def write_generation_config(folder: Path, defaults: GenerationConfig, end_token_ids: Sequence[int]) -> None:
    """Write the LLM's own settings of generation, with the tokens at which the model's answers end."""
    found = GenerationConfig.from_dict(defaults.to_dict())
    found.eos_token_id = [*end_token_ids]
    if found.pad_token_id is None:
        found.pad_token_id = end_token_ids[0]
    (folder / "generation_config.json").write_text(found.to_json_string(), encoding="utf-8")


def check_tokenizer(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise ValueError unless the tokenizer in the folder makes the same tokens of texts as the model's own."""
    found = load_pretrained(AutoTokenizer, str(folder))
    texts = ["What is this?", " Zwölf\n\n  spaces, 1234567 and \u4f60\u597d \U0001f438!", *tokenizer.all_special_tokens]
    for text in texts:
        if found.encode(text) != tokenizer.encode(text):
            raise ValueError(
                f"the tokenizer of the LLM is another one after it was saved: {text!r} becomes {found.encode(text)} "
                f"and not {tokenizer.encode(text)}, so nothing was written"
            )


def _check(
    folder: Path, expected: torch.Tensor, probe: torch.Tensor, dtype: torch.dtype, tokenizer: PreTrainedTokenizerBase
) -> float:
    with quiet_loading():
        loaded, report = load_pretrained(AutoModelForCausalLM, str(folder), dtype="auto", output_loading_info=True)
    wrong = sorted({*report["missing_keys"], *report["unexpected_keys"]})
    if wrong or loaded.dtype != dtype:
        raise ValueError(f"merged LLM: transformers loads it as {loaded.dtype} without, or besides, {wrong[:5]}")
    check_tokenizer(folder, tokenizer)
    if tokenizer.chat_template != load_pretrained(AutoTokenizer, str(folder)).chat_template:
        raise ValueError("the chat template of the LLM is another one after it was saved, so nothing was written")
    return check_logits(logits_of(loaded, probe), expected, dtype, "merged LLM")


def _about(model: ModelCore, names: Sequence[str], trained: int) -> list[str]:
    parts = [f"the LoRA {name}" for name in names] + ([f"{trained} trained tensors of the LLM"] if trained else [])
    held = f"with {' and '.join(parts)} in its weights" if parts else "as it was published: nothing of it was trained"
    about = [f"The language model {model.llm.config.name} {held}, written by omni. It takes text, or embeddings."]
    if {*names} - {*model.modalities} != {*names}:
        about.append(
            f"It answers as the model does in conversations that hold media of {' and '.join(names)}; in others, the "
            "model leaves LoRAs of modalities that are not there off."
        )
    if model.system is not None:
        about.append(f"The model's system message, where a conversation has none: {model.system!r}.")
    if model.prompt is not None:
        about.append("The model lays conversations out by `prompt` in its config.yaml, not by this chat template.")
    return about
