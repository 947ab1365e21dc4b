"""`python -m omni import`: each source from files in the published layouts, and what the models can do then."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from eval.__main__ import main as evaluate
from omni.config import PromptConfig
from omni.encoders import EvaClipEncoder
from omni.encoders.base import Encoder, Features
from omni.media.item import Media
from omni.model import OmniModel
from omni.samples.messages import Message, Text
from tests.omni.published import checkpoints
from tests.omni.published.workspace import NAMES, SETTINGS, Files
from tests.train.runs import row, run, weights, write_recipe


class OwnVision(Encoder):
    """A class of a user's own around EVA-CLIP's network; it names the network of the published file."""

    modality = "image"

    def __init__(self, weights: str, size: dict[str, int], image_size: int, crop: bool, dtype: str) -> None:
        super().__init__(licence="MIT")
        made = EvaClipEncoder(weights, image_size, crop, dtype=dtype, size=size)
        self.vision = made.network
        self.dim, self.max_features = made.dim, made.max_features
        self._made = [made]  # in a list, so that torch does not see it

    @property
    def published_network(self) -> nn.Module:
        return self.vision

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        return self._made[0].preprocess(media)

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        return self._made[0].encode(inputs)


MEDIA = {
    "image": Media("image", data=np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)),
    "video": Media("video", data=np.random.default_rng(1).integers(0, 255, (9, 40, 60, 3), dtype=np.uint8)),
    "sound": Media("sound", data=np.sin(np.arange(16000 * 7) / 9).astype(np.float32), sampling_rate=16000),
    "point_cloud": Media("point_cloud", data=np.random.default_rng(2).normal(size=(90, 3)).astype(np.float32)),
}


@pytest.fixture(scope="module")
def everything(files: Files) -> Path:
    """All four modalities of X-InstructBLIP in one model."""
    named = [f"{label}={path}" for label, path in (files.qformers | files.encoders).items()]
    settings = [setting for label in NAMES for setting in SETTINGS[label]]
    output = files.folder / "everything"
    assert files.command("x-instructblip", *named, settings=settings, options=["--output", str(output)]) == 0
    return output


def question(*names: str, text: str = "what is this?") -> Message:
    return Message("user", (*(MEDIA[name] for name in names), Text(text)))


# --- X-InstructBLIP ---


def test_every_published_tensor_is_where_it_belongs(files: Files, everything: Path) -> None:
    saved = load_file(everything / "adapter.safetensors")
    for label, name in NAMES.items():
        published = torch.load(files.qformers[label])["model"]
        own = {key.removeprefix(f"modalities.{name}.adapter."): w for key, w in saved.items() if f".{name}." in key}
        prefix = "pc" if label == "3d" else label
        bert = f"{prefix}_Qformer.bert."
        for ours, theirs in {
            "query_tokens": f"{prefix}_query_tokens",
            "feature_norm.weight": f"{prefix}_ln.weight",
            "projection.bias": f"{prefix}_llm_proj.bias",
            "text_embeddings.word.weight": f"{bert}embeddings.word_embeddings.weight",
            "layers.10.cross_attention.heads.key.weight": f"{bert}encoder.layer.10.crossattention.self.key.weight",
            "layers.11.attention.output.weight": f"{bert}encoder.layer.11.attention.output.dense.weight",
            "layers.3.text_feed_forward.norm.bias": f"{bert}encoder.layer.3.output.LayerNorm.bias",
            "layers.11.query_feed_forward.norm.weight": f"{bert}encoder.layer.11.output_query.LayerNorm.weight",
        }.items():
            assert torch.equal(own[ours], published[theirs]), (label, ours)
        text_rows_of_the_last_layer = 6
        theirs = [key for key in published if key.startswith(prefix) and "_encoder." not in key]
        assert len(own) == len(theirs) - text_rows_of_the_last_layer - len(["position_ids"])


def test_an_imported_model_generates_scores_and_says_how_it_is_to_be_asked(everything: Path) -> None:
    model = OmniModel.load(everything)
    assert model.prompt == PromptConfig(
        "<|endoftext|>", "first", prefix="USER: ", postfix="\nASSISTANT:", answer_end="<|im_end|>"
    )
    assert {name: model.modality(name).cue for name in model.modalities} == {
        "image": "image: ",
        "video": "video: ",
        "sound": "audio: ",
        "point_cloud": "3d: ",
    }
    example = model.prepare([question("image", "video", "sound", "point_cloud")])
    counts = [len(tokens) for tokens in model.media_tokens([example])[0]]
    assert counts == [32, 5 * 32, 2 * 32, 32], "5 frames and 2 windows, each with queries of its own"
    assert isinstance(model.generate([question("sound", "image")], max_new_tokens=4), str)
    scores = model.score([question("point_cloud")], ["a dog", "a bell", "a frog"])
    alone = [float(model.score([question("point_cloud")], [one])[0]) for one in ("a dog", "a bell", "a frog")]
    torch.testing.assert_close(scores, torch.tensor(alone), atol=1e-4, rtol=0)


def test_nothing_of_encoders_or_llm_is_in_the_folder(files: Files, everything: Path) -> None:
    assert sorted(file.name for file in everything.iterdir()) == [
        "README.md",
        "SHA256SUMS",
        "adapter.safetensors",
        "config.yaml",
    ]
    assert all(".adapter." in name for name in load_file(everything / "adapter.safetensors"))
    config = (everything / "config.yaml").read_text()
    assert all(str(path.resolve()) in config for path in files.encoders.values())


def test_the_card_names_the_files_and_the_licence_that_binds(everything: Path) -> None:
    card = (everything / "README.md").read_text()
    assert "X-InstructBLIP, image, image.pth (SHA-256 " in card
    assert "Effective licence: **CC-BY-NC-4.0" in card
    assert "Imported from the published files of X-InstructBLIP; not trained here." in card


def test_files_are_told_apart_without_labels_and_one_file_may_hold_several(files: Files, tmp_path: Path) -> None:
    both = checkpoints.save(
        checkpoints.x_instructblip("image") | checkpoints.x_instructblip("audio"), tmp_path / "a.pth"
    )
    options = ["--output", str(tmp_path / "model")]
    given = (files.encoders["beats"], both, files.encoders["eva"])
    assert files.command("x-instructblip", *given, settings=SETTINGS["image"], options=options) == 0
    assert {*OmniModel.load(tmp_path / "model").modalities} == {"image", "sound"}
    again = [f"audio={both}", files.encoders["beats"], "--leave-out", "image_*"]
    assert files.command("x-instructblip", *again, options=["--output", str(tmp_path / "sound")]) == 0
    assert [*OmniModel.load(tmp_path / "sound").modalities] == ["sound"]


def test_modalities_that_were_imported_apart_are_combined(files: Files, everything: Path, tmp_path: Path) -> None:
    for label, encoder in (("image", "eva"), ("audio", "beats")):
        given = (f"{label}={files.qformers[label]}", f"{encoder}={files.encoders[encoder]}")
        options = ["--output", str(tmp_path / label)]
        assert files.command("x-instructblip", *given, settings=SETTINGS[label], options=options) == 0
    combined = OmniModel.combine({"image": tmp_path / "image", "sound": tmp_path / "audio"})
    messages = [question("image", "sound"), Message("assistant", (Text("a dog"),))]
    whole = OmniModel.load(everything)
    with torch.no_grad():
        found, expected = (model([model.prepare(messages, answer=True)]) for model in (combined, whole))
    assert torch.equal(found, expected)
    assert {entry.name.split(",")[1].strip() for entry in combined.card.weights} == {"image", "sound"}


def test_half_precision_files_give_the_nearest_float32_weights(files: Files, tmp_path: Path) -> None:
    halves = {name: w.half() if w.is_floating_point() else w for name, w in checkpoints.x_instructblip("audio").items()}
    given = (checkpoints.save(halves, tmp_path / "a.pth"), files.encoders["beats"])
    assert files.command("x-instructblip", *given, options=["--output", str(tmp_path / "model")]) == 0
    saved = load_file(tmp_path / "model" / "adapter.safetensors")["modalities.sound.adapter.query_tokens"]
    assert torch.equal(saved, halves["audio_query_tokens"].float())


def test_a_lora_of_the_llm_comes_along(files: Files, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(5)
    lora = {
        f"llm_model.base_model.model.model.layers.{layer}.self_attn.{module}.lora_{which}.weight": torch.randn(
            (8, 32) if which == "A" else ({"q_proj": 32, "v_proj": 16}[module], 8), generator=generator
        )
        for layer in (0, 1)
        for module in ("q_proj", "v_proj")
        for which in "AB"
    }
    file = checkpoints.save(checkpoints.x_instructblip("audio") | lora, tmp_path / "a.pth")
    options = ["--output", str(tmp_path / "model")]
    assert files.command("x-instructblip", file, files.encoders["beats"], options=options) == 0
    model = OmniModel.load(tmp_path / "model")
    config = model.llm.config.lora
    assert config is not None
    assert (config.r, config.alpha, config.dropout, config.target_modules) == (8, 32, 0.1, ["q_proj", "v_proj"])
    (found,) = [w for name, w in model.llm.lora_state().items() if "layers.1.self_attn.v_proj.lora_B" in name]
    published: Tensor = lora["llm_model.base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight"]
    assert torch.equal(found, published)
    del lora["llm_model.base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight"]
    file = checkpoints.save(checkpoints.x_instructblip("audio") | lora, tmp_path / "b.pth")
    assert (
        files.command("x-instructblip", file, files.encoders["beats"], options=["--output", str(tmp_path / "b")]) == 1
    )


# --- InstructBLIP and BLIP-2 ---


def test_instructblip_reads_instructions_and_begins_the_prompt_with_the_picture(files: Files, tmp_path: Path) -> None:
    given = (files.instructblip, files.encoders["eva"])
    options = ["--output", str(tmp_path / "model")]
    assert files.command("instructblip", *given, settings=SETTINGS["image"], options=options) == 0
    model = OmniModel.load(tmp_path / "model")
    (asked,) = model.media_tokens([model.prepare([question("image")])])[0]
    (other,) = model.media_tokens([model.prepare([question("image", text="describe it")])])[0]
    assert asked.shape == (32, 32)
    assert float((asked - other).detach().abs().max()) > 1e-3, "the instruction changes what the queries read"
    layout = model.conversation.encode([question("image")], answer=False)
    start = model.llm.tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert layout.token_ids[:2] == [-1, start]
    assert "research use only" in (tmp_path / "model" / "README.md").read_text()


def test_blip2_reads_no_instruction_and_ends_answers_as_its_captions_did(files: Files, tmp_path: Path) -> None:
    given = (files.blip2, files.encoders["eva"])
    options = ["--output", str(tmp_path / "model")]
    settings = [*SETTINGS["image"], "prompt.answer_prefix=' '"]
    assert files.command("blip2", *given, settings=settings, options=options) == 0
    model = OmniModel.load(tmp_path / "model")
    asked = model.media_tokens([model.prepare([question("image")])])[0][0]
    other = model.media_tokens([model.prepare([question("image", text="describe it")])])[0][0]
    assert torch.equal(asked, other)
    messages = [question("image"), Message("assistant", (Text("a dog"),))]
    layout = model.conversation.encode(messages, answer=True)
    answer = [label for label in layout.labels if label != -100]
    ends = model.llm.tokenizer(" a dog<|im_end|>", add_special_tokens=False)["input_ids"]
    assert answer == ends
    assert "BSD-3-Clause" in (tmp_path / "model" / "README.md").read_text()


def test_a_vision_encoder_in_the_checkpoint_itself_is_used(files: Files, tmp_path: Path) -> None:
    vision = {f"visual_encoder.{name}": w for name, w in torch.load(files.encoders["eva"]).items() if w.ndim > 0}
    file = checkpoints.save(checkpoints.blip("opt_proj", text=False) | vision, tmp_path / "caption.pth")
    used = [name for name in vision if not name.startswith(("visual_encoder.norm", "visual_encoder.head"))]
    leave = [part for name in (set(vision) - set(used)) | {"visual_encoder.blocks.3"} for part in ("--leave-out", name)]
    options = ["--output", str(tmp_path / "model"), *leave]
    assert files.command("blip2", file, settings=SETTINGS["image"], options=options) == 0
    assert str(file) in (tmp_path / "model" / "config.yaml").read_text()


def test_the_files_of_a_users_own_encoder_are_accounted_for(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["modalities.image.encoder.class_path=tests.omni.published.test_import_command.OwnVision"]
    named = [f"image={files.qformers['image']}", f"eva={files.encoders['eva']}"]
    reports = []
    for number, settings in enumerate((SETTINGS["image"], [*SETTINGS["image"], *own])):
        options = ["--output", str(tmp_path / str(number))]
        assert files.command("x-instructblip", *named, settings=settings, options=options) == 0
        reports.append([line for line in capsys.readouterr().out.splitlines() if "tensors used" in line])
    assert reports[0] == reports[1]
    assert any("eva" in line for line in reports[0])
    model = OmniModel.load(tmp_path / "1")
    assert model.modality("image").encoder.class_name == "OwnVision"


# --- continuing ---


def test_an_imported_model_is_trained_further_and_evaluated(files: Files, everything: Path, tmp_path: Path) -> None:
    rows = []
    for index, colour in enumerate(("red", "blue", "green", "black")):
        Image.new("RGB", (8, 8), colour).save(tmp_path / f"{index}.png")
        rows.append(json.dumps(row(str(index), [f"image:{index}.png"], f"a {colour} frog", "what is this?")))
    (tmp_path / "data.jsonl").write_text("\n".join(rows) + "\n")
    options: dict[str, Any] = {
        "init_from": str(everything),
        "steps": 2,
        "freeze": ["modalities.sound", "modalities.video", "modalities.point_cloud"],
    }
    recipe = write_recipe(tmp_path, files.llm, tmp_path / "data.jsonl", **options)
    finished = run(recipe)
    assert finished.returncode == 0, finished.stderr
    before, after = weights(everything), weights(tmp_path / "run" / "last")
    changed = {name.split(".")[1] for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"image"}
    trained = OmniModel.load(tmp_path / "run" / "last")
    assert trained.prompt == OmniModel.load(everything).prompt
    assert [entry.name for entry in trained.card.weights] == [e.name for e in OmniModel.load(everything).card.weights]
    arguments = ["image-caption-choice-10", "--data", str(tmp_path / "data.jsonl"), "--prompt", "what is this?"]
    assert evaluate([*arguments, "--model", str(tmp_path / "run" / "last"), "--output", str(tmp_path / "out")]) == 0
    task = json.loads((tmp_path / "out" / "results.json").read_text())["tasks"][0]
    assert (task["num_items"], task["chance"]) == (4, 0.25)
