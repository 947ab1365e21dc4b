"""Damaged files of weights and settings: each encoder is built from them, or says in one clear error what is wrong.

Run as `python -m tests.fuzz_weights ENCODER,ENCODER NUM_CASES` (default: all, 1000); it prints one line for each.
"""

import json
import shutil
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from omni.encoders import (
    BeatsEncoder,
    EfficientNetLite,
    Encoder,
    EvaClipEncoder,
    HuggingFaceEncoder,
    ImageBindEncoder,
    OnnxEncoder,
    TextEncoder,
    YamNet,
)
from omni.media import Media
from tests.fuzz import good_bytes
from tests.fuzz_encoders import ENCODERS, checked, small_picture
from tests.omni.encoders import test_eva_clip, test_imagebind, test_point_bert

# Encoder of `tests.fuzz_encoders`, which writes the folder -> how it is built from a folder.
BUILDS: dict[str, Callable[[Path], Encoder]] = {
    "imagebind-image": lambda folder: ImageBindEncoder(folder, "image", sizes=test_imagebind.SIZES),
    "beats": BeatsEncoder,
    "point-bert": test_point_bert.small_encoder,
    "eva-clip": lambda folder: EvaClipEncoder(folder, image_size=28, size=test_eva_clip.SIZE),
    "efficientnet": lambda folder: EfficientNetLite(folder, image_size=32),
    "huggingface-clip": lambda folder: HuggingFaceEncoder(str(folder)),
    "huggingface-videomae": lambda folder: HuggingFaceEncoder(str(folder)),
    "huggingface-whisper": lambda folder: HuggingFaceEncoder(str(folder)),
    "huggingface-hubert": lambda folder: HuggingFaceEncoder(str(folder)),
    "text": lambda folder: TextEncoder(str(folder), max_tokens=20),
    "onnx": lambda folder: OnnxEncoder(folder, "image", small_picture),
    "yamnet": YamNet,
}
_KINDS = ("cut", "changed", "number", "empty", "absent", "other", "inner", "inner", "inner")
_VALUES = (-1, 0, 3, 1.5, None, "abc", [], {}, True)


def damaged_folders(good: Path, scratch: Path, count: int, seed: int = 0) -> Iterator[tuple[str, Path]]:
    """Copies of a folder with one damaged file, and what was done to it; each is written over by the next."""
    files = sorted(path for path in good.rglob("*") if path.is_file())
    for index in range(count):
        generator = np.random.default_rng([seed, index])
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(good, scratch)
        path = scratch / files[int(generator.integers(len(files)))].relative_to(good)
        kind = str(generator.choice(_KINDS))
        if kind == "inner" and path.suffix not in (".json", ".safetensors"):
            kind = "changed"
        yield f"{index} {kind} {_damage(path, kind, generator)}", scratch


def _damage(path: Path, kind: str, generator: np.random.Generator) -> str:
    data = path.read_bytes()
    if kind == "absent":
        path.unlink()
    elif kind == "inner" and path.suffix == ".json":
        return f"{path.name}: {_change_settings(path, generator)}"
    elif kind == "inner" and path.suffix == ".safetensors":
        return f"{path.name}: {_change_tensors(path, generator)}"
    elif kind == "other":
        path.write_bytes(generator.choice(np.array([b"{}", b"[1]", b"<html>", b"PK\3\4", bytes(64)], dtype=object)))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut":
        path.write_bytes(data[: int(generator.integers(0, len(data)))])
    else:
        changed = bytearray(data)
        within = min(len(data), 400) if kind == "number" else len(data)  # sizes and names stand in the header
        for place in generator.integers(0, within, int(generator.integers(1, 20))):
            changed[place] = int(generator.integers(0, 256))
        path.write_bytes(bytes(changed))
    return path.name


def _change_settings(path: Path, generator: np.random.Generator) -> str:
    settings = json.loads(path.read_text())
    if not isinstance(settings, dict) or not settings:
        path.write_text("null")
        return "null"
    key = str(generator.choice(sorted(settings)))
    value: Any = _VALUES[int(generator.integers(len(_VALUES)))]
    if generator.random() < 0.2:
        del settings[key]
    else:
        settings[key] = value
    path.write_text(json.dumps(settings))
    return f"{key} = {value!r} or gone"


def _change_tensors(path: Path, generator: np.random.Generator) -> str:
    tensors = load_file(path)
    name = str(generator.choice(sorted(tensors)))
    change = str(generator.choice(["gone", "renamed", "longer", "empty", "nan", "inf", "integers", "complex"]))
    tensor = tensors.pop(name)
    changed = {
        "renamed": lambda: tensor,
        "longer": lambda: torch.cat([tensor[None], tensor[None]]),
        "empty": lambda: tensor.reshape(-1)[:0],
        "nan": lambda: torch.full_like(tensor, float("nan")) if tensor.is_floating_point() else tensor,
        "inf": lambda: torch.full_like(tensor, float("inf")) if tensor.is_floating_point() else tensor,
        "integers": lambda: tensor.to(torch.int64),
        "complex": lambda: tensor.to(torch.complex64),
    }
    if change != "gone":
        tensors["x" + name if change == "renamed" else name] = changed[change]().contiguous()
    save_file(tensors, path, metadata={"format": "pt"})
    return f"{name} {change}"


def run(name: str, folder: Path, count: int) -> dict[str, Any]:
    """Build an encoder from damaged folders, and count how it ends.

    What can be built must encode a good item to finite features, unless bytes in the midst of the weights were changed:
    absurd but finite weights are weights all the same.
    """
    (folder / "good").mkdir()
    modality = ENCODERS[name].modality
    ENCODERS[name].make(folder / "good")
    suffix = {"image": "png", "sound": "wav", "video": "mp4", "point_cloud": "obj", "text": "txt"}[modality]
    options = {"format": suffix} if modality == "point_cloud" else {}
    media = Media(modality, data=good_bytes()[f"{modality} {suffix}"], options=options)
    figures: dict[str, Any] = {"name": name, "built": 0, "errors": 0, "failures": []}
    for description, damaged in damaged_folders(folder / "good", folder / "damaged", count):
        try:
            encoder = BUILDS[name](damaged)
        except (ValueError, OSError) as error:
            figures["errors"] += 1
            if str(damaged) not in str(error):
                figures["failures"].append(f"{description}: the error does not name the folder: {error!r}"[:400])
            continue
        except Exception as error:
            figures["failures"].append(f"{description}\n{''.join(traceback.format_exception(error)[-2:])}")
            continue
        figures["built"] += 1
        try:
            checked(encoder, 1)(media)
        except Exception as error:
            clear = isinstance(error, ValueError) and str(damaged) in str(error)
            absurd = "not finite" in str(error) and description.split()[1] in ("changed", "number")
            if not clear and not absurd:
                figures["failures"].append(f"{description}\n{''.join(traceback.format_exception(error)[-2:])}")
    return figures


def main(names: list[str], count: int) -> None:
    """Print the figures of each encoder."""
    warnings.simplefilter("ignore")
    for name in names:
        with TemporaryDirectory() as folder:
            print(json.dumps(run(name, Path(folder), count)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1].split(",") if len(sys.argv) > 1 else [*BUILDS], int(sys.argv[2]) if len(sys.argv) > 2 else 1000)
