"""Rows of manifests and of folders, as the tests of readers write and expect them."""

from pathlib import Path
from typing import Any

from PIL import Image

from omni.readers import SampleDataset
from omni.samples.messages import Media, Message, Sample, SampleError, Text


def pair(sample_id: str, path: str, caption: str, modality: str = "image", **meta: Any) -> Sample:
    messages = (Message("user", (Media(modality, path=path),)), Message("assistant", (Text(caption),)))
    return Sample(sample_id, messages, {"caption": caption, **meta})


def manifest_row(index: int) -> dict:
    content = [{"type": "image", "path": f"{index}.png"}, {"type": "text", "text": "What is it?"}]
    return {
        "id": f"r{index}",
        "messages": [{"role": "user", "content": content}, {"role": "assistant", "content": "A."}],
    }


def sample_at(dataset: SampleDataset, index: int) -> Sample:
    entry = dataset[index]
    assert isinstance(entry, Sample), entry
    return entry


def error_at(dataset: SampleDataset, index: int) -> SampleError:
    entry = dataset[index]
    assert isinstance(entry, SampleError), entry
    return entry


def picture(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), "red").save(path)
    return str(path)
