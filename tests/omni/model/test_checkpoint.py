"""Model folders: identical bytes, strict loading, whole whatever happens, and combined over one LLM."""

import filecmp
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from omni.model import OmniModel, build_model
from omni.model.batch import Example
from omni.model.card import ModelCard, TrainingData
from omni.model.folder import ModelFolder
from omni.model.trainable import unfreeze
from omni.samples.messages import Message, Text
from tests.disk import full_disk
from tests.tiny import MLP, sensor, tiny_llm_dir, tiny_model

ROOT = Path(__file__).parents[3]
LORA = {"target_modules": ["q_proj", "v_proj"]}
ADAPTERS = {"image": MLP, "sound": MLP}


def conversation(modality: str, seed: int = 1) -> list[Message]:
    return [Message("user", (sensor(modality, seed), Text("what?"))), Message("assistant", (Text("a frog"),))]


def batch(model: OmniModel, *modalities: str) -> list[Example]:
    return [model.prepare(conversation(name), answer=True) for name in modalities or model.modalities]


def random_model(llm: Path, seed: int = 0, lora: str | None = None, **options: dict[str, object]) -> OmniModel:
    model = tiny_model(llm, seed, **{"adapters": ADAPTERS, "lora": lora and LORA | {"mode": lora}} | options)
    for name, parameter in model.trainable_parameters().items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def files(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def assert_same_folder(first: Path, second: Path) -> None:
    assert files(first) == files(second)
    _, different, failed = filecmp.cmpfiles(first, second, files(first), shallow=False)
    assert (different, failed) == ([], [])


@pytest.fixture
def saved(tiny_llm: Path, tmp_path: Path) -> Path:
    random_model(tiny_llm).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("lora", [None, "shared", "per_modality"])
def test_save_load_save_gives_identical_bytes_and_outputs(tiny_llm: Path, tmp_path: Path, lora: str | None) -> None:
    model = random_model(tiny_llm, lora=lora)
    model.save(tmp_path / "a", ModelCard([TrainingData("стамps", 7, "CC0-1.0")], {"accuracy": 0.5}))
    loaded = OmniModel.load(tmp_path / "a")
    loaded.save(tmp_path / "b")
    assert_same_folder(tmp_path / "a", tmp_path / "b")
    assert torch.equal(loaded(batch(loaded)), model(batch(model)))
    assert loaded.fingerprint() == model.fingerprint()
    assert loaded.trainable_parameters().keys() == model.trainable_parameters().keys()
    assert loaded.card == model.card
    assert not loaded.training


class OwnModel(OmniModel):
    """A class of a user's own, with something more to say."""

    def describe(self) -> str:
        return f"reads {' and '.join(sorted(self.modalities))}"


def test_a_folder_is_loaded_and_combined_as_a_users_own_class(saved: Path) -> None:
    loaded = OwnModel.load(saved)
    combined = OwnModel.combine({"sound": saved, "image": saved})
    assert loaded.describe() == combined.describe() == "reads image and sound"
    assert loaded.fingerprint() == OmniModel.load(saved).fingerprint()


def test_a_folder_tells_what_is_in_it_without_the_model(tiny_llm: Path, tmp_path: Path) -> None:
    model = random_model(tiny_llm, lora="per_modality")
    unfreeze(model, ["llm.model.model.norm"])
    model.save(tmp_path / "model", ModelCard(training=["3 steps"]))
    folder = ModelFolder.read(tmp_path / "model")
    assert folder.config == model.config
    assert folder.card == model.card
    assert folder.unfrozen == {"llm.model.model.norm.weight"}
    assert folder.loras == ("image", "sound")
    assert folder.llm == model.llm.identity
    assert folder.llm_text == model.llm.text_identity


def test_a_folder_holds_only_what_was_trained(saved: Path) -> None:
    assert files(saved) == ["README.md", "SHA256SUMS", "adapter.safetensors", "config.yaml"]
    assert all(".adapter." in name for name in load_file(saved / "adapter.safetensors"))


def test_encoders_that_are_trained_are_saved(tiny_llm: Path, tmp_path: Path) -> None:
    model = random_model(tiny_llm)
    encoder = model.modality("image").config
    assert encoder is not None
    encoder.encoder.init_args["trainable"] = True
    torch.manual_seed(0)
    model = build_model(model.config)
    weight = model.modality("image").encoder.get_parameter("weight")
    with torch.no_grad():
        weight += 1.0
    model.save(tmp_path / "a")
    loaded = OmniModel.load(tmp_path / "a")
    assert torch.equal(loaded.modality("image").encoder.get_parameter("weight"), weight)
    assert torch.equal(loaded(batch(loaded)), model(batch(model)))


def test_a_model_loads_in_another_number_format(saved: Path) -> None:
    full, half = OmniModel.load(saved), OmniModel.load(saved, dtype="bfloat16")
    assert half.llm.dtype == torch.bfloat16
    assert float(half(batch(half)).detach()) == pytest.approx(float(full(batch(full)).detach()), rel=0.05)
    with pytest.raises(ValueError, match=r"llm\.dtype: 'int3' is not one of"):
        OmniModel.load(saved, dtype="int3")


# --- what does not fit ---


def rewrite(folder: Path, change: object) -> None:
    state = load_file(folder / "adapter.safetensors")
    change(state)  # pyright: ignore[reportCallIssue]
    save_file(state, folder / "adapter.safetensors")


def test_keys_that_do_not_fit_are_all_named(saved: Path) -> None:
    names = sorted(load_file(saved / "adapter.safetensors"))
    missing, misshaped = names[0], names[1]

    def change(state: dict[str, torch.Tensor]) -> None:
        del state[missing]
        state[misshaped] = torch.zeros(3, 5, 7)
        state["modalities.image.adapter.extra"] = torch.zeros(1)

    rewrite(saved, change)
    with pytest.raises(ValueError, match="does not fit") as raised:
        OmniModel.load(saved)
    assert f"missing: {missing}" in str(raised.value)
    assert "unexpected: modalities.image.adapter.extra" in str(raised.value)
    assert f"shape of {misshaped}: [3, 5, 7] in the file" in str(raised.value)


@pytest.mark.parametrize("size", [0, 5, 200])
def test_a_damaged_weights_file_is_named(saved: Path, size: int) -> None:
    path = saved / "adapter.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"adapter\.safetensors is damaged"):
        OmniModel.load(saved)


def flip_a_bit(file: Path) -> None:
    """In the middle, where the numbers of a file of weights are."""
    content = bytearray(file.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    file.write_bytes(content)


def test_a_flipped_bit_in_any_weights_is_found_and_one_in_what_people_edit_is_said(
    tiny_llm: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    random_model(tiny_llm, lora="shared").save(tmp_path / "model")
    whole = {file: file.read_bytes() for file in (tmp_path / "model").rglob("*") if file.is_file()}
    weights = {"adapter.safetensors", "adapter_model.safetensors", "adapter_config.json", "SHA256SUMS"}
    assert {file.name for file in whole} == weights | {"config.yaml", "README.md"}
    for file, content in whole.items():
        if file.name in weights:
            flip_a_bit(file)
            with pytest.raises(ValueError, match=rf"damaged.*|{file.name}"):
                OmniModel.load(tmp_path / "model")
            file.write_bytes(content)
    assert not caplog.records
    config = tmp_path / "model" / "config.yaml"
    config.write_text(config.read_text().replace("'image: '", "'picture: '"))
    OmniModel.load(tmp_path / "model")
    assert "config.yaml is not as it was written" in caplog.text


def test_combining_finds_a_flipped_bit(saved: Path) -> None:
    flip_a_bit(saved / "adapter.safetensors")
    with pytest.raises(ValueError, match=r"model is damaged: adapter\.safetensors is not what was written"):
        OmniModel.combine({"image": saved})


def test_a_folder_of_an_earlier_version_has_no_checksums_and_loads(saved: Path) -> None:
    (saved / "SHA256SUMS").unlink()
    OmniModel.load(saved)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("model: [", r"config\.yaml is damaged"),
        ("- 1", r"format_version is None; this version of omni reads 1"),
        ("format_version: 99", r"format_version is 99; this version of omni reads 1"),
        ("format_version: 1\nmodel: {llm: {nam: x}}", r"model\.llm\.nam: unknown key; did you mean 'name'"),
    ],
)
def test_a_damaged_config_is_named(saved: Path, content: str, message: str) -> None:
    (saved / "config.yaml").write_text(content)
    with pytest.raises(ValueError, match=message):
        OmniModel.load(saved)


def test_a_folder_without_a_model_says_which_to_give(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"is no model folder.*RUN/best"):
        OmniModel.load(tmp_path)
    (saved / "adapter.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"adapter\.safetensors is missing"):
        OmniModel.load(saved)


def test_a_model_for_another_llm_is_refused(saved: Path, tmp_path: Path) -> None:
    other = tiny_llm_dir(tmp_path / "other", seed=5)
    values = yaml.safe_load((saved / "config.yaml").read_text())
    values["model"]["llm"]["name"] = str(other)
    (saved / "config.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ValueError, match=r"was trained with another LLM .*with their own LLM only"):
        OmniModel.load(saved)


def test_missing_or_damaged_lora_is_named(tiny_llm: Path, tmp_path: Path) -> None:
    random_model(tiny_llm, lora="per_modality").save(tmp_path / "model")
    weights = tmp_path / "model" / "lora" / "sound" / "adapter_model.safetensors"
    state = load_file(weights)
    save_file({name: value for name, value in state.items() if "layers.0" not in name}, weights)
    with pytest.raises(ValueError, match=r"does not fit the LLM: missing .*layers\.0"):
        OmniModel.load(tmp_path / "model")
    shutil.rmtree(weights.parent)
    with pytest.raises(FileNotFoundError, match=r"sound.*says that there is a LoRA"):
        OmniModel.load(tmp_path / "model")


def test_saving_over_other_peoples_files_is_refused(tiny_llm: Path, saved: Path) -> None:
    (saved / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"also holds \['notes.txt'\].*choose another folder"):
        random_model(tiny_llm).save(saved)
    assert (saved / "notes.txt").read_text() == "mine"


# --- crashes ---

SAVE_FOREVER = """
import sys
from pathlib import Path
from tests.tiny import MLP, tiny_model
models = [tiny_model(Path(sys.argv[1]), seed, adapters={"image": MLP, "sound": MLP}) for seed in (0, 1)]
print("ready", flush=True)
while True:
    for model in models:
        model.save(sys.argv[2])
"""


def test_a_kill_while_saving_leaves_a_whole_model(tiny_llm: Path, saved: Path) -> None:
    allowed = {random_model(tiny_llm, seed).fingerprint() for seed in (0, 1)}
    for delay in (0.01, 0.05, 0.13):
        command = [sys.executable, "-c", SAVE_FOREVER, str(tiny_llm), str(saved)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        assert OmniModel.load(saved).fingerprint() in allowed
    random_model(tiny_llm).save(saved)
    assert [item.name for item in saved.parent.iterdir()] == ["model"]


def test_a_disk_that_is_full_while_saving_leaves_the_old_model(tiny_llm: Path, saved: Path) -> None:
    before = {name: (saved / name).read_bytes() for name in files(saved)}
    model = random_model(tiny_llm, seed=1)
    with full_disk(), pytest.raises(Exception, match=r"(?i)file too large|os error 27"):
        model.save(saved)
    assert {name: (saved / name).read_bytes() for name in files(saved)} == before
    assert os.listdir(saved.parent) == ["model"]


# --- combining ---


@pytest.mark.parametrize("loras", [(None, None), ("shared", None), ("per_modality", "shared"), ("shared", "shared")])
def test_combined_models_are_each_what_they_were_on_their_own_modality(
    tiny_llm: Path, tmp_path: Path, loras: tuple[str | None, str | None]
) -> None:
    alone = {}
    for seed, (name, lora) in enumerate(zip(("image", "sound"), loras, strict=True)):
        alone[name] = random_model(tiny_llm, seed, lora)
        alone[name].save(tmp_path / name)
    combined = OmniModel.combine({name: tmp_path / name for name in alone})
    for name, model in alone.items():
        torch.testing.assert_close(combined(batch(combined, name)), model(batch(model, name)), atol=1e-6, rtol=0)
        torch.testing.assert_close(
            combined.score(conversation(name)[:1], ["a", "the bell"]),
            model.score(conversation(name)[:1], ["a", "the bell"]),
        )
    together = combined(batch(combined, "image", "sound"))
    expected = (alone["image"](batch(alone["image"], "image")) + alone["sound"](batch(alone["sound"], "sound"))) / 2
    torch.testing.assert_close(together, expected, atol=1e-5, rtol=0)
    combined.save(tmp_path / "both")
    again = OmniModel.load(tmp_path / "both")
    again.save(tmp_path / "again")
    assert_same_folder(tmp_path / "both", tmp_path / "again")
    assert torch.equal(again(batch(again)), combined(batch(combined)))


def test_models_for_different_llms_do_not_combine_and_both_are_named(
    tiny_llm: Path, saved: Path, tmp_path: Path
) -> None:
    other = tiny_llm_dir(tmp_path / "other llm", seed=9)
    random_model(other).save(tmp_path / "second")
    with pytest.raises(ValueError, match="different LLMs cannot be combined") as raised:
        OmniModel.combine({"image": saved, "sound": tmp_path / "second"})
    assert str(tiny_llm) in str(raised.value)
    assert str(other) in str(raised.value)


def test_models_with_different_system_messages_need_a_choice(tiny_llm: Path, tmp_path: Path) -> None:
    for name, system in (("image", "describe"), ("sound", None)):
        model = random_model(tiny_llm)
        model.system = system
        model.save(tmp_path / name)
    folders = {name: tmp_path / name for name in ("image", "sound")}
    with pytest.raises(ValueError, match=r"different system messages.*choose one by system="):
        OmniModel.combine(folders)
    assert OmniModel.combine(folders, system="it was").system == "it was"


def test_a_modality_that_a_folder_lacks_is_named(saved: Path) -> None:
    with pytest.raises(ValueError, match=r"has no modality 'thermal'; it has \['image', 'sound'\]"):
        OmniModel.combine({"thermal": saved})
    with pytest.raises(ValueError, match="at least one modality"):
        OmniModel.combine({})
