"""Fashion-MNIST: the official test split whole, and a seeded, class-balanced part of the official training split."""

import gzip
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from omni.starter.archives import unpack_deb
from omni.starter.catalogue import FASHION_MNIST
from omni.starter.manifest import Row, media, row, sentence, write_manifest
from omni.starter.progress import Progress

LABELS = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
PHRASES = (
    *("a T-shirt or top", "a pair of trousers", "a pullover", "a dress", "a coat"),
    *("a sandal", "a shirt", "a sneaker", "a bag", "an ankle boot"),
)
TRAINING_PER_CLASS = 500  # 5,000 of the 60,000: as files, all of them would be slow to write and to copy
SEED = 0


def build(packages: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Fill `folder` with `media/SPLIT/NNNNN.png` (number in the official order) and `image-SPLIT.jsonl`."""
    files = {file.name: file for file in unpack_deb(packages["dataset-fashion-mnist"], folder, _place, progress)}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        pictures = read_idx(files[f"{prefix}-images-idx3-ubyte.gz"])
        labels = read_idx(files[f"{prefix}-labels-idx1-ubyte.gz"])
        chosen = choose_training(labels) if split == "train" else np.arange(len(labels))
        (folder / "media" / split).mkdir(parents=True)
        rows = []
        with progress.items(f"write the {split} pictures", len(chosen)) as report:
            for index in chosen:
                rows.append(_write(folder, split, int(index), pictures[index], int(labels[index])))
                report(1)
        write_manifest(folder / f"image-{split}.jsonl", rows)
    for file in files.values():
        file.unlink()


def read_idx(file: Path) -> np.ndarray:
    """Read a gzipped IDX file of unsigned bytes: two zero bytes, type 8, rank, dimensions big-endian, data."""
    content = gzip.decompress(file.read_bytes())
    if content[:3] != b"\0\0\x08":
        raise ValueError(f"{file} is not an IDX file of unsigned bytes: it starts with {content[:4]!r}")
    rank = content[3]
    shape = np.frombuffer(content, ">u4", count=rank, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape.astype(int))


def choose_training(labels: np.ndarray) -> np.ndarray:
    """Return TRAINING_PER_CLASS indices of each class, drawn with a fixed seed, in the official order."""
    generator = np.random.default_rng(SEED)
    drawn = [
        generator.choice(np.flatnonzero(labels == label), TRAINING_PER_CLASS, replace=False)
        for label in range(len(LABELS))
    ]
    return np.sort(np.concatenate(drawn))


def _write(folder: Path, split: str, index: int, picture: np.ndarray, label: int) -> Row:
    path = f"media/{split}/{index:05d}.png"
    Image.fromarray(picture).save(folder / path, compress_level=1)
    caption = sentence(PHRASES[label])
    return row(
        f"fashion-mnist/{split}/{index:05d}",
        [media("image", path)],
        caption,
        caption=caption,
        label=LABELS[label],
        label_index=label,
        image=path,
        licence=FASHION_MNIST.licence,
    )


def _place(inner: PurePosixPath) -> str | None:
    return inner.name if inner.name.endswith("-ubyte.gz") else None
