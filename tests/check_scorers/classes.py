"""Figures of classification and of several labels against scikit-learn."""

from collections.abc import Iterator

import numpy as np
from scipy import special, stats
from sklearn import calibration
from sklearn import metrics as sk

from eval.items.item import Item
from eval.metrics import classification
from eval.scorers import LabelSetAnswer
from tests.check_scorers.comparing import Outcome, chosen, compare, figures

_SIZE = 100  # items of a whole set


def figures_of_sets(number: int) -> Iterator[Outcome]:
    """Figures of classification and of several labels against scikit-learn."""
    draw = np.random.default_rng(4)
    singles, several, lwlraps, errors, tops, matrices = [], [], [], [], [], []
    for _ in range(number):
        size, classes = int(draw.integers(6, 20)), int(draw.integers(3, 8))
        scores = draw.dirichlet(np.ones(classes), size)
        right = draw.integers(0, classes, size)
        said = scores.argmax(1)
        first = classification.first_places(scores)
        matrix = classification.confusion_matrix(first, right)
        matrices.append((matrix, sk.confusion_matrix(right, said, labels=range(classes))))
        singles.append((classification.macro_f1(matrix), sk.f1_score(right, said, average="macro")))
        k = int(draw.integers(1, classes))
        theirs = sk.top_k_accuracy_score(right, scores, k=k, labels=range(classes))
        tops.append((classification.top_k(scores, right, k).mean(), theirs))
        own = classification.expected_calibration_error(scores.max(1), (said == right).astype(float))
        errors.append((own, _calibration(scores.max(1), said == right)))
        positive = draw.random((size, classes)) < 0.4
        positive[np.arange(size), right] = True
        positive[0] = False
        positive[0, 0] = True
        usable = [c for c in range(classes) if 0 < positive[:, c].sum() < size]
        if usable:
            several.append(
                (
                    [
                        classification.mean_average_precision(scores[:, usable], positive[:, usable]),
                        classification.macro_auroc(scores[:, usable], positive[:, usable]),
                    ],
                    [
                        sk.average_precision_score(positive[:, usable], scores[:, usable], average="macro"),
                        sk.roc_auc_score(positive[:, usable], scores[:, usable], average="macro"),
                    ],
                )
            )
        own = classification.label_ranking_precision(scores, positive).sum() / positive.sum()
        theirs = sk.label_ranking_average_precision_score(positive, scores, sample_weight=positive.sum(1))
        lwlraps.append((own, theirs))
    yield compare("classification-*-v1", "macro-F1", "scikit-learn", singles)
    yield compare("classification-*-v1", "confusion matrix", "scikit-learn", matrices)
    yield compare("classification-*-v1", "top-k", "scikit-learn", tops)
    yield compare("classification-*-v1", "calibration error", "scikit-learn's calibration curve", errors)
    yield compare("multi-label*-v1", "mAP, AUROC", "scikit-learn", several)
    yield compare("multi-label*-v1", "lwlrap", "scikit-learn", lwlraps)
    areas = draw.uniform(0.05, 0.95, number)
    gaps = [(classification.d_prime(area), stats.norm.isf(1 - area) * 2**0.5) for area in areas]
    yield compare("multi-label*-v1", "d-prime", "scipy", gaps)


def _calibration(confidence: np.ndarray, correct: np.ndarray) -> float:
    share, mean = calibration.calibration_curve(correct, confidence, n_bins=15, pos_label=True)
    sizes = np.histogram(confidence, np.linspace(0, 1, 16))[0]
    return float((np.abs(share - mean) * sizes[sizes > 0]).sum() / len(confidence))


def whole_sets(number: int) -> Iterator[Outcome]:
    """What the scorers make of likelihoods and similarities, in sets of 100 items and 6 classes."""
    draw = np.random.default_rng(22)
    options = tuple(f"class {one}" for one in range(6))
    singles, several = [], []
    for _ in range(max(1, number // _SIZE)):
        scores, right = draw.normal(size=(_SIZE, 6)), draw.integers(0, 6, _SIZE)
        scores[np.arange(_SIZE), right] += 0.8
        answers = [
            chosen(Item(str(n), (), "", options[one], n, options, int(one)), scores[n].tolist())
            for n, one in enumerate(right)
        ]
        found = figures("classification-sum-v1", answers)
        shares, said = special.softmax(scores, 1), scores.argmax(1)
        one_hot = np.eye(6, dtype=bool)[right]
        theirs = [
            sk.accuracy_score(right, said),
            sk.f1_score(right, said, average="macro"),
            sk.top_k_accuracy_score(right, scores, k=5),
            _calibration(shares.max(1), said == right),
            sk.roc_auc_score(right, shares, multi_class="ovr"),
            sk.average_precision_score(one_hot, shares, average="macro"),
        ]
        names = ("accuracy_sum", "macro_f1", "top_5", "calibration_error", "auroc", "mean_average_precision")
        singles.append(([found[name] for name in names], theirs))
        several.append(_several(draw, scores, options))
    yield compare("classification-sum-v1", "all figures of a set of 100", "scikit-learn", singles)
    yield compare("multi-label-similarity-v1", "all figures of a set of 100", "scikit-learn, scipy", several)


def _several(
    draw: np.random.Generator, scores: np.ndarray, options: tuple[str, ...]
) -> tuple[list[float], list[float]]:
    positive = draw.random(scores.shape) < 0.3
    positive[~positive.any(1), 0] = True
    answers = []
    for n, (row, own) in enumerate(zip(scores, positive, strict=True)):
        first, *others = map(int, np.flatnonzero(own))
        item = Item(str(n), (), "", options[first], n, options, first, also_right=frozenset(others))
        answers.append(LabelSetAnswer(item, [row.tolist()], [0.0] * 6, [1] * 6, are_likelihoods=False))
    found = figures("multi-label-similarity-v1", answers)
    area = sk.roc_auc_score(positive, scores, average="macro")
    theirs = [
        sk.average_precision_score(positive, scores, average="macro"),
        area,
        2**0.5 * stats.norm.isf(1 - area),
        sk.label_ranking_average_precision_score(positive, scores, sample_weight=positive.sum(1)),
    ]
    return [found[name] for name in ("mean_average_precision", "auroc", "d_prime", "lwlrap")], theirs
