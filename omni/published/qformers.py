"""Published Q-Formers as configs of ours, with an account of every tensor."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from adapters import Adapter
from adapters.qformer_names import published_qformer_keys, rename_qformer_keys
from omni.config import ModalityConfig
from omni.config.components import build
from omni.encoders.eva_clip_names import POST_NORM
from omni.published.files import PublishedFile
from omni.published.key_report import FileReport, shape_problems
from omni.runtime.hub import check_model
from omni.runtime.pretrained import load_tokenizer
from omni.starter import resolve

# Every Q-Former published as a file has the structure of BERT-base; the file gives the widths.
BERT_BASE = {"num_layers": 12, "num_heads": 12, "cross_attention_frequency": 2}
# Argument of QFormer -> our tensors that show it, each with the axis; the second is used if the first is missing.
_SHOWN_BY = {
    "num_queries": (("query_tokens", 1),),
    "hidden_dim": (("query_tokens", 2), ("embedding_norm.weight", 0)),
    "intermediate_dim": (
        ("layers.0.query_feed_forward.intermediate.weight", 0),
        ("layers.1.query_feed_forward.intermediate.weight", 0),
    ),
}
_SHOWN_BY_TEXT = {
    "vocab_size": (("text_embeddings.word.weight", 0),),
    "max_positions": (("text_embeddings.position.weight", 0),),
}
FEATURE_DIM = (("layers.0.cross_attention.heads.key.weight", 1), ("feature_norm.weight", 0))
LLM_DIM = (("projection.weight", 0), ("projection.bias", 0))


@dataclass(frozen=True)
class PublishedQFormer:
    """One Q-Former of a file."""

    file: PublishedFile
    modality: str | None = None  # image, video, audio or pc, where the file names its Q-Formers; None = the only one
    structure: Mapping[str, Any] = field(default_factory=lambda: BERT_BASE)  # arguments that no tensor's shape shows

    @property
    def renamed(self) -> dict[str, str]:
        """Return published name -> the name in `adapters.QFormer`."""
        known = {_known_name(name): name for name in self.file.state}
        return {known[name]: ours for name, ours in rename_qformer_keys(known, modality=self.modality).items()}

    def arguments(self, instruction_tokenizer: str | None) -> dict[str, Any]:
        """Return the arguments of `QFormer` without the widths of features and LLM, and without our own output norm."""
        shown = _SHOWN_BY | (_SHOWN_BY_TEXT if instruction_tokenizer is not None else {})
        sizes = {name: self.size(*places) for name, places in shown.items()}
        known = {name: size for name, size in sizes.items() if size is not None}
        return {**known, **self.structure, "instruction_tokenizer": instruction_tokenizer, "embedding_rms": None}

    def size(self, *places: tuple[str, int]) -> int | None:
        """Return the size along an axis of the first of these tensors (by our names) that exists, or None."""
        published = {ours: name for name, ours in self.renamed.items()}
        for ours, axis in places:
            if ours in published and self.file.state[published[ours]].ndim > axis:
                return self.file.state[published[ours]].shape[axis]
        return None

    def build_empty(self, config: ModalityConfig, key: str) -> Adapter:
        """Build the adapter of a config without memory for its weights.

        Raises:
            ValueError: an override made it one that does not take these weights; `key` names it.
        """
        widths = {"feature_dim": self.size(*FEATURE_DIM) or 1, "llm_dim": self.size(*LLM_DIM) or 1}
        with torch.device("meta"):
            adapter = build(config.adapter, f"{key}.adapter", Adapter, **widths, embedding_rms=None)
        if self._needed_by(adapter) is None:
            raise ValueError(f"{key}.adapter: published weights are those of an adapters.QFormer")
        return adapter

    def account(self, adapter: Adapter, report: FileReport, component: str) -> None:
        """Note in `report` what becomes of each tensor; `adapter`, from `build_empty`, shows what is expected."""
        state, renamed = self.file.state, self.renamed
        unpublished = adapter.unpublished_weights
        own = {name: value for name, value in adapter.state_dict().items() if not name.startswith(unpublished)}
        needed = self._needed_by(adapter)
        assert needed is not None
        report.used.update(name for name, ours in needed.items() if ours in own)
        report.leave_out("text weights that influence nothing", renamed.keys() - needed.keys())
        report.leave_out("numbers of positions", {name for name in state if name.endswith(".position_ids")})
        missing = published_qformer_keys(own.keys() - needed.values(), state, modality=self.modality)
        in_folder = self.file.path.is_dir()
        report.problem(component, "missing", [_folder_name(name) if in_folder else name for name in missing])
        report.problem(component, "unexpected", [name for name, ours in needed.items() if ours not in own])
        expected = {name: own[ours].shape for name, ours in needed.items() if ours in own}
        report.problem(
            component, "of another shape", shape_problems({name: state[name].shape for name in expected}, expected)
        )

    def load(self, adapter: Adapter, used: Collection[str]) -> None:
        """Load the tensors `used`, which `account` found to fit."""
        needed = self._needed_by(adapter)
        assert needed is not None
        given = {ours: self.file.state[name] for name, ours in needed.items() if name in used}
        adapter.load_state_dict(adapter.state_dict() | given)

    def _needed_by(self, adapter: Adapter) -> dict[str, str] | None:
        """Published name -> own name of what `adapter` needs; None where it does not know such weights."""
        known = {_known_name(name): name for name in self.file.state}
        renamed = adapter.rename_published(known, modality=self.modality)
        return None if renamed is None else {known[name]: ours for name, ours in renamed.items()}


def _known_name(name: str) -> str:
    """Return its name in `adapters.qformer_names`: in transformers the features' norm is the vision model's last."""
    return name.replace(POST_NORM, "ln_vision.") if name.startswith(POST_NORM) else name


def _folder_name(name: str) -> str:
    return name.replace("ln_vision.", POST_NORM) if name.startswith("ln_vision.") else name


def check_tokenizer(name: str, vocab_size: int) -> None:
    """Check that the tokenizer of the instructions is there and is the one of these weights.

    Raises:
        FileNotFoundError: there is no such tokenizer.
        ValueError: the tokenizer has other tokens than the Q-Former.
    """
    check_model(resolve(name), "--instruction-tokenizer", file="tokenizer_config.json")
    try:
        tokenizer = load_tokenizer(resolve(name))
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"the tokenizer of the instructions, {name!r}, is neither a local folder nor an id that a hub gives "
            f"({str(error).splitlines()[0]}); name a folder with that of bert-base-uncased: --instruction-tokenizer"
        ) from error
    if not vocab_size - 1 <= len(tokenizer) <= vocab_size:  # the weights may have a row for [DEC], which is not used
        raise ValueError(
            f"the tokenizer {name!r} has {len(tokenizer):,} tokens, but the Q-Former {vocab_size:,}: published ones "
            "read instructions through bert-base-uncased (30,522 tokens); name it by --instruction-tokenizer"
        )
