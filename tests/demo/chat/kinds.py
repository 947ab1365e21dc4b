"""A tiny model with every modality: real files are read by omni's loaders, weights are random."""

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import trimesh
from PIL import Image
from torch import Tensor

from omni.config import LLMConfig, ModalityConfig, ModelConfig, from_dict
from omni.joint_space import JointSpace, JointSpaceConfig
from omni.media.depth import load_depth
from omni.media.frames import load_frames
from omni.media.image import load_image
from omni.media.imu import load_imu
from omni.media.item import Media
from omni.media.mesh import load_mesh
from omni.media.sound import load_sound
from omni.media.text import load_text
from omni.media.thermal import load_thermal
from omni.model import OmniModel, build_model
from tests.tiny import MLP, RESAMPLER, SensorEncoder, recording

LOADERS: dict[str, Any] = {
    "image": lambda media: np.asarray(load_image(media).resize((4, 4))),
    "sound": lambda media: load_sound(media).samples,
    "speech": lambda media: load_sound(media).samples,
    "video": lambda media: np.stack([np.asarray(image.resize((2, 2))) for image in load_frames(media, 4).images]),
    "point_cloud": lambda media: load_mesh(media).vertices,
    "depth": lambda media: load_depth(media),
    "thermal": lambda media: load_thermal(media),
    "imu": lambda media: load_imu(media).samples,
    "motion": lambda media: np.load(media.path),
    "text": lambda media: np.frombuffer(load_text(media, 100).encode(), np.uint8),
}
EXTENSIONS = {
    "image": [".png", ".jpg"], "sound": [".wav"], "speech": [".wav"], "video": [".mp4", ".gif", ".webm"],
    "point_cloud": [".obj", ".ply"], "depth": [".tiff"], "thermal": [".tif"], "imu": [".csv"], "motion": [".npy"],
    "text": [],
}  # fmt: skip


# What explanations cut them as; others are cut as arrays.
MEDIUMS = {"image": "picture", "sound": "sound", "video": "video", "point_cloud": "cloud", "imu": "imu"}


class AnyMedia(SensorEncoder):
    """Reads media of one modality, and takes 6 x 3 of its numbers for features."""

    fingerprint_name = "tests.demo.chat.kinds.AnyMedia"

    def __init__(self, modality: str, extensions: list[str], seed: int = 0) -> None:
        super().__init__(seed=seed, modality=modality)
        self.file_extensions = tuple(extensions)
        self.medium = MEDIUMS.get(modality)

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        values = np.asarray(LOADERS[self.modality](media), dtype=np.float32).reshape(-1)
        return super().preprocess(Media(self.modality, data=np.resize(values / (np.abs(values).max() or 1), (6, 3))))


def _encoder(modality: str, seed: int) -> dict[str, Any]:
    arguments = {"modality": modality, "extensions": EXTENSIONS[modality], "seed": seed}
    return {"class_path": "tests.demo.chat.kinds.AnyMedia", "init_args": arguments}


def every_modality(llm: Path, seed: int = 0) -> OmniModel:
    """A model of all modalities but text, with random weights."""
    torch.manual_seed(seed)
    modalities = {
        name: from_dict(
            ModalityConfig,
            {"encoder": _encoder(name, index), "adapter": RESAMPLER if index % 2 else MLP, "cue": f"{name}: "},
        )
        for index, name in enumerate(name for name in LOADERS if name != "text")
    }
    return build_model(ModelConfig(from_dict(LLMConfig, {"name": str(llm)}), modalities))


def every_space() -> JointSpace:
    """A joint space of pictures, sounds and texts, with random weights."""
    torch.manual_seed(0)
    modalities = {name: {"encoder": _encoder(name, index)} for index, name in enumerate(("image", "sound", "text"))}
    return JointSpace.build(from_dict(JointSpaceConfig, {"modalities": modalities, "dim": 16}), None, None)


def media_files(folder: Path) -> dict[str, Path]:
    """A small file of each modality."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    columns, rows = np.meshgrid(np.linspace(0, 1, 160), np.linspace(0, 1, 120))
    disc = (columns - 0.5) ** 2 + (rows - 0.5) ** 2 < 0.12
    picture = np.zeros((120, 160, 4), np.uint8)  # transparent around a disc
    picture[disc] = (22, 163, 74, 255)
    Image.fromarray(picture, "RGBA").save(folder / "leaf.png")
    seconds = np.arange(16000) / 16000
    soundfile.write(folder / "bell.wav", 0.5 * np.sin(2 * np.pi * 660 * seconds) * np.exp(-4 * seconds), 16000)
    frames = []
    for step in range(8):
        frame = Image.new("RGB", (96, 72), (30, 64, 175))
        frame.paste((250, 204, 21), (8 * step, 20, 8 * step + 24, 44))
        frames.append(frame)
    frames[0].save(folder / "ball.gif", save_all=True, append_images=frames[1:], duration=120, loop=0)
    trimesh.creation.torus(1.0, 0.35).export(folder / "ring.obj")
    Image.fromarray((1000 + 3000 * (columns + rows) / 2 - 600 * disc).astype(np.uint16)).save(folder / "room.tiff")
    Image.fromarray((29500 + 1500 * np.exp(-9 * ((columns - 0.5) ** 2 + (rows - 0.5) ** 2))).astype(np.uint16)).save(
        folder / "hand.tif"
    )
    times = np.arange(400) / 200
    walk = [np.sin(2 * np.pi * (axis + 1) * times) + 0.1 * generator.normal(size=400) for axis in range(6)]
    table = np.stack([times, *walk], axis=1)
    header = "time_s,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z"
    np.savetxt(folder / "walk.csv", table, delimiter=",", header=header, comments="")
    np.save(folder / "sensor.npy", recording(0, 60).cumsum(axis=0))
    names = {"image": "leaf.png", "sound": "bell.wav", "video": "ball.gif", "point_cloud": "ring.obj",
             "depth": "room.tiff", "thermal": "hand.tif", "imu": "walk.csv", "motion": "sensor.npy"}  # fmt: skip
    return {modality: folder / name for modality, name in names.items()}
