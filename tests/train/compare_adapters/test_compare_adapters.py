"""All adapters learn from the same few items by the real loop, and the table says what each of them took."""

import json
from pathlib import Path

import numpy as np
import pytest

from omni.config import LLMConfig
from omni.config.components import ComponentConfig
from omni.recipe.schema import SourceConfig
from tests.train.runs import row
from train.compare_adapters.__main__ import main
from train.compare_adapters.comparing import measure_adapters
from train.compare_adapters.contenders import CONTENDERS, Budget, Comparison
from train.compare_adapters.held_out import PROMPT, CaptionedItem, captioned_items, make_choices
from train.compare_adapters.results import AdapterResult, markdown

WORDS = ["frog", "dog", "drum", "bell", "sound", "picture", "image", "user", "system", "assistant"]
SMALL = {
    "Linear": {},
    "QFormer": {"num_queries": 2, "hidden_dim": 16, "num_layers": 2, "num_heads": 2, "intermediate_dim": 32},
    "GatedCrossAttention": {"every": 1, "num_queries": 2, "width": 16, "num_heads": 2},
    "Experts": {"num_experts": 2, "top_k": 1, "width": 16},
}


def write_items(folder: Path) -> Path:
    """What is to be said is plain from the values, and the same in training as later."""
    values = np.random.default_rng(0).normal(size=(len(WORDS), 4, 3)).astype(np.float32) * 2
    for index, value in enumerate(values):
        np.save(folder / f"{index}.npy", value)
    rows = [row(str(index), [f"sensor:{index}.npy"], f"a {word}") for index, word in enumerate(WORDS)]
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder / "data.jsonl"


def items(folder: Path) -> list[CaptionedItem]:
    return captioned_items(str(write_items(folder)))


def comparison(folder: Path, llm: Path, budget: Budget) -> Comparison:
    encoder = ComponentConfig("tests.tiny.SensorEncoder", {"dim": 16})
    data = SourceConfig(str(folder / "data.jsonl"), instructions=[PROMPT])
    return Comparison(LLMConfig(str(llm)), encoder, "sensor", data, budget)


def test_each_adapter_learns_and_its_row_is_right(tmp_path: Path, tiny_llm: Path) -> None:
    budget = Budget(steps=40, batch_size=10, lr=1e-2)
    held_out = items(tmp_path)
    results = measure_adapters(SMALL, comparison(tmp_path, tiny_llm, budget), held_out)
    assert [one.adapter for one in results] == list(SMALL)
    assert [one.media_tokens for one in results] == [4, 2, 0, 4]
    assert results[0].parameters == 16 * 32 + 32 + 2 * 16 + 32  # projection, norm of the features, norm of the tokens
    assert all(one.steps == 40 and one.num_items == 10 and one.seconds > 0 for one in results)
    assert all(one.loss < 5 for one in results)  # from about 6
    assert sum(one.correct for one in results) > 8  # 4 by chance
    text = markdown(results, budget, 10, 1)
    assert f"| Linear | {results[0].parameters / 1e6:.2f} M | 4 | 40 |" in text
    low, high = results[0].interval
    assert 0 < low < results[0].correct / 10 < high <= 1


def test_the_seconds_of_a_budget_end_training_early(tmp_path: Path, tiny_llm: Path) -> None:
    budget = Budget(steps=10**6, batch_size=2, lr=1e-3, seconds=0.01)
    held_out = items(tmp_path)
    (result,) = measure_adapters({"Linear": {}}, comparison(tmp_path, tiny_llm, budget), held_out)
    assert isinstance(result, AdapterResult)
    assert 1 <= result.steps < 10**6


def test_choices_begin_with_the_right_caption_and_have_no_other_twice(tmp_path: Path) -> None:
    for item, captions in make_choices(items(tmp_path), seed=1):
        assert captions[0] == item.caption
        assert len(set(captions)) == 10
    with pytest.raises(ValueError, match="9 different captions, but 10 are needed"):
        make_choices(items(tmp_path)[:9], seed=1)


def test_the_interval_is_that_of_wilson() -> None:
    low, high = AdapterResult("Linear", 1, 1, 1, 1.0, 1, 1.0, correct=81, num_items=263).interval
    assert (low, high) == pytest.approx((0.2553, 0.3662), abs=5e-5)  # Newcombe 1998, table I


def test_every_exported_adapter_is_in_the_table() -> None:
    import adapters

    contracts = {"Adapter", "AttendedAdapter", "ExpertUsage", "Instruction", "RoutedAdapter", "Routing"}
    assert set(CONTENDERS) == set(adapters.__all__) - contracts


def test_a_budget_of_nothing_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--steps", "0"]) == 2
    assert capsys.readouterr().err == "error: --steps is 0, but must be above 0\n"
