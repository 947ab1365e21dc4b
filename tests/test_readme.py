"""README.md and docs/ hold what they say: every block of Python, YAML and JSON works, every command exists."""

import inspect
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import transformers
import yaml
from accelerate.commands.launch import launch_command_parser
from PIL import Image
from torch import Tensor, nn

import demo.__main__
import demo.server.__main__
import eval.__main__
import eval.retrieval.command
import eval.speed.__main__
import omni.__main__
import omni.encoders
import tests.architectures
import tests.check_scorers
import tests.serve_load
import train.__main__
import train.compare_adapters.__main__
import train.make_data.__main__
from eval.commands import COMMANDS
from eval.tasks.suites import get_tasks
from omni import starter
from omni.config import JointSpaceConfig, ModelConfig, from_dict, to_dict
from omni.config.components import build, import_class
from omni.encoders import Encoder, Features
from omni.joint_space import build_space
from omni.media.image import load_image
from omni.media.sound import load_sound
from omni.model import OmniModel, build_model
from omni.readers import open_dataset, read_llava
from omni.samples.messages import Media, Message, Text, parse_sample
from omni.samples.preferences import parse_preference
from omni.starter import ASSETS
from omni.starter.locations import stamp_of
from tests.documents import REPOSITORY, Block, blocks, extras, inline_code
from tests.tiny import tiny_model
from train.recipe import DRY_RUN, RECIPES, describe_keys, load_recipes

MODULES = {
    "omni": omni.__main__,
    "eval": eval.__main__,
    "eval.retrieval": eval.retrieval.command,
    "eval.speed": eval.speed.__main__,
    "demo": demo.__main__,
    "demo.server": demo.server.__main__,
    "train": train.__main__,
    "train.compare_adapters": train.compare_adapters.__main__,
    "train.make_data": train.make_data.__main__,
    "tests.architectures": tests.architectures,
    "tests.check_scorers": tests.check_scorers,
    "tests.serve_load": tests.serve_load,
}
# Words in capitals stand for something of the reader's own.
PLACEHOLDER = re.compile(r"[A-Z][A-Z_]+(?:\.yaml)?")


class TinyPicture(Encoder):
    """Pictures -> 4 features of width 8."""

    modality = "image"
    medium = "picture"
    dim = 8
    max_features = 4

    def __init__(self) -> None:
        super().__init__(licence="Apache-2.0")
        self.layer = nn.Linear(48, 8)

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        pixels = np.asarray(load_image(media).resize((8, 8)), dtype=np.float32) / 255
        return {"pixels": torch.from_numpy(pixels.reshape(1, 4, 48))}

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        values = self.layer(inputs["pixels"])
        return Features(values, torch.ones(values.shape[:2], dtype=torch.bool))


class TinySound(TinyPicture):
    """Sounds -> 4 features of width 8."""

    modality = "sound"
    medium = "sound"

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        samples = load_sound(media).samples[:192]
        return {"pixels": torch.from_numpy(np.pad(samples, (0, 192 - len(samples))).reshape(1, 4, 48))}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, tiny_llm: Path) -> Path:
    """A folder as it is after the quickstart, but with tiny models: runs/, starter data, and the files of the docs."""
    folder = tmp_path_factory.mktemp("workspace")
    for parameter in blocks("python"):
        block = parameter.values[0]
        if block.file_name:
            (folder / block.file_name).write_text(block.text, encoding="utf-8")
    for modality, encoder in {"image": "TinyPicture", "sound": "TinySound"}.items():
        values = {
            "encoder": {"class_path": f"tests.test_readme.{encoder}"},
            "adapter": {"class_path": "adapters.Linear"},
        }
        config = from_dict(ModelConfig, {"llm": {"name": str(tiny_llm)}, "modalities": {modality: values}})
        torch.manual_seed(0)
        with pytest.MonkeyPatch.context() as patch:  # the home where the blocks run: what was saved there runs there
            patch.setenv("OMNI_HOME", str(folder / "home"))
            build_model(config).save(folder / "runs" / "quickstart" / modality / "best")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMNI_HOME", str(folder / "home"))
        write_space(folder)
    write_starter_stamps(folder / "home")
    (folder / "my_folder").mkdir()
    Image.new("RGB", (8, 8), "red").save(folder / "my_folder" / "red_fox-01.png")
    return folder


