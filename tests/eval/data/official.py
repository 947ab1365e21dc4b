"""What tests of official files share: media in real formats, a model that decodes them, and the way to a score."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
import torch
from PIL import Image
from torch import Tensor

from eval.data.checking import Found, check_split
from eval.run.plan import Plan
from eval.run.planning import plan_task
from eval.run.results import TaskResult
from eval.run.runner import evaluate
from eval.task import Generate, Task
from eval.tasks import TASKS
from omni.config import LLMConfig, ModalityConfig, ModelConfig, from_dict
from omni.encoders.base import Encoder, Features
from omni.media.depth import load_depth
from omni.media.frames import load_frames
from omni.media.image import load_image
from omni.media.imu import load_imu
from omni.media.item import Media
from omni.media.mesh import load_points
from omni.media.sound import load_sound
from omni.media.thermal import load_thermal
from omni.model import OmniModel, build_model
from tests.tiny import MLP, tiny_llm_dir


def _decoded(media: Media) -> np.ndarray:
    """The content of a medium as numbers, decoded by the loader of its modality."""
    if media.modality == "image":
        return np.asarray(load_image(media).convert("RGB"), np.float32) / 255
    if media.modality in ("sound", "speech"):
        return load_sound(media).samples
    if media.modality == "video":
        return np.stack([np.asarray(frame, np.float32) for frame in load_frames(media, 4).images]) / 255
    if media.modality == "depth":
        return load_depth(media)
    if media.modality == "thermal":
        return load_thermal(media)
    if media.modality == "imu":
        return load_imu(media).samples
    if media.modality == "point_cloud":
        return load_points(media, 16).points
    raise ValueError(f"no loader for {media.modality}")


class DecodingEncoder(Encoder):
    """Real media of one modality -> 2 features of width 4: moments of what its loader decodes, in two halves."""

    max_features = 2
    file_extensions = ()

    def __init__(self, modality: str) -> None:
        super().__init__(licence="Apache-2.0")
        self.modality = modality
        self.dim = 4

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        values = np.asarray(_decoded(media), np.float64).reshape(-1)
        halves = np.array_split(values, 2) if len(values) > 1 else [values, values]
        moments = [[half.mean(), half.std(), half.min(), half.max()] for half in halves]
        return {"values": torch.as_tensor(np.asarray(moments), dtype=torch.float32)[None]}

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        values = inputs["values"]
        return Features(torch.tanh(values), torch.ones(values.shape[:2], dtype=torch.bool))


def decoding_model(llm: Path, *modalities: str) -> OmniModel:
    """A tiny model whose encoders decode real media of these modalities."""
    configs = {
        name: from_dict(
            ModalityConfig,
            {
                "encoder": {
                    "class_path": "tests.eval.data.official.DecodingEncoder",
                    "init_args": {"modality": name},
                },
                "adapter": MLP,
                "cue": f"{name}: ",
            },
        )
        for name in modalities
    }
    torch.manual_seed(0)
    return build_model(ModelConfig(from_dict(LLMConfig, {"name": str(llm)}), configs))


def run(task: Task, folder: Path, model: OmniModel) -> TaskResult:
    """Evaluate a task on official files, without probes."""
    (result,) = evaluate(model, [task.changed(folder=str(folder))], progress=False, probes=False).tasks
    return result


def brief(task: Task) -> Task:
    """The same task, whose written answers have two tokens: all that a test of the questions needs."""
    if not isinstance(task.kind, Generate):
        return task
    return task.changed(kind=replace(task.kind, settings={**task.kind.settings, "max_new_tokens": 2}))


def check(source: str, folder: Path) -> Found:
    """What `python -m eval data` finds of `official:SOURCE`."""
    return check_split(f"official:{source}", folder)


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (8, 6)) -> Path:
    """A small picture of noise in the format of the file's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def sound(path: Path, seed: int = 0, seconds: float = 0.2, rate: int = 16000) -> Path:
    """A short sound of noise in the format of the file's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, int(seconds * rate))
    soundfile.write(path, samples, rate)
    return path


def video(path: Path, seed: int = 0, frames: int = 8, rate: int = 4, audio: bool = False) -> Path:
    """A short video of grey noise (`frames` at `rate` a second), with a sound track if asked for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = np.random.default_rng(seed)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        track = container.add_stream("aac", rate=16000) if audio else None
        for _ in range(frames):
            grey = np.full((32, 32, 3), numbers.integers(0, 256), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
        if track is not None:
            samples = numbers.uniform(-0.5, 0.5, (1, 16000 * frames // rate)).astype(np.float32)
            sound_frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            sound_frame.sample_rate = 16000
            container.mux(track.encode(sound_frame))
            container.mux(track.encode())
    return path


def parquet(path: Path, columns: Mapping[str, list[Any]], features: Mapping[str, Any] | None = None) -> Path:
    """A parquet file as hubs mirror tables; `features` are types of the `datasets` library for some columns.

    Pictures and sounds are `{"bytes": ...}`.
    """
    import datasets

    path.parent.mkdir(parents=True, exist_ok=True)
    table = datasets.Dataset.from_dict(dict(columns))
    for name, feature in (features or {}).items():
        table = table.cast_column(name, feature)
    table.to_parquet(str(path))
    return path


def plan_of(name: str, folder: Path) -> Plan:
    """What a shipped task asks of official files, without a model."""
    return plan_task(TASKS[name].changed(folder=str(folder)), limit=None, seed=0)


def asked(plan: Plan) -> list[tuple[str, str, tuple[str, ...]]]:
    """Id, question and right answers of the items of a plan."""
    return [(item.id, item.prompt, item.references) for item in plan.items]


def named(plan: Plan) -> dict[str, str]:
    """The items that cannot be used, by id, with the reasons."""
    return {item.id: item.reason for item in plan.bad}


def large_decoding_model(folder: Path, *modalities: str) -> OmniModel:
    """A tiny model that decodes real media, with a context for long questions."""
    return decoding_model(tiny_llm_dir(folder, context=4096), *modalities)
