"""Adapters begun with weights that there are already: from model folders, published Q-Formers and plain files."""

from collections.abc import Collection
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from adapters import MLP, QFormer
from omni.config import AdapterSourceConfig
from omni.model.adapter_sources import load_adapter_from
from tests.adapters.test_qformer_keys import lavis_bert, small_qformer
from tests.tiny import MLP as MLP_CONFIG
from tests.tiny import tiny_model


class RenamedMLP(MLP):
    """A class of a user's own, whose weights were published as `PREFIX/weight`, with a step counter next to them."""

    unpublished_weights = ("scale",)

    def __init__(self, feature_dim: int, llm_dim: int) -> None:
        super().__init__(feature_dim, llm_dim)
        self.scale = nn.Parameter(torch.ones(1))

    def rename_published(self, names: Collection[str], *, modality: str | None = None) -> dict[str, str] | None:
        published = {name: name.partition("/")[2] for name in names if name.startswith(f"{modality or 'mapper'}/")}
        return {name: ours for name, ours in published.items() if ours != "steps"} or None


NO_ATTENTION = ["projection", "feature_norm", "layers.*.attention", "layers.*.cross_attention"]


def stage_1(folder: Path) -> Path:
    """A file as LAVIS publishes BLIP-2's first stage, with the vision model and the heads of pretraining in it."""
    weights = lavis_bert("Qformer.bert.") | {
        "query_tokens": torch.randn(1, 3, 8),
        "ln_vision.weight": torch.randn(10),
        "ln_vision.bias": torch.randn(10),
        "visual_encoder.pos_embed": torch.randn(1, 5, 10),
        "itm_head.weight": torch.randn(2, 8),
    }
    torch.save({"model": weights, "iters": 3}, folder / "blip2_pretrained.pth")
    return folder / "blip2_pretrained.pth"


@pytest.mark.parametrize("exclude", [["projection"], NO_ATTENTION, ["projection", "layers.*.cross_attention"]])
def test_a_qformer_begins_with_blip2_but_for_what_is_excluded(tmp_path: Path, exclude: list[str]) -> None:
    file = stage_1(tmp_path)
    published = torch.load(file)["model"]
    adapter: QFormer = small_qformer()
    before = {name: value.clone() for name, value in adapter.state_dict().items()}
    report = load_adapter_from(adapter, "sound", AdapterSourceConfig(str(file), exclude=exclude), "init_adapters.sound")
    after = adapter.state_dict()
    assert torch.equal(after["query_tokens"], published["query_tokens"])
    feed_forward = published["Qformer.bert.encoder.layer.1.intermediate_query.dense.weight"]
    assert torch.equal(after["layers.1.query_feed_forward.intermediate.weight"], feed_forward)
    key = published["Qformer.bert.encoder.layer.0.crossattention.self.key.weight"]
    kept = "layers.*.cross_attention" in exclude
    assert torch.equal(after["layers.0.cross_attention.heads.key.weight"], key) is not kept
    assert torch.equal(after["projection.weight"], before["projection.weight"])
    assert {name for name in after if not torch.equal(after[name], before[name])} <= set(report.loaded)
    assert set(report.loaded) | set(report.fresh) == set(after)
    assert "projection" in str(report)


def test_what_does_not_fit_is_named_and_changes_nothing(tmp_path: Path) -> None:
    file = stage_1(tmp_path)
    adapter = small_qformer()
    before = {name: value.clone() for name, value in adapter.state_dict().items()}
    with pytest.raises(
        ValueError, match=r"(?s)fit QFormer \(2 tensors\):.*missing: projection.bias.*name what should begin anew"
    ):
        load_adapter_from(adapter, "x", AdapterSourceConfig(str(file)), "init_adapters.x")
    with pytest.raises(ValueError, match=r"init_adapters.x.exclude\[0\]: 'projektion' matches nothing.*projection"):
        load_adapter_from(adapter, "x", AdapterSourceConfig(str(file), exclude=["projektion"]), "init_adapters.x")
    with pytest.raises(ValueError, match=r"holds no tensor of a MLP"):
        load_adapter_from(MLP(10, 14), "x", AdapterSourceConfig(str(file)), "init_adapters.x")
    with pytest.raises(FileNotFoundError, match=r"init_adapters.x.path: there is no file or folder"):
        load_adapter_from(adapter, "x", AdapterSourceConfig(str(tmp_path / "no.pth")), "init_adapters.x")
    (tmp_path / "broken.pth").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"broken.pth is no readable weights file"):
        load_adapter_from(adapter, "x", AdapterSourceConfig(str(tmp_path / "broken.pth")), "init_adapters.x")
    assert all(torch.equal(value, before[name]) for name, value in adapter.state_dict().items())


def test_a_plain_file_and_a_model_folder_are_read_by_the_adapters_own_names(tiny_llm: Path, tmp_path: Path) -> None:
    model = tiny_model(tiny_llm, adapters={"image": MLP_CONFIG, "sound": MLP_CONFIG})
    model.save(tmp_path / "model")
    source = model.modality("image").adapter
    save_file(source.state_dict(), tmp_path / "plain.safetensors")
    places = [
        AdapterSourceConfig(str(tmp_path / "plain.safetensors")),
        AdapterSourceConfig(str(tmp_path / "model"), modality="image"),
    ]
    for place in places:
        adapter = tiny_model(tiny_llm, 5, adapters={"video": MLP_CONFIG}).modality("video").adapter
        load_adapter_from(adapter, "video", place, "init_adapters.video")
        assert all(torch.equal(value, source.state_dict()[name]) for name, value in adapter.state_dict().items())
    with pytest.raises(ValueError, match=r"modality: .* has no modality 'video'; it has \['image', 'sound'\]"):
        load_adapter_from(source, "video", AdapterSourceConfig(str(tmp_path / "model")), "init_adapters.video")


def test_a_users_own_adapter_reads_the_checkpoints_that_it_knows(tmp_path: Path) -> None:
    source, adapter = RenamedMLP(10, 14), RenamedMLP(10, 14)
    torch.nn.init.constant_(adapter.scale, 3.0)
    published = {f"image/{name}": value for name, value in source.state_dict().items() if name != "scale"}
    save_file(published | {"image/steps": torch.tensor([7])}, tmp_path / "mapper.safetensors")
    config = AdapterSourceConfig(str(tmp_path / "mapper.safetensors"), modality="image")
    report = load_adapter_from(adapter, "image", config, "init_adapters.image")
    assert report.fresh == ["scale"]
    assert adapter.scale.item() == 3.0
    assert all(torch.equal(adapter.state_dict()[name], source.state_dict()[name]) for name in report.loaded)
    save_file(published | {"image/extra": torch.ones(2)}, tmp_path / "mapper.safetensors")
    with pytest.raises(ValueError, match=r"fit RenamedMLP \(1 tensors\):\s+unexpected: extra"):
        load_adapter_from(adapter, "image", config, "init_adapters.image")
