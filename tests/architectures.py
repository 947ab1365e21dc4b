"""Every architecture of causal LMs in transformers, tiny and at random: what it can do here, and whether it is exact.

Run as `python -m tests.architectures [NAME ...]`; with `--write` the table goes to docs/architectures.md. Each LLM gets
two layers of every kind that it has, windows of 8 tokens, and conversations shorter and longer than these. The loss,
scores, embeddings and greedy answers of a batch are compared with transformers alone: one conversation at a time, all
of it read again for each token.
"""

import argparse
import sys
import tempfile
import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from omni.model import OmniModel
from omni.samples.sample import Message, Text
from tests.tiny import MLP, sensor, tiny_model, tiny_tokenizer

PAGE = Path(__file__).parent.parent / "docs" / "architectures.md"
_BEGIN, _END = "<!-- begin of the table -->", "<!-- end of the table -->"
_MOST_PARAMETERS = 5e6  # of an architecture that these sizes do not make small
_NUM_NEW_TOKENS = 6

# By the names of each configuration; what it does not have is left out.
_SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "word_embed_proj_dim", "embedding_size"), 32),
    **dict.fromkeys(("attention_hidden_size", "moe_intermediate_size", "lru_width"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "num_experts_per_tok"), 2),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "d_ff", "ffn_hidden_size", "decoder_ffn_dim"), 64),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len", "context_length"), 512),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("head_dim", "kv_channels", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "rotary_dim"), 8),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 16),
    **dict.fromkeys(("n_group", "topk_group"), 1),
    **dict.fromkeys(("sliding_window", "window_size", "attention_window_size", "attention_chunk_size"), 8),
    **dict.fromkeys(("state_size", "mamba_d_state", "time_step_rank", "mamba_n_heads"), 4),
    "mamba_d_head": 16,
    "hidden_size_per_layer_input": 8,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "is_decoder": True,
}
_LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [4.0, 6.0, 8.0, 10.0],
    "original_max_position_embeddings": 40,
}
_MLA = ("deepseek_v2", "deepseek_v3", "glm4_moe_lite", "longcat_flash", "minicpm3", "youtu", "axk1", "kimi_linear")
_OWN: dict[str, dict[str, Any]] = {  # what an architecture needs besides
    **{name: {"head_dim": 8, "qk_nope_head_dim": 8, "num_key_value_heads": 4} for name in _MLA},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "mamba2": {"num_heads": 4, "head_dim": 16, "expand": 2, "n_groups": 1},
    "nemotron": {"head_dim": 8},
    "falcon_h1": {"mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_n_groups": 1},
    "phi3": {"rope_parameters": _LONGROPE, "original_max_position_embeddings": 40},
    "phimoe": {"rope_parameters": _LONGROPE | {"short_mscale": 1.0, "long_mscale": 1.2}},
}


@dataclass(frozen=True)
class Found:
    """What was found out of one architecture."""

    name: str
    refusal: str = ""  # in words; empty = it loads
    pack: str = ""  # the way of packing
    shares: bool = False
    branches: bool = False
    batch: str = ""
    generates: str = ""
    difference: float = 0.0  # the largest, of log-likelihoods in nats and of embeddings by their spread
    same_answers: bool = True

    @property
    def is_exact(self) -> bool:
        """Whether numbers of a batch are those of each conversation alone."""
        return bool(self.refusal) or (self.difference < 5e-3 and self.same_answers)

    def row(self) -> str:
        """One row of the table."""
        if self.refusal:
            return f"| `{self.name}` | refused: {self.refusal} | | | | | |"
        yes = {True: "yes", False: "no"}
        cells = [self.batch, self.pack or "no", yes[self.shares], yes[self.branches], self.generates]
        cells.append("exact" if self.is_exact else f"**{self.difference:.2g} off**")
        return f"| `{self.name}` | {' | '.join(cells)} |"


