"""Figures of classification: by hand, with ties and missing classes, and by scikit-learn on generated cases."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from eval.metrics import classification


def test_ties_share_the_first_place() -> None:
    scores = np.array([[1.0, 1.0, 0.0], [0.0, 2.0, 1.0]])
    first = classification.first_places(scores)
    assert first.tolist() == [[0.5, 0.5, 0], [0, 1, 0]]
    confusion = classification.confusion_matrix(first, np.array([0, 2]))
    assert confusion.tolist() == [[0.5, 0.5, 0], [0, 0, 0], [0, 1, 0]]
    # class 0: 2 * 0.5 / (0.5 + 1); class 1 is only said and class 2 only right: both 0
    assert classification.macro_f1(confusion) == pytest.approx((2 * 0.5 / 1.5) / 3)


def test_a_class_that_never_occurs_is_left_out_of_macro_f1() -> None:
    confusion = np.array([[2.0, 0, 0], [1, 1, 0], [0, 0, 0]])
    assert classification.macro_f1(confusion) == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_top_k_of_ties_is_the_chance_of_a_random_order() -> None:
    scores = np.array([[3.0, 1.0, 1.0, 1.0], [3.0, 1.0, 1.0, 1.0], [3.0, 2.0, 1.0, 0.0]])
    assert classification.top_k(scores, np.array([1, 0, 3]), 2).tolist() == [pytest.approx(1 / 3), 1, 0]
    assert classification.top_k(scores, np.array([1, 1, 3]), 9).tolist() == [1, 1, 1]


def test_calibration_error_by_hand() -> None:
    # two of three right at 0.9, and one of two at exactly 0.2, which belongs to the bin (2/15, 3/15]
    confidence, correct = np.array([0.9, 0.9, 0.9, 0.2, 0.2]), np.array([1, 1, 0, 1, 0])
    expected = 3 / 5 * abs(2 / 3 - 0.9) + 2 / 5 * abs(1 / 2 - 0.2)
    assert classification.expected_calibration_error(confidence, correct) == pytest.approx(expected)
    assert classification.expected_calibration_error(np.array([1.0, 0.0]), np.array([1, 0])) == 0
    # 0.51 and 0.52 lie in one bin of fifteen, where over and under even out, and in two of a hundred
    close = np.array([0.51, 0.52]), np.array([1, 0])
    assert classification.expected_calibration_error(*close) == pytest.approx(abs(1 - 1.03) / 2)
    assert classification.expected_calibration_error(*close, num_bins=100) == pytest.approx((0.49 + 0.52) / 2)


def test_auroc_and_average_precision_with_ties_and_without_positives() -> None:
    scores, positive = np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, False, True, False])
    assert classification.auroc(scores, positive) == pytest.approx((2 + 1.5) / 4)
    assert classification.average_precision(scores, positive) == pytest.approx((1 + 2 / 3) / 2)
    none = np.zeros(4, bool)
    assert np.isnan(classification.auroc(scores, none))
    assert np.isnan(classification.auroc(scores, ~none))
    assert np.isnan(classification.average_precision(scores, none))
    both, table = np.stack([positive, none], 1), np.stack([scores, scores], 1)
    assert classification.macro_auroc(table, both) == pytest.approx(3.5 / 4)
    assert classification.mean_average_precision(table, both) == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(classification.mean_average_precision(table, both & False))


def test_the_figures_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    for _ in range(1000):
        number, classes = generator.integers(2, 14), generator.integers(2, 5)
        scores = generator.permuted(np.tile(np.arange(classes), (number, 1)), axis=1) + generator.random((number, 1))
        right = generator.integers(0, classes, number)
        said = scores.argmax(1)
        confusion = classification.confusion_matrix(classification.first_places(scores), right)
        labels = np.arange(classes)
        assert np.array_equal(confusion, sklearn_metrics.confusion_matrix(right, said, labels=labels))
        expected = sklearn_metrics.f1_score(right, said, average="macro", zero_division=0)
        assert classification.macro_f1(confusion) == pytest.approx(expected)
        if classes > 2:
            top = classification.top_k(scores, right, 2).mean()
            assert top == pytest.approx(sklearn_metrics.top_k_accuracy_score(right, scores, k=2, labels=labels))
        rough = generator.integers(0, 4, number).astype(float)  # many ties
        positive = generator.random(number) < 0.5
        if positive.any():
            expected = sklearn_metrics.average_precision_score(positive, rough)
            assert classification.average_precision(rough, positive) == pytest.approx(expected)
        if positive.any() and not positive.all():
            assert classification.auroc(rough, positive) == pytest.approx(
                sklearn_metrics.roc_auc_score(positive, rough)
            )
