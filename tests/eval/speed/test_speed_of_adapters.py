"""All adapters learn from the same few items, and the table says what each of them took."""

from pathlib import Path

import numpy as np
import pytest

from eval.speed.trained_adapters import (
    CONTENDERS,
    AdapterResult,
    Budget,
    CaptionedItem,
    make_choices,
    markdown,
    measure_adapters,
)
from omni.config import LLMConfig
from omni.config.components import ComponentConfig
from omni.llm.loading import load_llm
from omni.media.item import Media

WORDS = ["frog", "dog", "drum", "bell", "sound", "picture", "image", "user", "system", "assistant"]
SMALL = {
    "Linear": {},
    "QFormer": {"num_queries": 2, "hidden_dim": 16, "num_layers": 2, "num_heads": 2, "intermediate_dim": 32},
    "GatedCrossAttention": {"every": 1, "num_queries": 2, "width": 16, "num_heads": 2},
    "Experts": {"num_experts": 2, "top_k": 1, "width": 16},
}


def items() -> list[CaptionedItem]:
    """What is to be said is plain from the values, and the same in training as later."""
    values = np.random.default_rng(0).normal(size=(len(WORDS), 4, 3)).astype(np.float32) * 2
    return [CaptionedItem(Media("sensor", data=value), f"a {word}") for value, word in zip(values, WORDS, strict=True)]


def test_each_adapter_learns_and_its_row_is_right(tiny_llm: Path) -> None:
    llm = load_llm(LLMConfig(str(tiny_llm)))
    encoder = ComponentConfig("tests.tiny.SensorEncoder", {"dim": 16})
    budget = Budget(steps=40, batch_size=10, lr=1e-2)
    results = measure_adapters(SMALL, llm, encoder, items(), items(), budget)
    assert [one.adapter for one in results] == list(SMALL)
    assert [one.media_tokens for one in results] == [4, 2, 0, 4]
    assert results[0].parameters == 16 * 32 + 32 + 2 * 16 + 32  # projection, norm of the features, norm of the tokens
    assert all(one.steps == 40 and one.num_items == 10 for one in results)
    assert results[0].correct > 3  # 1 by chance
    text = markdown(results, budget, 10, 1)
    assert f"| Linear | {results[0].parameters / 1e6:.2f} M | 4 | 40 |" in text
    low, high = results[0].interval
    assert 0 < low < results[0].correct / 10 < high <= 1


def test_the_seconds_of_a_budget_end_training_early(tiny_llm: Path) -> None:
    llm = load_llm(LLMConfig(str(tiny_llm)))
    encoder = ComponentConfig("tests.tiny.SensorEncoder", {"dim": 16})
    budget = Budget(steps=10**6, batch_size=2, lr=1e-3, seconds=0.01)
    (result,) = measure_adapters({"Linear": {}}, llm, encoder, items(), items(), budget)
    assert isinstance(result, AdapterResult)
    assert 1 <= result.steps < 10**6


def test_choices_begin_with_the_right_caption_and_have_no_other_twice() -> None:
    for item, captions in make_choices(items(), seed=1):
        assert captions[0] == item.caption
        assert len(set(captions)) == 10
    with pytest.raises(ValueError, match="9 different captions, but 10 are needed"):
        make_choices(items()[:9], seed=1)


def test_every_exported_adapter_is_in_the_table() -> None:
    import adapters

    contracts = {"Adapter", "AttendedAdapter", "ExpertUsage", "Instruction", "RoutedAdapter", "Routing"}
    assert set(CONTENDERS) == set(adapters.__all__) - contracts
