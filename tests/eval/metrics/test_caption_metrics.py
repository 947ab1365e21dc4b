"""Caption and answer metrics against values computed by hand."""

import math

import pytest

from eval.metrics import CiderD, bleu_4, rouge_l, vqa_accuracy, words_v2
from eval.metrics.rouge_l import longest_common_subsequence


def test_words_keep_inner_apostrophes_and_drop_punctuation() -> None:
    assert words_v2("Don't stop, it's a T-shirt!") == ("don't", "stop", "it's", "a", "t", "shirt")
    assert words_v2("  ...  ") == ()


def test_cider_d_of_the_reference_itself_is_ten() -> None:
    corpus = [["a brown frog sits here"], ["the old drum is loud"], ["one green bottle fell over"]]
    assert CiderD(corpus).score("a brown frog sits here", corpus[0]) == pytest.approx(10.0)


def test_cider_d_of_no_common_words_is_zero() -> None:
    corpus = [["a brown frog"], ["the old drum"]]
    assert CiderD(corpus).score("green bottles everywhere", corpus[0]) == 0.0


def test_cider_d_equals_the_value_computed_by_hand() -> None:
    # Two documents, so an n-gram of one document weighs log 2 and "a" (in both) weighs 0. Candidate "a frog frog"
    # against "a red frog": unigrams, candidate frog 2 log 2; reference red, frog log 2 each. Clipped product log2^2,
    # norms 2 log 2 and sqrt(2) log 2: 1 / (2 sqrt 2). No common bigram or longer ("a frog" and "frog frog" against "a
    # red", "red frog").
    value = CiderD([["a red frog"], ["a drum"]]).score("a frog frog", ["a red frog"])
    assert value == pytest.approx(10 / 4 * 1 / (2 * math.sqrt(2)))


def test_cider_d_punishes_a_difference_of_length_by_the_gaussian() -> None:
    # Candidate "frog", reference "frog drum": unigram cosine 1 / sqrt 2, one word of difference, three empty orders.
    value = CiderD([["frog drum"], ["bell"]]).score("frog", ["frog drum"])
    assert value == pytest.approx(10 / 4 * math.exp(-1 / 72) / math.sqrt(2))


def test_cider_d_averages_over_references() -> None:
    corpus = [["red frog here now", "loud drum there then"], ["bell"]]
    metric = CiderD(corpus)
    both = metric.score("red frog here now", corpus[0])
    assert both == pytest.approx(
        (metric.score("red frog here now", corpus[0][:1]) + metric.score("red frog here now", corpus[0][1:])) / 2
    )


def test_cider_d_needs_references() -> None:
    with pytest.raises(ValueError, match="at least one reference"):
        CiderD([["a"], []])


def test_rouge_l_equals_the_value_computed_by_hand() -> None:
    # "the cat sat down" against "the black cat sat": common subsequence "the cat sat", precision = recall = 3/4.
    assert longest_common_subsequence(["the", "cat", "sat", "down"], ["the", "black", "cat", "sat"]) == 3
    assert rouge_l("The cat sat down.", ["the black cat sat"]) == pytest.approx(0.75)
    # precision 1, recall 1/2, beta 1.2: 2.44 * 0.5 / (0.5 + 1.44)
    assert rouge_l("a frog", ["a green frog jumps"]) == pytest.approx(2.44 * 0.5 / 1.94)
    assert rouge_l("", ["a frog"]) == 0.0


def test_bleu_4_equals_the_value_computed_by_hand() -> None:
    assert bleu_4(["a b c d e"], [["a b c d e"]]) == pytest.approx(1.0)
    # 5 words of 5, 4-gram precisions 4/5, 3/4, 2/3, 1/2 and no brevity penalty.
    expected = (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert bleu_4(["a b c d x"], [["a b c d e"]]) == pytest.approx(expected)


def test_bleu_4_takes_different_numbers_of_references() -> None:
    assert bleu_4(["a b c d", "e f g h"], [["x", "a b c d"], ["e f g h"]]) == pytest.approx(1.0)


def test_vqa_accuracy_leaves_each_annotator_out() -> None:
    # 3 of 10 agree: the three see 2 others (2/3), the seven see 3 others (1).
    annotations = ["frog"] * 3 + ["toad"] * 7
    assert vqa_accuracy("A frog", annotations) == pytest.approx((3 * 2 / 3 + 7 * 1) / 10)
    assert vqa_accuracy("frog", ["frog"]) == 1.0
    assert vqa_accuracy("bird", annotations) == 0.0
