"""Ordinary files of every kind, as cameras, recorders and modelling programs write them, made from fixed numbers."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import soundfile
import trimesh
from PIL import Image

_SIZE = 1024  # pixels of a picture's side
_VIDEO = (640, 480)
_RATE = 44100
_PICTURES = {"photo.jpg": {"quality": 90}, "photo.png": {}, "photo.webp": {"quality": 90}, "scan.tif": {}}
_SOUNDS = ("speech.wav", "music.flac", "music.mp3", "music.ogg")
_VIDEOS = {"clip.mp4": "libx264", "clip.mkv": "mpeg4", "clip.webm": "libvpx-vp9", "clip.ts": "mpeg2video"}
_MESHES = ("mesh.glb", "mesh.ply", "mesh.obj", "mesh.stl")


def write_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write one file of each kind into `folder`; yield its kind (image, sound, ...) and its path."""
    generator = np.random.default_rng(0)
    photo = _photo(generator)
    for name, options in _PICTURES.items():
        Image.fromarray(photo).save(folder / name, **options)
        yield "image", folder / name
    frames = [Image.fromarray(np.roll(photo[::4, ::4], shift, 1)).convert("P") for shift in range(0, 48, 4)]
    frames[0].save(folder / "loop.gif", save_all=True, append_images=frames[1:], duration=80)
    yield "video", folder / "loop.gif"
    seconds = np.arange(20 * _RATE) / _RATE
    tones = sum(np.sin(2 * np.pi * pitch * seconds) for pitch in (220, 331, 523)) / 6
    for name in _SOUNDS:
        soundfile.write(folder / name, (tones + generator.normal(0, 0.01, len(seconds))).astype(np.float32), _RATE)
        yield "sound", folder / name
    for name, codec in _VIDEOS.items():
        _write_video(folder / name, codec, photo)
        yield "video", folder / name
    mesh = trimesh.creation.icosphere(subdivisions=5)
    for name in _MESHES:
        mesh.export(folder / name)
        yield "point_cloud", folder / name
    points = generator.normal(size=(20000, 3))
    (folder / "scan.xyz").write_text("\n".join(f"{x:.6f} {y:.6f} {z:.6f}" for x, y, z in points), encoding="utf-8")
    yield "point_cloud", folder / "scan.xyz"
    np.save(folder / "cloud.npy", points.astype(np.float32))
    yield "point_cloud", folder / "cloud.npy"
    rows = np.concatenate([np.arange(4000)[:, None] / 100, generator.normal(size=(4000, 6))], axis=1)
    header = "time,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z"
    np.savetxt(folder / "walk.csv", rows, delimiter=",", header=header, comments="", fmt="%.6f")
    yield "imu", folder / "walk.csv"


def _photo(generator: np.random.Generator) -> np.ndarray:
    """[H, W, 3] of uint8: smooth shapes with some grain, as in a photograph."""
    y, x = np.mgrid[:_SIZE, :_SIZE] / _SIZE
    waves = [np.sin(2 * np.pi * (a * x + b * y)) for a, b in ((1, 2), (3, 1), (2, 5))]
    values = 128 + 90 * np.stack(waves, axis=-1) + generator.normal(0, 6, (_SIZE, _SIZE, 3))
    return values.clip(0, 255).astype(np.uint8)


def _write_video(path: Path, codec: str, photo: np.ndarray) -> None:
    """Four seconds at 25 frames a second."""
    width, height = _VIDEO
    with av.open(str(path), "w") as container:
        stream = cast(av.VideoStream, container.add_stream(codec, rate=Fraction(25)))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(100):
            picture = np.roll(photo, 4 * index, axis=1)[:height, :width]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode())