def write_space(folder: Path) -> None:
    """A joint space where the recipe for it would write one, and the pictures and sounds of its page."""
    modalities = {
        name: {"encoder": {"class_path": encoder}}
        for name, encoder in {
            "image": "tests.test_readme.TinyPicture",
            "sound": "tests.test_readme.TinySound",
            "text": "tests.tiny_space.WordEncoder",
        }.items()
    }
    torch.manual_seed(0)
    space = build_space(from_dict(JointSpaceConfig, {"dim": 6, "modalities": modalities}, "joint_space"))
    space.save(folder / "runs" / "starter-bind" / "best")
    for number, name in enumerate(("frog", "dog")):
        Image.new("RGB", (8, 8), (number * 90, 60, 30)).save(folder / f"{name}.png")
        soundfile.write(folder / f"{name}.ogg", np.sin(np.arange(1600) / (5 + number)), 16000)


def write_starter_stamps(home: Path) -> None:
    """One picture and one sound where the starter asset `stamps` would be."""
    folder = home / "data" / "stamps"
    folder.mkdir(parents=True)
    Image.new("RGB", (8, 8), "green").save(folder / "frog.png")
    soundfile.write(folder / "frog.wav", np.sin(np.arange(1600) / 5), 16000)
    content = [{"type": "image", "path": "frog.png"}, {"type": "sound", "path": "frog.wav"}]
    row = {
        "id": "frog",
        "messages": [{"role": "user", "content": content}, {"role": "assistant", "content": "A frog."}],
    }
    (folder / "triplet-test.jsonl").write_text(json.dumps(row) + "\n")
    (folder / "asset.json").write_text(json.dumps(stamp_of(ASSETS["stamps"])))


@pytest.fixture
def in_workspace(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("OMNI_HOME", str(workspace / "home"))
    return workspace


# --- Python ---


@pytest.mark.parametrize("block", blocks("python", without="serving.md"))  # its clients need the server of a test there
def test_python_block_runs(block: Block, in_workspace: Path) -> None:
    exec(compile(block.text, f"{block.document.name}:{block.line}", "exec"), {"__name__": "block"})


def test_readme_block_prints_an_answer_and_a_log_likelihood_of_each_candidate(
    in_workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    block = blocks("python")[0].values[0]
    assert block.document.name == "README.md"
    names: dict[str, Any] = {}
    exec(block.text, names)
    scores = names["model"].score(names["messages"], ["A frog.", "A blackbird.", "A steam train."])
    assert (scores < 0).all()
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == str(scores)


def write_tiny_dinov2(folder: Path) -> Path:
    """A random DINOv2 with the picture size and patches of the published ones."""
    config = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=518, patch_size=14
    )
    transformers.Dinov2Model(config).save_pretrained(folder)
    size = {"height": 224, "width": 224}
    transformers.BitImageProcessorPil(size={"shortest_edge": 256}, crop_size=size).save_pretrained(folder)
    return folder


def test_model_of_the_readme_reads_a_picture_a_movement_and_embeddings(in_workspace: Path, tiny_llm: Path) -> None:
    block = blocks("yaml")[0].values[0]
    assert block.document.name == "README.md"
    values = yaml.safe_load(block.text)["model"] | {"llm": {"name": str(tiny_llm)}}
    modalities = values["modalities"]
    modalities["image"]["encoder"]["init_args"]["name"] = str(write_tiny_dinov2(in_workspace / "dinov2"))
    modalities["accelerometer"]["encoder"]["class_path"] = "accelerometer.py:Accelerometer"
    model = build_model(from_dict(ModelConfig, values))
    media = [
        Media("image", path=str(in_workspace / "my_folder" / "red_fox-01.png")),
        Media("accelerometer", data=np.ones((120, 3))),
        Media("radar", features=np.ones((5, 512), np.float32)),
    ]
    (tokens,) = model.media_tokens([model.prepare([Message("user", (*media, Text("What is this?")))])])
    assert [len(found) for found in tokens] == [8 * 8, 3, 8]


@pytest.mark.starter
def test_readme_block_runs_on_the_models_of_the_quickstart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        for name in ("smollm2", "efficientnet-lite0", "yamnet", "stamps"):
            starter.path(name)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    monkeypatch.chdir(tmp_path)
    for modality in ("image", "sound"):
        config = load_recipes(RECIPES / f"quickstart-{modality}.yaml")[0].model
        assert config is not None
        build_model(config).save(tmp_path / "runs" / "quickstart" / modality / "best")
    names: dict[str, Any] = {}
    exec(blocks("python")[0].values[0].text, names)
    assert [*names["model"].modalities] == ["image", "sound"]
    assert names["picture"].path.endswith(".png")


def test_own_encoder_is_trained_saved_and_loaded(in_workspace: Path, tiny_llm: Path) -> None:
    every = [parameter.values[0].text for parameter in blocks("yaml")]
    text = next(text for text in every if "class_path: accelerometer.py:Accelerometer" in text)
    values = yaml.safe_load(text)["model"] | {"llm": {"name": str(tiny_llm)}}
    model = build_model(from_dict(ModelConfig, values))
    recording = np.random.default_rng(0).normal(size=(120, 3))
    question = Message("user", (Media("accelerometer", data=recording), Text("What is this?")))
    example = model.prepare([question, Message("assistant", (Text("the dog"),))], answer=True)
    model([example]).backward()
    gradients = [parameter.grad for parameter in model.modality("accelerometer").encoder.parameters()]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)
    model.save(in_workspace / "saved")
    loaded = OmniModel.load(in_workspace / "saved")
    candidates = ["the dog", "a bell"]
    assert torch.equal(loaded.score([question], candidates), model.score([question], candidates))


