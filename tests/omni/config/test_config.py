"""Configs are read strictly: each error names the key, what was found and what is allowed."""

from typing import Any

import pytest
import yaml

from omni.config import ModelConfig, from_dict, to_dict
from omni.config.reading import read_yaml
from omni.recipe.schema import TrainConfig

PART = {"class_path": "adapters.MLP", "init_args": {"hidden_dim": 8}}
FULL: dict[str, Any] = {
    "llm": {"name": "starter:smollm2", "lora": {"r": 4, "target_modules": ["q_proj"]}, "dtype": "bfloat16"},
    "modalities": {"image": {"encoder": PART, "adapter": PART, "cue": "image: ", "join_clips": False}},
    "system": "",
}


def test_a_config_goes_to_yaml_and_back_unchanged() -> None:
    config = from_dict(ModelConfig, FULL)
    assert from_dict(ModelConfig, yaml.safe_load(yaml.safe_dump(to_dict(config)))) == config
    assert config.llm.lora is not None
    assert (config.llm.lora.r, config.llm.lora.alpha, config.llm.lora.mode) == (4, 16, "shared")
    assert config.modalities["image"].adapter.init_args == {"hidden_dim": 8}
    assert config.system == ""


def test_a_bare_no_is_the_word_where_that_is_allowed() -> None:
    read = from_dict(TrainConfig, read_yaml("{output_dir: runs/a, steps: 1, precision: no}", "text"), "train")
    assert read.precision == "no"
    with pytest.raises(ValueError, match="precision: True is not one of"):
        from_dict(TrainConfig, read_yaml("{output_dir: runs/a, steps: 1, precision: yes}", "text"), "train")


def test_an_integer_is_taken_where_a_number_is_meant() -> None:
    lora = from_dict(ModelConfig, {"llm": {"name": "x", "lora": {"dropout": 0}}}).llm.lora
    assert lora.dropout == 0.0
    assert isinstance(lora.dropout, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"llm": {"nam": "x"}}, r"model\.llm\.nam: unknown key; did you mean 'name'\?"),
        ({"llm": {}}, r"model\.llm\.name is missing"),
        ({}, r"model\.llm is missing"),
        (None, r"model: expected keys of ModelConfig, found None"),
        ({"llm": {"name": 3}}, r"model\.llm\.name: expected str, found 3"),
        ({"llm": {"name": "x", "dtype": "int4"}}, r"model\.llm\.dtype: 'int4' is not one of \['float32'"),
        ({"llm": {"name": "x", "quantization": "fp4"}}, r"model\.llm\.quantization: 'fp4' is not one of"),
        ({"llm": {"name": "x", "lora": {"r": True}}}, r"model\.llm\.lora\.r: expected int, found True"),
        ({"llm": {"name": "x", "lora": {"r": 0}}}, r"lora\.r must be at least 1, not 0"),
        ({"llm": {"name": "x", "lora": {"dropout": 1.0}}}, r"lora\.dropout must be in \[0, 1\), not 1\.0"),
        ({"llm": {"name": "x"}, "modalities": {"im age": FULL["modalities"]["image"]}}, r"'im age' is no valid name"),
        ({"llm": {"name": "x"}, "modalities": {"image": {"encoder": PART}}}, r"modalities\.image\.adapter is missing"),
        ({"llm": {"name": "x"}, "modalities": []}, r"model\.modalities: expected dict, found \[\]"),
        (
            {"llm": {"name": "x"}, "modalities": {"image": {"encoder": PART, "adapter": "MLP"}}},
            r"adapter: expected",
        ),
        ({"llm": {"name": "x"}, "system": 1}, r"model\.system: expected str, found 1"),
    ],
)
def test_what_is_wrong_is_named(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_dict(ModelConfig, values)