def tiny_architecture(name: str, folder: Path, **changes: Any) -> Path:
    """Save a tiny random LLM of the architecture `name` (a `model_type` of transformers), with a tokenizer.

    Raises:
        ValueError: transformers cannot build it at this size, and why.
    """
    tokenizer = tiny_tokenizer()
    try:
        config = _config(name, len(tokenizer), changes)
        with torch.device("meta"):
            size = sum(weight.numel() for weight in AutoModelForCausalLM.from_config(config).parameters())
        if size > _MOST_PARAMETERS:
            raise ValueError(f"{size} weights at the smallest")
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval()
        model(torch.arange(12)[None], use_cache=False)  # as transformers means it; not all settings go together
    except Exception as error:
        raise ValueError(
            f"{name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        ) from error
    with torch.no_grad():  # so that a mistake shows
        for parameter in model.parameters():
            if parameter.ndim >= 2 and parameter.numel() > 64 and parameter.float().std() < 0.15:
                parameter.normal_(0, 0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _config(name: str, vocabulary: int, changes: Mapping[str, Any]) -> Any:
    kind: Any = CONFIG_MAPPING[name]
    default = kind()
    if hasattr(default, "text_config") or hasattr(default, "vision_config"):
        raise ValueError("an LLM inside a larger model")
    known = {*default.to_dict(), *getattr(kind, "attribute_map", {})}
    has = {key for key in known if key in _SIZES and _value(default, key) is not None}
    values = {key: _SIZES[key] for key in has} | {"vocab_size": vocabulary, "num_hidden_layers": 2}
    values |= _OWN.get(name, {}) | changes
    types = default.to_dict().get("layer_types")
    if isinstance(types, list):  # each kind of layer, twice
        kinds = [*dict.fromkeys(types)]
        values |= {"layer_types": kinds * 2, "num_hidden_layers": 2 * len(kinds)}
    return kind(**values)


def _value(config: Any, key: str) -> Any:
    try:
        return getattr(config, key, None)
    except Exception:  # some keys differ by layer, and transformers says so
        return None


# --- transformers alone: one conversation, no pads, no cache ---


@torch.no_grad()
def nll_alone(reference: Any, model: OmniModel, messages: Sequence[Message]) -> float:
    """Negative log-likelihood in nats of the answer of one conversation."""
    embedded = model.embed_examples([model.prepare([*messages], answer=True)])[0]
    logits = reference(inputs_embeds=embedded.embeds[None].clone(), use_cache=False).logits[0].float().log_softmax(-1)
    index = (embedded.labels[1:] >= 0).nonzero().flatten()
    return -float(logits[index, embedded.labels[1:][index]].sum())


@torch.no_grad()
def embedding_alone(reference: Any, model: OmniModel, messages: Sequence[Message]) -> Tensor:
    """Hidden state [D] at the end of one conversation."""
    embeds = model.embed_examples([model.prepare([*messages])])[0].embeds[None]
    return reference(inputs_embeds=embeds, use_cache=False, output_hidden_states=True).hidden_states[-1][0, -1].float()


@torch.no_grad()
def answer_alone(reference: Any, model: OmniModel, messages: Sequence[Message]) -> str:
    """Greedy answer to one conversation, which is read again for each token."""
    embeds, ids = model.embed_examples([model.prepare([*messages])])[0].embeds, []
    for _ in range(_NUM_NEW_TOKENS):
        ids.append(int(reference(inputs_embeds=embeds[None].clone(), use_cache=False).logits[0, -1].argmax()))
        if ids[-1] in model.end_token_ids:
            break
        embeds = torch.cat([embeds, model.llm.embed(torch.tensor([ids[-1]]))])
    return model.llm.tokenizer.decode(ids, skip_special_tokens=True).strip()


# --- trying one ---

_CANDIDATES = ["a frog", "a bell and the drum", "the dog was heard in the picture", "x"]


def _turn(role: Any, *parts: Any) -> Message:
    return Message(role, tuple(Text(part) if isinstance(part, str) else part for part in parts))


CONVERSATIONS = [
    [_turn("user", "hi"), _turn("assistant", "a frog")],
    [_turn("user", sensor("image", 1, 40), "what is this?"), _turn("assistant", "a bell and the drum of the dog")],
    [_turn("user", sensor("image", 2, 9), "what is heard?"), _turn("assistant", "a bell")],
]


def try_llm(name: str, folder: Path) -> Found:
    """Compare what a batch gives with transformers alone, for the tiny LLM in `folder`."""
    try:
        model = tiny_model(folder, adapters={"image": MLP})
    except ValueError as error:
        return Found(name, refusal=str(error).replace(f"{folder}", name).removeprefix("model.llm.name: "))
    reference = AutoModelForCausalLM.from_pretrained(folder).eval()
    expected = torch.tensor([nll_alone(reference, model, one) for one in CONVERSATIONS])
    examples = [model.prepare(one, answer=True) for one in CONVERSATIONS]
    differences = []
    with torch.no_grad():
        for packed in (False, True):
            found = -model.answer_log_likelihoods(examples, model.embed_examples(examples), packed=packed)
            differences.append((found - expected).abs().max())
    asked = [one[:1] for one in CONVERSATIONS]
    scores = model.score_batch(asked, _CANDIDATES)
    for one, found in zip(asked, scores, strict=True):
        right = [-nll_alone(reference, model, [*one, _turn("assistant", text)]) for text in _CANDIDATES]
        differences.append((found - torch.tensor(right)).abs().max())
    for one, found in zip(asked, model.embed(asked), strict=True):
        right = embedding_alone(reference, model, one)
        differences.append((found - right).abs().max() / right.std())
    answers = model.generate(asked, max_new_tokens=_NUM_NEW_TOKENS)
    llm = model.llm
    switches = f", apart at {llm.length_switches[0]} tokens" if llm.length_switches else ""
    return Found(
        name,
        "",
        llm.pack_attention or "",
        llm.can_share,
        llm.can_branch,
        ("padded" if llm.can_pad else "one at a time") + switches,
        "cache" if llm.capabilities.can_continue else "reads again",
        float(torch.stack(differences).max()),
        answers == [answer_alone(reference, model, one) for one in asked],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Try architectures; return 1 if a batch of one of them is not exact."""
    parser = argparse.ArgumentParser(prog="python -m tests.architectures", description="Try architectures of LLMs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="model types of transformers (default: all)")
    parser.add_argument("--write", action="store_true", help="write the table of all into docs/architectures.md")
    options = parser.parse_args(arguments)
    if options.write and options.names:
        parser.error("--write needs all architectures; leave the names out")
    names = options.names or [*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES]
    rows, left_out, is_exact = [], [], True
    for name in sorted(names):
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = tiny_architecture(name, Path(folder))
            except ValueError as error:
                left_out.append(str(error))
                print("left out:", error, flush=True)
                continue
            try:
                found = try_llm(name, path)
            except Exception as error:
                traceback.print_exc()
                found = Found(name, refusal=f"**{type(error).__name__}**: {str(error)[:200]}")
                is_exact = False
        is_exact &= found.is_exact
        rows.append(found.row())
        print(found.row(), flush=True)
    if options.write:
        _write(rows, left_out)
    return 0 if is_exact else 1


def _write(rows: Sequence[str], left_out: Sequence[str]) -> None:
    """Put the table between the two marks of the page."""
    names = ", ".join(f"`{one.split(':')[0]}`" for one in left_out)
    text = PAGE.read_text(encoding="utf-8")
    before, after = text[: text.index(_BEGIN) + len(_BEGIN)], text[text.index(_END) :]
    columns = ("architecture", "batch", "packing", "shares", "branches", "generates", "against each alone")
    head = f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"
    note = f"transformers {transformers.__version__}. Not tried, being parts of larger models or never small: {names}."
    PAGE.write_text("\n".join([before, head, *rows, "", note, after]), encoding="utf-8")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    sys.exit(main())