def test_own_encoder_names_a_recording_of_the_wrong_shape(in_workspace: Path) -> None:
    encoder = build({"class_path": "accelerometer.py:Accelerometer"})
    with pytest.raises(ValueError, match=r"\[T, 3\], got \[7, 2\]"):
        encoder.preprocess(Media("accelerometer", data=np.zeros((7, 2))))


def test_own_adapter_is_not_influenced_by_masked_features(in_workspace: Path) -> None:
    torch.manual_seed(0)
    adapter = build({"class_path": "mean.py:Mean"}, feature_dim=4, llm_dim=6)
    features = torch.randn(2, 3, 4)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    tokens, token_mask = adapter(features, mask)
    assert token_mask.all()
    torch.testing.assert_close(tokens[:1], adapter(features[:1, :2])[0])
    torch.testing.assert_close(tokens[0, 0], adapter.projection(features[0, :2].mean(0)))


def test_own_objective_adds_its_pull_to_the_loss(in_workspace: Path, tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm, adapters={"image": {"class_path": "adapters.Linear"}})
    question = Message("user", (Media("image", data=np.ones((4, 3), np.float32)),))
    example = model.prepare([question, Message("assistant", (Text("the dog"),))], answer=True)
    objective = build({"class_path": "my_objective.py:SmallTokens", "init_args": {"pull": 2.0}})
    loss, metrics = objective(model, [example], example.num_answer_tokens, packed=False)
    size = model.media_tokens([example])[0][0].pow(2).mean()
    torch.testing.assert_close(metrics["token_size"], size.detach())
    torch.testing.assert_close(loss, model([example]) + 2.0 * size)


def test_own_task_is_found(in_workspace: Path) -> None:
    assert [task.name for task in get_tasks("my_tasks.py:BIRDS")] == ["birds"]


# --- YAML and JSON ---


@pytest.mark.parametrize("block", blocks("yaml"))
def test_yaml_block_is_a_valid_recipe(block: Block, in_workspace: Path) -> None:
    (in_workspace / "path" / "to").mkdir(parents=True, exist_ok=True)
    (in_workspace / "path" / "to" / "accelerometer.py").write_text((in_workspace / "accelerometer.py").read_text())
    rest: dict[str, Any] = {"data": {"train": [{"path": "x.jsonl"}]}, "train": {"output_dir": "runs/x", "steps": 1}}
    path = in_workspace / "recipe.yaml"
    text = f"\n{block.text}"
    if "\nmodel:" not in text and "\ninit_from:" not in text:  # a part of a recipe
        linear = {"encoder": {"class_path": "omni.encoders.YamNet"}, "adapter": {"class_path": "adapters.Linear"}}
        rest["model"] = {"llm": {"name": "some/llm"}, "modalities": dict.fromkeys(("image", "sound", "video"), linear)}
    for key, value in rest.items():
        if f"\n{key}:" not in text:
            text += yaml.safe_dump({key: value})
    path.write_text(text)
    for recipe in load_recipes(path):
        modalities = dict(recipe.add_modalities)
        if recipe.model is not None:
            assert from_dict(ModelConfig, to_dict(recipe.model)) == recipe.model
            modalities |= recipe.model.modalities
        for modality in modalities.values():
            for component in filter(None, (modality.encoder, modality.adapter, modality.augmentation)):
                parameters = inspect.signature(import_class(component.class_path)).parameters
                assert set(component.init_args) <= set(parameters), component


@pytest.mark.parametrize("block", blocks("json"))
def test_json_block_is_a_sample(block: Block) -> None:
    sample = parse_sample(json.loads(block.text), base=Path("/data"))
    assert sample.media[0].path == "/data/frog.png"
    assert sample.messages[-1].text == "A frog."


@pytest.mark.parametrize("block", blocks("jsonl"))
def test_jsonl_block_is_a_preference_pair(block: Block) -> None:
    sample = parse_sample(json.loads(block.text), base=Path("/data"))
    assert sample.media[0].path == "/data/frog.png"
    assert parse_preference(sample).chosen[0].text == "A frog."


