"""Draw the picture of each page in this folder: the input of an encoder. Run it from the repository's root.

`python docs/modalities/draw.py` needs the starter data fashion-mnist, sonic-pi and furniture (`python -m omni fetch`),
whose licences allow pictures of them here (MIT, CC0, CC-BY-3.0). What is synthetic says so in its title.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image
from transformers import WhisperFeatureExtractor

from omni import starter
from omni.encoders.clip_pixels import resize_and_crop
from omni.encoders.efficientnet import pad_to_square
from omni.encoders.imagebind import preprocess
from omni.encoders.rendering import render_views
from omni.media import Media
from omni.media.clips import Clips
from omni.media.depth import load_depth, load_disparity
from omni.media.frames import load_frames
from omni.media.image import load_image
from omni.media.imu import load_imu
from omni.media.mesh import load_mesh, load_points
from omni.media.sound import load_sound
from omni.media.thermal import load_thermal

FOLDER = Path(__file__).parent
BLUE, GREY, ORANGE = "#2f6db5", "#9aa3ad", "#d9772b"


def draw_image() -> Figure:
    picture = load_image(starter.path("fashion-mnist") / "media" / "test" / "00000.png")
    wide = Image.new("RGB", (84, 56), "#7aa0c4")  # not square, so that the difference shows
    wide.paste(picture.resize((50, 50)), (17, 3))
    parts = {
        "the file: 84 x 56 pixels": wide,
        "EfficientNetLite: padded to a square, 224 x 224": pad_to_square(wide).resize(
            (224, 224), Image.Resampling.BICUBIC
        ),
        "ImageBind, CLIP: middle square, 224 x 224": resize_and_crop(wide, 224),
    }
    figure, axes = pyplot.subplots(1, 3, figsize=(9, 3.2))
    for axis, (title, image) in zip(axes, parts.items(), strict=True):
        axis.imshow(image)
        axis.set_title(title, fontsize=8)
        axis.set_xticks([])
        axis.set_yticks([])
    return figure


def draw_sound() -> Figure:
    media = Media("sound", path=str(starter.path("sonic-pi") / "media" / "loop_amen.flac"))
    sound = load_sound(media)
    twice = np.tile(sound.samples, 3)[: int(5.5 * 16000)]
    clips, mask = preprocess.sound_clips(Media("sound", data=twice, sampling_rate=16000), Clips("whole"))
    figure = pyplot.figure(figsize=(9, 4))
    grid = figure.add_gridspec(2, 3, height_ratios=[1, 2])
    axis = figure.add_subplot(grid[0, :])
    axis.plot(np.arange(len(twice)) / 16000, twice, color=BLUE, linewidth=0.3)
    for start in (0, 2, 4):
        axis.axvspan(start, start + 2, color=[BLUE, ORANGE, GREY][start // 2], alpha=0.15)
    axis.set_xlim(0, 6)
    axis.set_title("a drum loop, three times over, 5.3 s; clips of 2 s, policy whole", fontsize=9)
    axis.set_xlabel("seconds", fontsize=8)
    for index in range(3):
        axis = figure.add_subplot(grid[1, index])
        axis.imshow(clips[index, 0], aspect="auto", origin="lower", cmap="magma", vmin=-1.5, vmax=1.2)
        real = int(mask[index, 1:].reshape(12, 19)[0].sum())
        if index == 2:
            axis.axvline(real * 10, color="white", linestyle="--", linewidth=1)
        title = "128 mel bands x 204 frames" if index < 2 else "filled up; right of the line is masked"
        axis.set_title(f"clip {index + 1}: {title}", fontsize=8)
    return figure


def draw_speech() -> Figure:
    samples = vowels()
    extractor = WhisperFeatureExtractor()
    features = extractor(samples, sampling_rate=16000, return_tensors="np")["input_features"][0]
    figure, (top, bottom) = pyplot.subplots(2, 1, figsize=(9, 4), height_ratios=[1, 2])
    top.plot(np.arange(len(samples)) / 16000, samples, color=BLUE, linewidth=0.3)
    top.set_xlim(0, 30)
    top.set_title("synthetic: the vowels a e i o u, said by a formula, 8 s", fontsize=9)
    bottom.imshow(features, aspect="auto", origin="lower", cmap="magma", extent=(0, 30, 0, 80))
    bottom.axvline(len(samples) / 16000, color="white", linestyle="--", linewidth=1)
    bottom.text(len(samples) / 16000 + 0.4, 70, "filled up to 30 s, masked", color="white", fontsize=9)
    bottom.set_title("Whisper is given 80 mel bands x 3000 frames", fontsize=9)
    bottom.set_xlabel("seconds", fontsize=8)
    return figure


def vowels() -> np.ndarray:
    """Make five vowels, 1.4 s each with pauses: a pulse train at 120 Hz through two resonances, 16 kHz."""
    formants = [(730, 1090), (530, 1840), (270, 2290), (570, 840), (300, 870)]  # Peterson and Barney 1952
    times = np.arange(int(1.4 * 16000)) / 16000
    parts = []
    for first, second in formants:
        harmonics = 120 * np.arange(1, 40)
        weights = sum(1 / (1 + ((harmonics - formant) / 90) ** 2) for formant in (first, second))
        wave = (np.sin(2 * np.pi * harmonics[:, None] * times * (1 + 0.02 * np.sin(5 * times))) * weights[:, None]).sum(
            0
        )
        parts += [wave * np.hanning(len(times)) / 8, np.zeros(int(0.2 * 16000))]
    return np.concatenate(parts).astype(np.float32)


def a_mesh() -> Path:
    manifest = (starter.path("furniture") / "object-test.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line)["meta"] for line in manifest]
    row = next(row for row in rows if "chair" in row["name"].lower() and row["maker"] == "Kator Legaz")
    return starter.path("furniture") / row["point_cloud"]


def draw_video() -> Figure:
    turning = np.stack([np.asarray(view) for view in render_views(load_mesh(a_mesh()), 40, 128, 20.0)])
    media = Media("video", data=turning, options={"frames_per_second": 10})
    figure, axes = pyplot.subplots(2, 8, figsize=(9, 3))
    uniform = load_frames(media, 8)
    dense = load_frames(media, 8, sample_rate=2)
    for row, (name, frames) in enumerate({"num_frames: 8": uniform, "sample_rate: 2": dense}.items()):
        for axis, image, time in zip(axes[row], frames.images, frames.times, strict=True):
            axis.imshow(image)
            axis.set_title(f"{time:.1f} s", fontsize=8)
            axis.set_xticks([])
            axis.set_yticks([])
        axes[row, 0].set_ylabel(name, fontsize=8)
    figure.suptitle(
        "synthetic: a chair (Kator Legaz, CC-BY-3.0) turned once in 4 s; the frames that are taken", fontsize=9
    )
    return figure


def draw_3d() -> Figure:
    mesh = load_mesh(a_mesh())
    figure = pyplot.figure(figsize=(9, 3.6))
    grid = figure.add_gridspec(2, 5)
    for index, view in enumerate(render_views(mesh, 6, 224)):
        axis = figure.add_subplot(grid[index // 3, index % 3])
        axis.imshow(view)
        axis.axis("off")
    axis = figure.add_subplot(grid[:, 3:], projection="3d")
    points = load_points(a_mesh(), 2048, seed=0).points
    axis.scatter(points[:, 0], points[:, 2], points[:, 1], s=0.6, c=points[:, 1], cmap="viridis")
    axis.set_title("PointBertEncoder: points on the surface, unit sphere", fontsize=8)
    axis.set_box_aspect((1, 1, 1))
    axis.tick_params(labelsize=5)
    figure.suptitle("a chair (Kator Legaz, CC-BY-3.0): six views for MultiViewEncoder, and points", fontsize=9)
    return figure


def draw_depth() -> Figure:
    metres = a_room()
    millimetres = np.rint(metres * 1000).astype(np.uint16)
    media = Media("depth", data=millimetres)
    given = preprocess.depth_clips(media)[0, 0].numpy()
    parts = {
        "metres (0 = unknown)": load_depth(media),
        "disparity, pixels": load_disparity(media),
        "ImageBind is given": given,
    }
    return _planes(parts, "synthetic: a room with a ball, 16-bit millimetres, the first Kinect's camera", "viridis")


def a_room() -> np.ndarray:
    """Return depth in metres [240, 320]: a floor, a wall at 5 m, a ball at 2 m, and a patch that no sensor saw."""
    rows, columns = np.mgrid[0:240, 0:320]
    x, y = (columns - 160) / 259.4, (rows - 110) / 259.4
    floor = np.where(y > 0.01, 1.2 / np.maximum(y, 0.01), np.inf)
    metres = np.minimum(floor, 5.0)
    centre, radius = np.array([0.35, 0.7, 2.2]), 0.5
    towards = np.stack([x, y, np.ones_like(x)], axis=-1)
    squared, along = (towards**2).sum(-1), towards @ centre
    inside = along**2 - squared * (centre @ centre - radius**2)
    ball = np.where(inside > 0, (along - np.sqrt(np.maximum(inside, 0))) / squared, np.inf)
    metres = np.minimum(metres, ball)
    metres[60:95, 60:110] = 0
    return metres


def draw_thermal() -> Figure:
    counts = a_person()
    media = Media("thermal", data=counts)
    radiometric = Media("thermal", data=counts, options={"scaling": "radiometric", "temperatures": [0, 45]})
    parts = {
        "celsius, from 16-bit counts of 0.01 K": counts / 100 - 273.15,
        "min-max (default of 16 bits)": load_thermal(media),
        "radiometric, 0 to 45 degrees": load_thermal(radiometric),
    }
    return _planes(parts, "synthetic: a person and a hot lamp before a cool wall", "inferno")


def a_person() -> np.ndarray:
    """Return counts of 0.01 K, uint16 [120, 160]."""
    rows, columns = np.mgrid[0:120, 0:160]
    celsius = 16 + 2 * np.sin(columns / 50) + np.random.default_rng(0).normal(0, 0.15, (120, 160))

    def add(row: float, column: float, height: float, width: float, degrees: float) -> None:
        nonlocal celsius
        distance = ((rows - row) / height) ** 2 + ((columns - column) / width) ** 2
        celsius = np.where(distance < 1, degrees - distance, celsius)

    add(88, 65, 34, 17, 29)
    add(40, 65, 15, 11, 34.5)
    add(28, 125, 7, 7, 62)
    return np.rint((celsius + 273.15) * 100).astype(np.uint16)


def _planes(parts: dict[str, np.ndarray], title: str, colours: str) -> Figure:
    figure, axes = pyplot.subplots(1, len(parts), figsize=(9, 2.9))
    for axis, (name, values) in zip(axes, parts.items(), strict=True):
        shown = axis.imshow(values, cmap=colours)
        figure.colorbar(shown, ax=axis, fraction=0.045).ax.tick_params(labelsize=6)
        axis.set_title(name, fontsize=8)
        axis.set_xticks([])
        axis.set_yticks([])
    figure.suptitle(title, fontsize=9)
    return figure


def draw_imu() -> Figure:
    times = np.cumsum(np.random.default_rng(0).uniform(0.005, 0.035, 180))
    times = times - times[0]
    step = np.maximum(0, np.sin(2 * np.pi * 1.8 * times)) ** 4
    rows = [np.sin(11 * times), 0.5 * np.cos(11 * times), 9.81 + 6 * step]
    rows += [0.4 * np.sin(5.6 * times), 0.9 * np.cos(5.6 * times), 0.1 * np.sin(2 * times)]
    media = Media("imu", data=np.column_stack([times, *rows]))
    clips, mask = preprocess.imu_clips(media, Clips("uniform", 1))
    recording = load_imu(media)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3))
    for channel in (0, 2):
        left.plot(times, rows[channel], ".", markersize=3, color=[BLUE, GREY, ORANGE][channel])
        left.plot(np.arange(recording.samples.shape[1]) / 400, recording.samples[channel], color="black", linewidth=0.4)
    left.set_title("synthetic walking: two of six channels, uneven times -> 400 Hz", fontsize=8)
    left.set_xlabel("seconds", fontsize=8)
    right.imshow(clips[0] / clips[0].abs().amax(1, keepdim=True), aspect="auto", cmap="RdBu", vmin=-1, vmax=1)
    right.axvline(8 * int(mask.sum() - 1), color="black", linestyle="--", linewidth=1)
    right.set_yticks(range(6), ["acc x", "acc y", "acc z", "gyro x", "gyro y", "gyro z"], fontsize=7)
    right.set_title("ImageBind is given 6 x 2000; right of the line is filled up and masked", fontsize=8)
    return figure


PICTURES: dict[str, Callable[[], Figure]] = {
    "image": draw_image,
    "sound": draw_sound,
    "speech": draw_speech,
    "video": draw_video,
    "3d": draw_3d,
    "depth": draw_depth,
    "thermal": draw_thermal,
    "imu": draw_imu,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or PICTURES:
        drawn = PICTURES[name]()
        drawn.tight_layout()
        path = FOLDER / f"{name}.png"
        drawn.savefig(path, dpi=90)
        Image.open(path).convert("RGB").quantize(96).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size // 1000} kB")
