"""`python -m omni import imagebind`: all 1311 keys at tiny widths become a joint space, and nothing else does."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from omni.__main__ import main
from omni.encoders.imagebind import TRUNKS, ImageBindNetwork, ImageBindSizes
from omni.joint_space import JointSpace
from omni.media.item import Media
from tests.omni.encoders.test_imagebind import write_vocabulary

TINY = {name: {"width": 8, "num_blocks": ImageBindSizes().trunk(name).num_blocks, "num_heads": 2} for name in TRUNKS}
SIZES = f"sizes={TINY | {'embedding_dim': 12}}"
MODALITIES = "modalities=[imu, text]"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    with torch.device("meta"):
        shapes = ImageBindNetwork(ImageBindSizes.parse(TINY | {"embedding_dim": 12})).state_dict()
    generator = torch.Generator().manual_seed(0)
    assert len(shapes) == 1311
    return {name: 0.3 * torch.randn(value.shape, generator=generator) for name, value in shapes.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, state: dict[str, Tensor]) -> Path:
    folder = tmp_path_factory.mktemp("imagebind")
    torch.save(state, folder / "imagebind_huge.pth")
    write_vocabulary(folder)
    return folder


def run(folder: Path, *words: str, files: Sequence[str] = ("imagebind_huge.pth",)) -> int:
    given = [str(folder / file) for file in files]
    return main(["import", "imagebind", *given, "--output", str(folder / "space"), "--set", SIZES, *words])


def test_the_published_file_becomes_a_joint_space(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ("imagebind_huge.pth", "bpe_simple_vocab_16e6.txt.gz")
    assert run(folder, "--set", MODALITIES, files=files) == 0
    said = capsys.readouterr().out
    assert "1,311 of 1,311 tensors used" in said
    space = JointSpace.load(folder / "space")
    recording = Media("imu", data=np.random.default_rng(0).normal(size=(6, 2000)).astype(np.float32))
    embeddings = space.embed({"imu": [recording], "text": ["a dog"]})
    assert embeddings["text"].shape == (1, 12)
    torch.testing.assert_close(embeddings["imu"].norm(dim=-1), torch.ones(1))
    card = (folder / "space" / "README.md").read_text()
    assert "Effective licence: **CC-BY-NC-SA-4.0**" in card
    assert "Imported from ImageBind's imagebind_huge.pth (SHA-256 " in card
    assert {file.name for file in (folder / "space").iterdir()} == {
        "README.md",
        "SHA256SUMS",
        "config.yaml",
        "joint_space.safetensors",
    }
    assert (folder / "space" / "joint_space.safetensors").stat().st_size < 1000, "the weights stay in their own file"
    assert run(folder, "--set", MODALITIES) == 1
    assert "is there already" in capsys.readouterr().err
    assert run(folder, "--set", "modalities=[imu]", "--overwrite") == 0
    assert "for texts, name CLIP's vocabulary too" in capsys.readouterr().out
    assert [*JointSpace.load(folder / "space").modalities] == ["imu"]


def test_every_tensor_that_does_not_fit_is_listed(
    folder: Path, state: dict[str, Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    changed = {name: value for name, value in state.items() if ".imu.blocks.5.attn." not in name}
    changed |= {
        "modality_trunks.touch.blocks.0.norm_1.bias": torch.ones(8),
        "modality_heads.depth.2.weight": torch.ones(12, 9),
    }
    torch.save(changed, folder / "changed.pth")
    assert run(folder, "--overwrite", files=["changed.pth"]) == 1
    said = capsys.readouterr().err
    for text in (
        "error: 8 tensors do not fit",
        "changed.pth, ImageBind: 6 missing",
        "    modality_trunks.imu.blocks.5.attn.bias_k\n",
        "    modality_trunks.imu.blocks.5.attn.out_proj.weight\n",
        "ImageBind: 1 unexpected\n    modality_trunks.touch.blocks.0.norm_1.bias",
        "ImageBind: 1 of another shape\n    modality_heads.depth.2.weight is [12, 9] instead of [12, 8]",
    ):
        assert text in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--llm", "some/llm"], "--llm: ImageBind becomes a joint space, which has no LLM"),
        (["--leave-out", "modality_heads.imu"], "--leave-out: of ImageBind's file all tensors are needed"),
        (["--set", "modalities=[smell]"], "ImageBind has no modality ['smell']"),
        (["--set", "prompt.prefix=x"], "--set: unknown keys ['prompt']"),
        (["nowhere.txt.gz"], "nowhere.txt.gz is not there; it is CLIP's bpe_simple_vocab_16e6.txt.gz"),
        (["imagebind_huge.pth"], "several files are each a ImageBind file"),
    ],
)
def test_what_imagebind_has_no_use_for_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    files = [word for word in words if word.endswith((".pth", ".gz"))]
    options = [word for word in words if word not in files]
    assert run(folder, "--output", str(folder / "never"), *options, files=["imagebind_huge.pth", *files]) == 1
    assert expected in capsys.readouterr().err
    assert not (folder / "never").exists()
