"""Names of published Q-Former weights (Hugging Face, LAVIS, X-InstructBLIP) and their names in our `QFormer`.

Layouts, recognised by what stands before `encoder.layer.`; M is a modality of X-InstructBLIP (image, video, audio, pc):

| before `encoder.layer.` | from                        | queries          | feature norm | projection             |
|-------------------------|-----------------------------|------------------|--------------|------------------------|
| `M_Qformer.bert.`       | X-InstructBLIP              | `M_query_tokens` | `M_ln`       | `M_llm_proj`           |
| `Qformer.bert.`         | LAVIS BLIP-2, InstructBLIP  | `query_tokens`   | `ln_vision`  | `llm_proj`, `t5_proj`, |
|                         |                             |                  |              | `opt_proj`             |
| `qformer.`              | a whole Hugging Face model  | `query_tokens`   |              | `language_projection`  |
| `bert.` or nothing      | a Q-Former alone            | `query_tokens`   |              |                        |

A Hugging Face vision model ends in the LayerNorm that LAVIS keeps as `ln_vision`, so use `feature_norm=False` there;
where the features come from before that norm, rename it to `ln_vision` to have it read.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

# Parts of a Q-Former that may be left as they are ("fresh"), and what their names in our state dict look like.
PARTS: dict[str, re.Pattern[str]] = {
    "query_tokens": re.compile(r"query_tokens$"),
    "feature_norm": re.compile(r"feature_norm\."),
    "projection": re.compile(r"projection\."),
    "self_attention": re.compile(r"layers\.\d+\.attention\."),
    "cross_attention": re.compile(r"layers\.\d+\.cross_attention\."),
}

PUBLISHED_MARK = "encoder.layer.0.attention."  # every layout has it, once per Q-Former
_PREFIX = re.compile(r"((?:(?P<modality>\w+)_)?Qformer\.bert\.|qformer\.|bert\.|)$")

# Names inside the Q-Former, after its prefix: first LAVIS, then the variant of Hugging Face.
_RENAMED = [
    (r"embeddings\.word_embeddings\.", "text_embeddings.word."),
    (r"embeddings\.position_embeddings\.", "text_embeddings.position."),
    (r"(?:embeddings\.)?(?:LayerNorm|layernorm)\.", "embedding_norm."),
    (r"encoder\.layer\.(\d+)\.attention\.(?:self|attention)\.", r"layers.\1.attention.heads."),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense\.", r"layers.\1.attention.output."),
    (r"encoder\.layer\.(\d+)\.attention\.output\.LayerNorm\.", r"layers.\1.attention.norm."),
    (r"encoder\.layer\.(\d+)\.crossattention\.(?:self|attention)\.", r"layers.\1.cross_attention.heads."),
    (r"encoder\.layer\.(\d+)\.crossattention\.output\.dense\.", r"layers.\1.cross_attention.output."),
    (r"encoder\.layer\.(\d+)\.crossattention\.output\.LayerNorm\.", r"layers.\1.cross_attention.norm."),
    (r"encoder\.layer\.(\d+)\.intermediate_query\.dense\.", r"layers.\1.query_feed_forward.intermediate."),
    (r"encoder\.layer\.(\d+)\.output_query\.dense\.", r"layers.\1.query_feed_forward.output."),
    (r"encoder\.layer\.(\d+)\.output_query\.LayerNorm\.", r"layers.\1.query_feed_forward.norm."),
    (r"encoder\.layer\.(\d+)\.intermediate\.dense\.", r"layers.\1.text_feed_forward.intermediate."),
    (r"encoder\.layer\.(\d+)\.output\.dense\.", r"layers.\1.text_feed_forward.output."),
    (r"encoder\.layer\.(\d+)\.output\.LayerNorm\.", r"layers.\1.text_feed_forward.norm."),
]
_RENAMES = [(re.compile(pattern), replacement) for pattern, replacement in _RENAMED]


def rename_qformer_keys(names: Collection[str], *, modality: str | None = None) -> dict[str, str]:
    """Return, of the published `names`, those of one Q-Former, each with its name in our `QFormer`.

    A weight inside the Q-Former whose name is not known keeps its published name, so that a strict load reports it.

    Raises:
        ValueError: for no Q-Former among the names, or several and no `modality`.
    """
    layout = _find_layout(names, modality)
    renamed = {name: layout.rename(name) for name in names}
    return {name: ours for name, ours in renamed.items() if ours is not None}


def published_qformer_keys(ours: Collection[str], names: Collection[str], *, modality: str | None = None) -> list[str]:
    """Return the names that weights of our `QFormer` have in the layout of the published `names`, sorted."""
    layout = _find_layout(names, modality)
    return sorted(layout.publish(name) for name in ours)


@dataclass(frozen=True)
class _Layout:
    """Where one Q-Former's weights stand in a state dict."""

    body: str  # prefix of the BERT
    beside: dict[str, str]  # published prefix -> ours, for what stands beside it

    def rename(self, name: str) -> str | None:
        """Our name of a published one; None for what is no part of this Q-Former."""
        for published, ours in self.beside.items():
            if name == published or (published.endswith(".") and name.startswith(published)):
                return ours + name.removeprefix(published)
        if not name.startswith(self.body) or name.endswith("position_ids"):  # a buffer: 0, 1, 2, ...
            return None
        inner = name.removeprefix(self.body)
        for pattern, replacement in _RENAMES:
            if pattern.match(inner):
                return pattern.sub(replacement, inner, count=1)
        return name

    def publish(self, name: str) -> str:
        """The published name of one of ours, which is known."""
        for published, ours in self.beside.items():
            if name.startswith(ours):
                return published + name.removeprefix(ours)
        is_lavis = "Qformer." in self.body
        for published, ours in _RENAMED:
            match = re.match(re.escape(ours).replace(re.escape("\\1"), r"(\d+)"), name)
            if match:
                return self.body + _spell(published, match.groups(), is_lavis) + name[match.end() :]
        raise AssertionError(f"{name} has no published name")


