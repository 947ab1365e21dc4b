"""What the launcher asks for is read from its environment, and refused where it does not go together with the rest."""

import importlib.util
import os
from pathlib import Path

import pytest
import torch
import yaml
from accelerate.commands.launch import launch_command_parser

from omni.config import LLMConfig
from omni.llm.loading import load_llm
from omni.recipe.schema import TrainConfig
from tests.tiny import tiny_model
from train.strategies.deepspeed_zero import DeepSpeedStrategy
from train.strategies.fully_sharded import FullyShardedStrategy
from train.strategies.launch import plain_processes, read_strategy
from train.strategies.plain import PlainStrategy
from train.strategies.sharded_llm import find_layers

CONFIGS = sorted((Path(__file__).parents[3] / "train/accelerate").glob("*.yaml"))
FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_RESHARD_AFTER_FORWARD": "true"}


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "true")
    return monkeypatch


def set_all(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_first_lines_of_a_shipped_config_say_how_to_use_it(config: Path) -> None:
    command = config.read_text().splitlines()[1].removeprefix("# accelerate launch ").split()
    options = launch_command_parser().parse_args(command)
    assert Path(options.config_file).name == config.name
    assert options.training_script == "train"
    assert yaml.safe_load(config.read_text())["mixed_precision"] == "no"


def read_deepspeed() -> DeepSpeedStrategy:
    strategy = read_strategy()
    assert isinstance(strategy, DeepSpeedStrategy)
    return strategy


def test_fsdp_is_read(launched: pytest.MonkeyPatch) -> None:
    set_all(launched, FSDP)
    assert read_strategy() == FullyShardedStrategy(reshard_after_forward=True)
    set_all(launched, {"FSDP_RESHARD_AFTER_FORWARD": "false", "FSDP_OFFLOAD_PARAMS": "true"})
    assert read_strategy() == FullyShardedStrategy(reshard_after_forward=False, offload_parameters=True)
    launched.setenv("FSDP_VERSION", "1")
    with pytest.raises(ValueError, match=r"fsdp_version is 1; only 2 is supported"):
        read_strategy()


def test_one_process_shares_with_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, FSDP | {"WORLD_SIZE": "1"})
    assert read_strategy() == PlainStrategy()
    monkeypatch.setenv("FSDP_OFFLOAD_PARAMS", "true")
    with pytest.raises(ValueError, match=r"needs at least two processes; add --num_processes 2"):
        read_strategy()


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_zero_stage_and_offload_are_read(launched: pytest.MonkeyPatch, stage: int) -> None:
    set_all(launched, {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": str(stage)})
    strategy = read_deepspeed()
    assert (strategy.zero_stage, strategy.shards_llm) == (stage, stage == 3)
    assert (strategy.offload_optimizer, strategy.offload_parameters) == (False, False)
    set_all(launched, {f"ACCELERATE_DEEPSPEED_OFFLOAD_{name}_DEVICE": "cpu" for name in ("OPTIMIZER", "PARAM")})
    assert (read_deepspeed().offload_optimizer, read_deepspeed().offload_parameters) == (True, stage == 3)
    launched.setenv("ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE", "nvme")
    with pytest.raises(ValueError, match=r"offload_param_device is 'nvme'; none and cpu are supported"):
        read_strategy()


def test_own_deepspeed_file_is_read_but_may_not_set_what_the_recipe_does(
    launched: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "deepspeed.json"
    names = {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_CONFIG_FILE": str(file)}
    set_all(launched, names)
    file.write_text('{"zero_optimization": {"stage": 2, "reduce_bucket_size": 77}}')
    assert read_deepspeed().deepspeed_config["zero_optimization"]["reduce_bucket_size"] == 77
    file.write_text('{"zero_optimization": {"stage": 2}, "optimizer": {"type": "Adam"}}')
    with pytest.raises(ValueError, match=r"deepspeed_config sets 'optimizer', which the recipe decides"):
        read_strategy()


def test_missing_deepspeed_is_an_error_that_names_the_extra(launched: pytest.MonkeyPatch) -> None:
    launched.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    find_spec = importlib.util.find_spec
    launched.setattr(importlib.util, "find_spec", lambda name: None if name == "deepspeed" else find_spec(name))
    with pytest.raises(ValueError, match=r"pip install 'omni\[deepspeed\]'"):
        read_strategy()


def test_transformers_does_not_load_in_pieces(launched: pytest.MonkeyPatch) -> None:
    set_all(launched, FSDP)
    with plain_processes():
        assert "ACCELERATE_USE_FSDP" not in os.environ
    assert os.environ["ACCELERATE_USE_FSDP"] == "true"
    assert os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] == "false"


def test_layers_are_found_behind_a_lora_too(tiny_llm: Path) -> None:
    lora = {"r": 2, "alpha": 4, "dropout": 0.0, "target_modules": ["q_proj"]}
    for options in ({}, {"lora": lora}):
        decoder, layers = find_layers(tiny_model(tiny_llm, **options).llm)
        assert [type(layer).__name__ for layer in layers] == ["LlamaDecoderLayer"] * 2
        assert type(decoder).__name__ == "LlamaModel"


def test_quantised_llm_and_one_without_known_layers_are_refused(tiny_llm: Path) -> None:
    llm = load_llm(LLMConfig(str(tiny_llm)))
    device = torch.device("cpu")
    llm.model._no_split_modules = []  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"does not say which modules of '.*' are its layers"):
        FullyShardedStrategy().shard_llm(llm, device)
    llm.config.quantization = "nf4"
    with pytest.raises(ValueError, match=r"nf4 weights cannot be spread over processes; use .*zero2.yaml"):
        FullyShardedStrategy().check(llm, TrainConfig(output_dir="", steps=1))
