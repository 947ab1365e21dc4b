"""X-InstructBLIP (Panagopoulou et al. 2023, arXiv 2311.18799): a Q-Former for each modality before a frozen Vicuna.

Shapes and layouts are those of its public code and configs (LAVIS, projects/xinstructblip).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from omni.config import PromptConfig
from omni.published.assembly import Part, Source
from omni.published.files import BEATS, EVA, POINT_BERT, X_INSTRUCTBLIP, PublishedFile, only, refuse
from omni.published.lora import PublishedLoRA
from omni.published.qformers import PublishedQFormer

NAME = "X-InstructBLIP"
# The later weights were trained and evaluated with these (prefix, postfix, clean_tokenization in its configs).
PROMPT = PromptConfig(start_token="</s>", start="first", prefix="USER: ", postfix="\nASSISTANT:", answer_end="</s>")
NUM_FRAMES = 5
# The image Q-Former saw LLaVA's data; no licence is stated for the others' data or for the weights themselves.
IMAGE_LICENCE = "CC-BY-NC-4.0 (trained on LLaVA's data)"

# label of the command line -> its name in the files
_LABELS = {"image": "image", "video": "video", "audio": "audio", "sound": "audio", "3d": "pc", "pc": "pc"}
_LABELS["point_cloud"] = "pc"
_ENCODER_LABELS = {"eva": EVA, "beats": BEATS, "ulip2": POINT_BERT}
# name in the files -> modality here, cue, its encoder's file
_MODALITIES = {
    "image": ("image", "image: ", EVA),
    "video": ("video", "video: ", EVA),
    "audio": ("sound", "audio: ", BEATS),
    "pc": ("point_cloud", "3d: ", POINT_BERT),
}
FILE_NAMES = {EVA: "eva_vit_g.pth", BEATS: "BEATs_iter3_plus_AS2M.pt", POINT_BERT: "ULIP-2's Point-BERT checkpoint"}


def describe(files: Sequence[PublishedFile]) -> Source:
    """Describe the model that the files make.

    Raises:
        ValueError: a file that is none of X-InstructBLIP's, a label that does not fit, or a modality that occurs twice.
    """
    refuse(files, (X_INSTRUCTBLIP, EVA, BEATS, POINT_BERT), NAME)
    encoders = {kind: only(files, kind) for kind in (EVA, BEATS, POINT_BERT)}
    found: dict[str, PublishedFile] = {}
    loras = []
    for file in files:
        _check_label(file)
        if file.kind != X_INSTRUCTBLIP:
            continue
        for name in _modalities_of(file):
            if name in found:
                raise ValueError(f"{name} is in {found[name].path} and in {file.path}; name its file: {name}=FILE")
            found[name] = file
        if not any(lora.file.path == file.path for lora in loras):
            loras += [lora for lora in [PublishedLoRA.find(file)] if lora is not None]
    if not found:
        raise ValueError("no checkpoint of X-InstructBLIP is among the files, such as image=image_qformer.pth")
    if len(loras) > 1:
        raise ValueError("several files hold a LoRA of the LLM; import each into a folder of its own")
    parts = {_MODALITIES[name][0]: _part(name, file, encoders) for name, file in found.items()}
    return Source(NAME, parts, files, PROMPT, loras[0] if loras else None)


def _check_label(file: PublishedFile) -> None:
    known = {**dict.fromkeys(_LABELS, X_INSTRUCTBLIP), **_ENCODER_LABELS}
    if file.label is None:
        return
    if file.label not in known:
        raise ValueError(
            f"{file.label}={file.path}: unknown modality or encoder {file.label!r}; known: {', '.join(known)}"
        )
    if known[file.label] != file.kind:
        raise ValueError(f"{file.label}={file.path}: expected a {known[file.label]}, but it is a {file.kind}")


def _modalities_of(file: PublishedFile) -> list[str]:
    """Return the Q-Formers of the file that are wanted: the one that the label names, else all."""
    there = sorted({match[1] for name in file.state if (match := re.match(r"(\w+)_Qformer\.bert\.", name))})
    if not there and any("_projection." in name for name in file.state):
        raise ValueError(
            f"{file.path} is the linear variant of X-InstructBLIP, without Q-Former, which is not supported"
        )
    if file.label is None:
        if not there:
            raise ValueError(f"{file.path} holds no Q-Former")
        return there
    if _LABELS[file.label] not in there:
        raise ValueError(f"{file.label}={file.path}: it holds the Q-Former of {', '.join(there) or 'nothing'}")
    return [_LABELS[file.label]]


def _part(name: str, file: PublishedFile, encoders: Mapping[str, PublishedFile | None]) -> Part:
    _, cue, kind = _MODALITIES[name]
    weights = encoders[kind]
    return Part(
        PublishedQFormer(file, name),
        None if weights is None else _encoder(name, str(weights.path)),
        FILE_NAMES[kind],
        reads_instruction=True,
        cue=cue,
        join_clips=name not in ("video", "audio"),  # frames and windows go through the Q-Former one by one
        licence=IMAGE_LICENCE if name == "image" else None,
    )


def _encoder(name: str, weights: str) -> dict[str, Any]:
    if name == "audio":
        return {"class_path": "omni.encoders.BeatsEncoder", "init_args": {"weights": weights}}
    if name == "pc":
        return {"class_path": "omni.encoders.PointBertEncoder", "init_args": {"weights": weights}}
    if name == "image":  # the middle square, unlike BLIP-2
        return {"class_path": "omni.encoders.EvaClipEncoder", "init_args": {"weights": weights, "crop": True}}
    frames = {"class_path": "omni.encoders.EvaClipEncoder", "init_args": {"weights": weights}}
    arguments = {"image_encoder": frames, "num_frames": NUM_FRAMES, "position_scale": 0.0}
    return {"class_path": "omni.encoders.FrameEncoder", "init_args": arguments}
