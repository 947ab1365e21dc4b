"""Maps, rank correlations and words."""

import math

import numpy as np
import pytest
from scipy import stats

from omni.encoders.regions import grid_regions, whole_regions
from omni.explaining.correlation import spearman
from omni.explaining.cost import MOST_PASSES, cost_of
from omni.explaining.maps import on_parts
from omni.explaining.words import words_of
from omni.media.parts.contract import Axis, evenly
from tests.tiny import tiny_tokenizer

GRID = (evenly("row", 0, 1, 2), evenly("column", 0, 1, 2))


def test_weights_stay_where_features_and_parts_are_the_same() -> None:
    regions = grid_regions([0, 0.5, 1], [0, 0.5, 1]).numpy()
    found = on_parts(np.array([[1.0, 2.0, 3.0, 4.0]]), regions, GRID)
    assert found is not None
    np.testing.assert_allclose(found, [[[1, 2], [3, 4]]])


def test_weights_are_shared_by_overlap_and_none_is_lost_inside() -> None:
    regions = grid_regions(np.linspace(0, 1, 4).tolist(), np.linspace(0, 1, 4).tolist()).numpy()
    weights = np.random.default_rng(0).random((3, 9))
    found = on_parts(weights, regions, GRID)
    assert found is not None
    np.testing.assert_allclose(found.sum((1, 2)), weights.sum(1), rtol=1e-6)
    first = weights[:, 0] + weights[:, 1] / 2 + weights[:, 3] / 2 + weights[:, 4] / 4  # the middle one is in four parts
    np.testing.assert_allclose(found[:, 0, 0], first, rtol=1e-6)


def test_a_feature_of_the_whole_is_shared_by_all_and_padding_is_dropped() -> None:
    whole = on_parts(np.ones((1, 1)), whole_regions(1, 1, 1)[0].numpy(), GRID)
    outside = on_parts(np.ones((1, 1)), np.array([[[0.0, 1.0], [1.0, 1.5]]]), GRID)
    half = on_parts(np.ones((1, 1)), np.array([[[0.0, 1.0], [0.5, 1.5]]]), GRID)
    assert whole is not None
    assert outside is not None
    assert half is not None
    np.testing.assert_allclose(whole, np.full((1, 2, 2), 0.25))
    assert outside.sum() == 0
    np.testing.assert_allclose(half, [[[0, 0.25], [0, 0.25]]])


def test_a_point_lies_in_one_part_also_at_the_ends() -> None:
    axis = (Axis("x", (0.0, 1.0, 2.0)),)
    points = np.array([[[0.0, 0.0]], [[1.0, 1.0]], [[2.0, 2.0]]])
    found = on_parts(np.eye(3), points, axis)
    assert found is not None
    np.testing.assert_array_equal(found, [[1, 0], [0, 1], [0, 1]])


def test_regions_of_another_medium_are_no_map() -> None:
    assert on_parts(np.ones((1, 1)), np.zeros((1, 1, 2)), GRID) is None


def test_spearman_is_that_of_scipy() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        first, second = generator.integers(0, 5, 12).astype(float), generator.normal(size=12)
        assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)
    assert spearman(np.arange(5.0), np.arange(5.0) ** 3) == pytest.approx(1)


def test_an_even_map_has_no_correlation() -> None:
    assert math.isnan(spearman(np.array([1.0, 1.0001, 1.0]), np.arange(3.0)))
    assert math.isnan(spearman(np.zeros(1), np.zeros(1)))


@pytest.mark.parametrize("text", ["a frog, it was heard", "  dog\n drum ", "é frog ñ", "蛙 and 鼓聲", "one"])
def test_words_have_all_tokens_of_an_answer_once(text: str) -> None:
    tokenizer = tiny_tokenizer()
    ids = tokenizer(text)["input_ids"]
    values = [float(i + 1) for i in range(len(ids) + 1)]
    words = words_of(tokenizer, [*ids, tokenizer.eos_token_id], values)
    assert [token for word in words for token in range(word.start, word.end)] == [*range(len(ids))]
    assert sum(word.log_likelihood for word in words) == sum(values[:-1])
    assert "".join(word.text for word in words) == "".join(text.split())


def test_words_end_at_blanks_and_with_characters_of_scripts_without_them() -> None:
    tokenizer = tiny_tokenizer()
    for text, expected in {"a frog, it": ["a", "frog,", "it"], "蛙鼓 é": ["蛙", "鼓", "é"]}.items():
        ids = tokenizer(text)["input_ids"]
        assert [word.text for word in words_of(tokenizer, ids, [0.0] * len(ids))] == expected


def test_what_would_take_too_long_is_refused() -> None:
    assert cost_of([49, 10], 100).passes == 63
    with pytest.raises(ValueError, match=f"more than {MOST_PASSES}; give a smaller number of parts"):
        cost_of([5000], 100)
