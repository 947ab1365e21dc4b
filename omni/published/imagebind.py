"""ImageBind (Girdhar et al. 2023, arXiv 2305.05665) as a joint space; its weights stay in their own file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from omni.encoders.imagebind import ImageBindNetwork, ImageBindSizes
from omni.encoders.weights import KeyMismatchError, check_keys
from omni.joint_space import IMAGEBIND_MODALITIES, JointSpace, imagebind_space
from omni.joint_space.inputs import text_media
from omni.model.card import ModelCard
from omni.published.files import IMAGEBIND, PublishedFile, only, read_files, refuse
from omni.published.key_report import FileReport, check
from omni.published.settings import Settings, apply_overrides

NAME = "ImageBind"
VOCABULARY = "vocabulary"  # the label of CLIP's vocabulary, which is not a file of weights
_KEYS = ("modalities", "sizes")


def import_space(arguments: Sequence[str], settings: Settings) -> tuple[JointSpace, list[FileReport]]:
    """Make a joint space of `imagebind_huge.pth`, and of CLIP's vocabulary if texts are to be read.

    Raises:
        KeysDoNotFitError: the file's tensors are not exactly those of ImageBind's six trunks.
        FileNotFoundError, ValueError: a file is missing or of another kind, or a setting is wrong.
    """
    vocabularies = [one for one in arguments if _is_vocabulary(one)]
    if len(vocabularies) > 1:
        raise ValueError(f"several vocabularies: {', '.join(vocabularies)}; name one")
    files = read_files([one for one in arguments if one not in vocabularies])
    refuse(files, (IMAGEBIND,), NAME)
    file = only(files, IMAGEBIND)
    if file is None:
        raise ValueError("no file of ImageBind is among the files, such as imagebind_huge.pth")
    if file.label not in (None, "imagebind"):
        raise ValueError(f"{file.label}={file.path}: labels are imagebind and {VOCABULARY}, or none")
    if settings.leave_out:
        raise ValueError("--leave-out: of ImageBind's file all tensors are needed, and no others may be in it")
    values = apply_overrides({}, settings.overrides)
    if set(values) - set(_KEYS):
        raise ValueError(f"--set: unknown keys {sorted(set(values) - set(_KEYS))}; for ImageBind there are {_KEYS}")
    sizes = ImageBindSizes.parse(values.get("sizes"))
    report = _account(file, sizes)
    vocabulary = None if not vocabularies else _vocabulary_path(vocabularies[0])
    modalities = values.get("modalities", IMAGEBIND_MODALITIES)
    options: dict[str, Any] = {"modalities": modalities, "dtype": settings.encoder_dtype, "sizes": sizes}
    space = imagebind_space(file.path, vocabulary, **options)
    if "text" in space.modalities:
        space.modality("text").encoder.preprocess(text_media("a"))  # reads the vocabulary: a wrong one shows now
    origin = f"Imported from {NAME}'s {file.path.name} (SHA-256 {file.digest()}...); not trained here."
    space.card = ModelCard(training=[origin])
    return space, [report]


def _account(file: PublishedFile, sizes: ImageBindSizes) -> FileReport:
    report = FileReport(file.path, frozenset(file.state))
    with torch.device("meta"):
        network = ImageBindNetwork(sizes)
    try:
        check_keys(network, file.state, file.path)
    except KeyMismatchError as error:
        report.problem(NAME, "missing", error.missing)
        report.problem(NAME, "unexpected", error.unexpected)
        report.problem(NAME, "of another shape", error.misshaped)
    report.used.update(report.names & network.state_dict().keys())
    check([report], ())
    return report


def _is_vocabulary(argument: str) -> bool:
    return argument.startswith(f"{VOCABULARY}=") or argument.endswith(".txt.gz")


def _vocabulary_path(argument: str) -> Path:
    path = Path(argument if Path(argument).exists() else argument.removeprefix(f"{VOCABULARY}=")).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; it is CLIP's bpe_simple_vocab_16e6.txt.gz")
    return path
