"""`python -m omni import` of folders as transformers saves them: the same embeddings and logits as transformers."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from omni.__main__ import main
from omni.config import LLMConfig
from omni.encoders import EvaClipEncoder
from omni.llm.loading import load_llm
from omni.media.item import Media
from omni.model import OmniModel
from omni.samples.messages import Message, Text
from tests.golden_numbers import TOLERANCE
from tests.tiny import tiny_tokenizer

NUM_QUERIES, IMAGE_TOKEN = 6, 5
PICTURE = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
VISION = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 28,
    "patch_size": 14,
}
QFORMER = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 16,
    "vocab_size": 400,
    "encoder_hidden_size": 48,
}
PROMPT = ["--set", "prompt.start_token='<|endoftext|>'", "--set", "prompt.answer_end='<|im_end|>'"]


def text_config(family: str, size: int) -> Any:
    shared = {"vocab_size": size, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    shared |= {"max_position_embeddings": 128, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0}
    if family == "llama":
        return hf.LlamaConfig(**shared, intermediate_size=64, num_key_value_heads=2)
    return hf.OPTConfig(**shared, ffn_dim=64, word_embed_proj_dim=32)


def write_folder(folder: Path, source: str, family: str) -> Any:
    """A whole model with random weights in shards, beside its tokenizers; returns it."""
    tokenizer = tiny_tokenizer()
    configs = {
        "vision_config": VISION,
        "qformer_config": QFORMER | {"vocab_size": len(tokenizer)},
        "text_config": text_config(family, len(tokenizer)).to_dict(),
        "num_query_tokens": NUM_QUERIES,
        "image_token_index": IMAGE_TOKEN,
    }
    torch.manual_seed(0)
    if source == "instructblip":
        model = hf.InstructBlipForConditionalGeneration(hf.InstructBlipConfig(**configs))
        tokenizer.save_pretrained(folder / "qformer_tokenizer")
    else:
        model = hf.Blip2ForConditionalGeneration(hf.Blip2Config(**configs))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            is_scale = name.endswith("weight") and weight.ndim == 1
            weight.normal_(1.0 if is_scale else 0.0, 0.1 if name.startswith("language_model.") else 0.2)
    model.save_pretrained(folder, max_shard_size="100KB")
    tokenizer.save_pretrained(folder)
    return model.eval()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    root = tmp_path_factory.mktemp("folders")
    families = {"instructblip": "llama", "blip2": "opt"}
    return {source: (root / source, write_folder(root / source, source, f)) for source, f in families.items()}


def import_folder(source: str, folder: Path, output: Path, *options: str) -> int:
    return main(["import", source, str(folder), "--output", str(output), *PROMPT, *options])


def question(text: str = "what is this?") -> Message:
    return Message("user", (Media("image", data=PICTURE), Text(text)))


def close(actual: Tensor, expected: Tensor) -> None:
    assert actual.shape == expected.shape
    worst = float((actual - expected).detach().abs().max() / expected.detach().abs().max())
    assert worst <= TOLERANCE, f"off by {worst:.1e} of its scale"


@pytest.mark.parametrize("source", ["instructblip", "blip2"])
def test_tokens_embeddings_and_logits_equal_those_of_transformers(
    source: str, folders: dict[str, tuple[Path, Any]], tmp_path: Path
) -> None:
    folder, reference = folders[source]
    assert len(list(folder.glob("*.safetensors"))) > 3
    assert import_folder(source, folder, tmp_path / "model") == 0
    model = OmniModel.load(tmp_path / "model")
    example = model.prepare([question()])
    with torch.no_grad():
        (tokens,) = model.media_tokens([example])[0]
        (embedded,) = model.embed_examples([example])
        logits = model.llm(embedded.embeds[None], keep=0).logits

    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    ids = [IMAGE_TOKEN] * NUM_QUERIES + [0, *tokenizer("what is this?", add_special_tokens=False)["input_ids"]]
    processor = hf.BlipImageProcessorPil(size={"height": 28, "width": 28})
    given = {"pixel_values": processor(Image.fromarray(PICTURE), return_tensors="pt")["pixel_values"]}
    if source == "instructblip":
        given["qformer_input_ids"] = torch.tensor([tokenizer("what is this?")["input_ids"]])
    with torch.no_grad():
        features = reference.get_image_features(**given, return_dict=True)
        expected = reference(**given, input_ids=torch.tensor([ids]))
    projected = (
        features.pooler_output
        if source == "instructblip"
        else reference.language_projection(expected.qformer_outputs.last_hidden_state)
    )
    close(tokens, projected[0])
    embeddings = reference.get_input_embeddings()(torch.tensor(ids))
    embeddings[:NUM_QUERIES] = projected[0]
    close(embedded.embeds, embeddings)
    close(logits, expected.logits)


def test_the_command_says_what_it_took_and_the_folder_stays_where_it_is(
    folders: dict[str, tuple[Path, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, reference = folders["instructblip"]
    assert import_folder("instructblip", folder, tmp_path / "model") == 0
    said = capsys.readouterr().out
    parts = {name.split(".")[0] for name in reference.state_dict()}
    assert parts == {"vision_model", "query_tokens", "qformer", "language_projection", "language_model"}
    names = [*load_names(folder)]
    num_llm = sum(name.startswith("language_model.") for name in names)
    text_rows_of_the_last_layer = 6
    used = len(names) - num_llm - text_rows_of_the_last_layer
    assert f"{folder}: {used} of {len(names)} tensors used" in said
    assert f"left out: {num_llm} of the LLM, which is loaded by itself" in said
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == [
        "README.md",
        "SHA256SUMS",
        "adapter.safetensors",
        "config.yaml",
    ]
    config = (tmp_path / "model" / "config.yaml").read_text()
    assert f"name: {folder}" in config
    assert str(folder / "qformer_tokenizer") in config
    assert "InstructBLIP, image, instructblip (SHA-256 " in (tmp_path / "model" / "README.md").read_text()


def test_another_llm_may_be_named(folders: dict[str, tuple[Path, Any]], tmp_path: Path) -> None:
    folder, reference = folders["blip2"]
    reference.language_model.save_pretrained(tmp_path / "llm")
    tiny_tokenizer().save_pretrained(tmp_path / "llm")
    assert import_folder("blip2", folder, tmp_path / "model", "--llm", str(tmp_path / "llm")) == 0
    model = OmniModel.load(tmp_path / "model")
    assert model.llm.config.name == str(tmp_path / "llm")
    inside = load_llm(LLMConfig(str(folder))).model.state_dict()
    assert all(torch.equal(inside[name], w) for name, w in model.llm.model.state_dict().items())


def load_names(folder: Path) -> list[str]:
    return [*json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]]


def changed_folder(folder: Path, copy: Path, change: Any) -> Path:
    """A copy of which one shard was changed: `change` gets its tensors by name."""
    shutil.copytree(folder, copy)
    index = json.loads((copy / "model.safetensors.index.json").read_text())
    change(copy, index["weight_map"])
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    return copy


def rewrite(folder: Path, places: dict[str, str], old: str, new: dict[str, Tensor]) -> None:
    """Put tensors in the place of another, in its shard and in the index."""
    shard = places.pop(old)
    tensors = load_file(folder / shard)
    del tensors[old]
    save_file(tensors | new, folder / shard)
    places |= dict.fromkeys(new, shard)


QKV = "vision_model.encoder.layers.1.self_attn.qkv."


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "vision_model.post_layernorm.bias",
            {},
            "Q-Former of image: 1 missing\n    vision_model.post_layernorm.bias",
        ),
        (
            "qformer.encoder.layer.2.crossattention.attention.key.weight",
            {"qformer.encoder.layer.9.odd": torch.ones(2)},
            "1 missing\n    qformer.encoder.layer.2.crossattention.attention.key.weight",
        ),
        (QKV + "bias", {}, f"encoder of image: 1 missing\n    {QKV}bias"),
        (
            QKV + "weight",
            {QKV + "weight": torch.ones(144, 47)},
            f"encoder of image: 1 of another shape\n    {QKV}weight is [144, 47] instead of [144, 48]",
        ),
        (
            "language_projection.bias",
            {"language_projection.bias": torch.zeros(32), "itm_head.bias": torch.ones(2)},
            "itm_head: 1 unused\n    itm_head.bias",
        ),
        (
            "vision_model.encoder.layers.0.mlp.fc1.bias",
            {
                "vision_model.encoder.layers.0.mlp.fc1.bias": torch.ones(96),
                "vision_model.encoder.layers.3.mlp.fc1.bias": torch.ones(96),
            },
            "encoder of image: 1 unexpected\n    vision_model.encoder.layers.3.mlp.fc1.bias",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named_as_in_the_folder(
    old: str,
    new: dict[str, Tensor],
    expected: str,
    folders: dict[str, tuple[Path, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy = changed_folder(
        folders["instructblip"][0], tmp_path / "copy", lambda folder, places: rewrite(folder, places, old, new)
    )
    assert import_folder("instructblip", copy, tmp_path / "model") == 1
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_incomplete_and_wrong_folders_are_told_apart(
    folders: dict[str, tuple[Path, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, reference = folders["instructblip"]
    copy = shutil.copytree(folder, tmp_path / "copy")
    shard = sorted(copy.glob("*.safetensors"))[2]
    shard.unlink()
    reference.language_model.save_pretrained(tmp_path / "llama")
    flan = shutil.copytree(folder, tmp_path / "flan")
    config = json.loads((flan / "config.json").read_text())
    (flan / "config.json").write_text(json.dumps(config | {"text_config": {"model_type": "t5", "d_model": 32}}))
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    (damaged / "model.safetensors.index.json").write_text('{"weight_map": ["a"]}')
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(folder / "config.json", empty)
    for source, given, expected in (
        ("instructblip", copy, f"lacks {shard.name}, which model.safetensors.index.json names: download it too"),
        ("blip2", folder, "is a 'instructblip', no BLIP-2: python -m omni import instructblip"),
        ("instructblip", tmp_path / "llama", "is the folder of a 'llama' of transformers"),
        ("instructblip", flan, "made for Flan-T5, an encoder-decoder"),
        ("instructblip", damaged, "is no index of shards"),
        ("instructblip", empty, "holds no weights: none of model.safetensors, pytorch_model.bin"),
        ("instructblip", folder.parent, "is a folder, not a file (and no model of transformers"),
        ("x-instructblip", folder, "which X-InstructBLIP has no use for"),
    ):
        assert import_folder(source, given, tmp_path / "model") == 1
        assert expected in capsys.readouterr().err


def test_weights_in_one_file_and_in_torchs_format_are_read_too(
    folders: dict[str, tuple[Path, Any]], tmp_path: Path
) -> None:
    folder, reference = folders["instructblip"]
    pixels = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    expected = EvaClipEncoder(folder, image_size=28)({"pixels": pixels}).values
    with torch.no_grad():
        normed = reference.vision_model(pixels).last_hidden_state
        close(reference.vision_model.post_layernorm(expected), normed)
    for name, write in (("model.safetensors", save_file), ("pytorch_model.bin", torch.save)):
        one = tmp_path / name
        one.mkdir()
        shutil.copy(folder / "config.json", one)
        write(dict(reference.state_dict()), one / name)  # pyright: ignore[reportArgumentType]
        assert torch.equal(EvaClipEncoder(one, image_size=28)({"pixels": pixels}).values, expected)


def test_models_from_shards_and_from_one_file_answer_alike(
    folders: dict[str, tuple[Path, Any]], tmp_path: Path
) -> None:
    folder, reference = folders["blip2"]
    reference.save_pretrained(tmp_path / "one")
    tiny_tokenizer().save_pretrained(tmp_path / "one")
    assert [file.name for file in (tmp_path / "one").glob("*.safetensors*")] == ["model.safetensors"]
    logits = []
    for source in (folder, tmp_path / "one"):
        output = tmp_path / f"model-{source.name}"
        assert import_folder("blip2", source, output) == 0
        model = OmniModel.load(output)
        with torch.no_grad():
            (embedded,) = model.embed_examples([model.prepare([question()])])
            logits.append(model.llm(embedded.embeds[None], keep=0).logits)
    assert torch.equal(*logits)