def _spell(pattern: str, numbers: Sequence[str], is_lavis: bool) -> str:
    """A text that a pattern of `_RENAMED` matches: of two alternatives the first in LAVIS's layout."""
    text = re.sub(r"\(\?:(\w+)\|(\w+)\)", r"\1" if is_lavis else r"\2", pattern)
    text = re.sub(r"\(\?:(.*?)\)\?", r"\1", text)
    for number in numbers:
        text = text.replace(r"(\d+)", number, 1)
    return text.replace("\\.", ".")


def _find_layout(state_dict: Collection[str], modality: str | None) -> _Layout:
    found: dict[str | None, _Layout] = {}
    for name in state_dict:
        prefix, anchor, _ = name.partition(PUBLISHED_MARK)
        match = _PREFIX.match(prefix) if anchor else None
        if match:
            found[match["modality"]] = _layout(match[1], match["modality"])
    if not found:
        raise ValueError(
            f"no Q-Former in the state dict: no key holds {PUBLISHED_MARK!r} after a known prefix; its first keys are "
            f"{sorted(state_dict)[:5]} (LAVIS files hold the weights under the key 'model')"
        )
    if modality is None and len(found) == 1:
        return next(iter(found.values()))
    if modality not in found:
        raise ValueError(
            f"give the modality of the Q-Former to load: the state dict has {list(found)}, got {modality!r}"
        )
    return found[modality]


def _layout(body: str, modality: str | None) -> _Layout:
    if modality is not None:
        names = {"query_tokens": f"{modality}_query_tokens", "feature_norm.": f"{modality}_ln."}
        projections = [f"{modality}_llm_proj."]
    elif body == "Qformer.bert.":
        names = {"query_tokens": "query_tokens", "feature_norm.": "ln_vision."}
        projections = ["llm_proj.", "t5_proj.", "opt_proj."]
    else:
        names = {"query_tokens": "query_tokens", "feature_norm.": "ln_vision."}
        projections = ["language_projection."]
    beside = {published: ours for ours, published in names.items()}
    return _Layout(body, beside | dict.fromkeys(projections, "projection."))


def is_part_of(name: str, parts: Collection[str]) -> bool:
    """Return whether a weight (under our name) belongs to one of `parts`, which are keys of `PARTS`."""
    return any(PARTS[part].match(name) for part in parts)


def is_needed(name: str, num_layers: int, reads_instruction: bool) -> bool:
    """Return whether a weight (under our name) can influence the output of a Q-Former of so many layers.

    Not so: text weights of the last layer, and all of them if no instructions are read.
    """
    if not reads_instruction:
        return not name.startswith("text_embeddings.") and ".text_feed_forward." not in name
    return not name.startswith(f"layers.{num_layers - 1}.text_feed_forward.")