def test_folder_of_the_example_is_read_as_the_docs_say(in_workspace: Path) -> None:
    sample = open_dataset("my_folder")[0]
    assert not isinstance(sample, ValueError)
    assert sample.messages[-1].text == "red fox"


def test_llava_row_of_the_docs_is_read(tmp_path: Path) -> None:
    row = next(code for code in inline_code() if '"conversations": [' in code)
    text = row.replace('"id": ...', '"id": "1"').replace('"value": ...', '"value": "A frog."')
    (tmp_path / "rows.json").write_text(f"[{text}]")
    sample = read_llava(tmp_path / "rows.json")[0]
    assert not isinstance(sample, ValueError)
    assert [media.path for media in sample.media] == [str(tmp_path / "a.jpg")]
    assert sample.messages[-1].text == "A frog."


# --- commands ---


def commands() -> list[str]:
    """Every command of the documents, without comments and without `[optional parts]`' brackets."""
    found = [line for parameter in blocks("bash") for line in parameter.values[0].text.splitlines()]
    starts = ("make ", "python -m ", "accelerate launch ", ".ci/", ".venv/bin/python -m ")
    found += [code for code in inline_code() if code.startswith(starts)]
    found += [path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for path in RECIPES.glob("*.yaml")]
    lines = dict.fromkeys(re.sub(r"[\[\]]", "", line.split("#")[0]).strip() for line in found)
    return [line for line in lines if line and not line.startswith("source ")]


@pytest.mark.parametrize("command", commands())
def test_command_exists(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    program, *words = shlex.split(command)
    if program == "make":
        check_make(words)
    elif program == ".ci/install":
        assert (REPOSITORY / program).stat().st_mode & 0o100
        assert {*words[0].split(",")} <= extras()
    elif program == ".ci/locked":
        assert subprocess.run([sys.executable, program, *words], capture_output=True, check=True).stdout
    elif program.startswith(".venv-"):  # of `make plugins`; tests/eval/plugins runs what stands there
        assert (REPOSITORY / ".ci" / "plugins" / f"{program.split('/')[0].removeprefix('.venv-')}.in").exists()
    elif program == ".ci/lock":
        assert (REPOSITORY / program).stat().st_mode & 0o100
        assert not words or words[0] == "--upgrade-package"
    elif program == "accelerate":
        assert words[0] == "launch"
        _, rest = launch_command_parser().parse_known_args(words[1:])
        options = launch_command_parser().parse_args(words[1:])
        assert options.module, f"{command}: modules are started with -m"
        assert rest == []
        check_module([options.training_script, *options.training_script_args], capsys)
    else:
        assert (program, words[0]) == ("python", "-m"), f"unknown command {command!r}"
        check_module(words[1:], capsys)


def check_make(words: list[str]) -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{words[0]}:", makefile, re.MULTILINE), f"no target {words[0]}"
    for word in words[1:]:
        assert f"$({word.partition('=')[0]})" in makefile, f"no variable {word}"


def check_module(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The module exists and its own help, or its recipe, knows every option."""
    module, *arguments = words
    options = [word.partition("=")[0] for word in arguments if word.startswith("--")]
    if module == "train":
        recipe = next((word for word in arguments if word.endswith(".yaml")), None)
        if recipe is None or PLACEHOLDER.fullmatch(recipe):
            keys = set(re.findall(r"^  (--[\w.]+):", describe_keys(), flags=re.MULTILINE))
            assert set(options) <= {"--help", "--KEY", DRY_RUN} | keys
        else:
            assert load_recipes(recipe, arguments[1:])
        return
    if module == "omni":
        assert arguments[0] in omni.__main__.COMMANDS
        named = [word for word in arguments[1:] if not word.startswith("--") and not PLACEHOLDER.fullmatch(word)]
        assert arguments[0] != "fetch" or set(named) <= set(ASSETS)
    command_of_eval = module == "eval" and arguments and arguments[0] in COMMANDS
    if module == "eval" and arguments and not arguments[0].startswith("--") and arguments[0] != "my_tasks.py:BIRDS":
        assert command_of_eval or PLACEHOLDER.fullmatch(arguments[0]) or get_tasks(arguments[0])
    with_subcommands = command_of_eval or module in ("omni", "train.make_data", "eval.speed")
    with pytest.raises(SystemExit):
        MODULES[module].main([*arguments[:1], "--help"] if with_subcommands else ["--help"])
    help_text = capsys.readouterr().out
    assert all(option in help_text for option in options), f"{module} has no option among {options}"
