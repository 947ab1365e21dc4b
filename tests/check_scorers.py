"""`python -m tests.check_scorers`: compare scorers with their references on at least 1,000 generated cases each.

A reference is a library (scikit-learn, jiwer, scipy), figures that Java tools made (tests/golden/captions.json.gz), or
the rule restated here from its description, in another way than in `eval`. Where `pycocoevalcap` and `java` are there,
METEOR is compared too. The exit status is 1 if a difference is above what rounding explains.
"""

import argparse
import gzip
import json
import random
import re
import string
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jiwer
import numpy as np
from scipy import stats
from sklearn import metrics as sk
from whisper_normalizer.english import EnglishTextNormalizer

from eval.items.item import Item
from eval.metrics import binary, classification, parse_yes_no_exact, parse_yes_no_pope, ranking, vqa_accuracy
from eval.metrics.cider_d import CiderD
from eval.metrics.coco_captions import bleu_counts, rouge_words_ptb, split_words_ptb
from eval.metrics.meteor import Meteor, meteor_of, why_not
from eval.metrics.penn_treebank import words_ptb
from eval.metrics.rouge_l import rouge_l
from eval.metrics.transcription import character_errors, normalise_whisper_english, word_errors
from eval.scorers import SCORERS, ChoiceAnswer, WrittenAnswer
from tests.golden_numbers import FOLDER

TOLERANCE = 1e-9


class Outcome(NamedTuple):
    """One line of the table."""

    scorer: str
    figure: str
    reference: str
    cases: int
    largest: float


def compare(
    scorer: str, figure: str, reference: str, pairs: Iterator[tuple[Any, Any]] | Sequence[tuple[Any, Any]]
) -> Outcome:
    """Return the number of cases and the largest difference between pairs of ours and theirs (or of equal or not)."""
    largest, cases = 0.0, 0
    for own, theirs in pairs:
        own, theirs = np.asarray(own, float), np.asarray(theirs, float)
        both_missing = np.isnan(own) & np.isnan(theirs)
        gap = np.where(both_missing, 0.0, np.abs(own - theirs))
        largest = max(largest, float(np.nanmax(gap, initial=0.0)), float("inf") if np.isnan(gap).any() else 0.0)
        cases += 1
    return Outcome(scorer, figure, reference, cases, largest)


def captions() -> Iterator[Outcome]:
    """Words and caption metrics against `pycocoevalcap`'s Java tools."""
    golden = json.loads(gzip.decompress((FOLDER / "captions.json.gz").read_bytes()))
    name, tool = "caption-coco-v1", "pycocoevalcap 1.2"
    words = (
        (" ".join(words_ptb(text)) != said, 0) for text, said in zip(golden["texts"], golden["words"], strict=True)
    )
    yield compare(name, "words", f"{tool} (Java)", words)
    rows, single, whole = golden["items"], golden["scores"]["single"], golden["scores"]["whole"]
    references = [row["references"] for row in rows]
    texts = [row["text"] for row in rows]
    cider = CiderD(references, split_words_ptb)
    own = [cider.score(text, refs) for text, refs in zip(texts, references, strict=True)]
    yield compare(name, "CIDEr-D of an item", tool, zip(own, single["cider_d"], strict=True))
    own = [rouge_l(text, refs, rouge_words_ptb) for text, refs in zip(texts, references, strict=True)]
    yield compare(name, "ROUGE-L of an item", tool, zip(own, single["rouge_l"], strict=True))
    counts = bleu_counts(texts, references)
    blocks = [np.arange(index, index + 1) for index in range(len(texts))]
    yield compare(name, "BLEU-1..4 of an item", tool, zip(map(counts.bleu, blocks), single["bleu"], strict=True))
    everything = np.arange(len(texts))
    theirs = [whole[f"bleu_{order}"] for order in range(1, 5)]
    yield compare(name, "BLEU-1..4 of the set", tool, [(counts.bleu(everything), theirs)])
    if reason := why_not():
        print(f"METEOR not compared: {reason}", file=sys.stderr)
        return
    with Meteor() as program:
        lines = [
            program.statistics(words_ptb(text), [words_ptb(one) for one in refs])
            for text, refs in zip(texts, references, strict=True)
        ]
        total, each = program.scores(lines)
    rows = np.array([[float(number) for number in line.split()] for line in lines])
    yield compare(name, "METEOR of an item", tool, zip(each, single["meteor"], strict=True))
    ours = [(meteor_of(rows[n : n + 1]), value) for n, value in enumerate(each)]
    yield compare(name, "METEOR's formula for intervals", "its program", [*ours, (meteor_of(rows), total)])


VQA_WORDS = """
yes no two three none zero ten a an the A The dont don't isnt cant frog frogs red blue left. right, 1,000 1,2 3.5 3. .5
10:30 u.s. U.S. t-shirt x-ray (b) "no" it's lets oclock 5% $5 and/or man's youre hes whats ? ! ; @ vitamin hot-dog 2
"""
# The list of the published code, which only holds what it mends.
MENDED = {"dont": "don't", "isnt": "isn't", "cant": "can't", "oclock": "o'clock", "youre": "you're", "whats": "what's"}


def official_vqa(answer: str) -> str:
    """The published processing of an answer, restated from its description; for answers that keep something."""
    answer = answer.replace("\n", " ").replace("\t", " ").strip()
    out = answer
    comma = re.search(r"(\d)(,)(\d)", answer) is not None
    for mark in [
        ";",
        "/",
        "[",
        "]",
        '"',
        "{",
        "}",
        "(",
        ")",
        "=",
        "+",
        "\\",
        "_",
        "-",
        ">",
        "<",
        "@",
        "`",
        ",",
        "?",
        "!",
    ]:
        out = out.replace(mark, "" if (mark + " " in answer or " " + mark in answer) or comma else " ")
    for _ in range(32):  # the flag re.UNICODE, passed as a count
        out = re.sub(r"(?!<=\d)(\.)(?!\d)", "", out, count=1)
    numbers = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    digits = {word: str(value) for value, word in enumerate(numbers)} | {"none": "0"}
    words = [digits.get(word, word) for word in out.lower().split()]
    return " ".join(MENDED.get(word, word) for word in words if word not in ("a", "an", "the"))


def _short_answers(number: int, seed: int) -> list[str]:
    draw, words = random.Random(seed), VQA_WORDS.split()
    found = []
    while len(found) < number:
        text = " ".join(draw.choice(words) for _ in range(draw.randint(1, 4)))
        if official_vqa(text):
            found.append(text)
    return found


def short_answers() -> Iterator[Outcome]:
    """Short answers against the rules restated."""
    draw = random.Random(1)
    texts = _short_answers(3000, 0)
    pool = [[draw.choice(texts[:40]) for _ in range(10)] for _ in range(1500)]
    said = [draw.choice([*own, draw.choice(texts)]) for own in pool]

    def leave_one_out(answer: str, own: Sequence[str]) -> float:
        answer, own = official_vqa(answer), [official_vqa(one) for one in own]
        shares = [min(1, (own[:left] + own[left + 1 :]).count(answer) / 3) for left in range(len(own))]
        return sum(shares) / len(shares)

    rule = "rule of the VQA code, restated"
    pairs = [(vqa_accuracy(text, own), leave_one_out(text, own)) for text, own in zip(said, pool, strict=True)]
    yield compare("vqa-accuracy-v1", "accuracy", rule, pairs)
    yield compare("exact-match-v2", "equal or not", rule, _matches("exact-match-v2", texts, official_vqa))
    table = str.maketrans(dict.fromkeys(string.punctuation))
    gqa = _matches("exact-match-gqa-v1", texts, lambda text: text.lower().translate(table).strip())
    yield compare("exact-match-gqa-v1", "equal or not", "rule of lmms-eval, restated", gqa)
    # what the clean form must not tell apart, and what it must: by construction of the pair
    same = [(_match("exact-match-clean-v1", text, f" {text.upper()} . "), 1) for text in texts if text[-1].isalnum()]
    other = [(_match("exact-match-clean-v1", text, f"{text} thing"), 0) for text in texts]
    yield compare("exact-match-clean-v1", "equal by construction", "pairs made so", same + other)


def _match(scorer: str, text: str, reference: str) -> float:
    answer = WrittenAnswer(Item("one", (), "", reference, 0), text)
    return SCORERS[scorer].score([answer], condition="own", seed=0).items[0].value


def _matches(scorer: str, texts: Sequence[str], normalise: Callable[[str], str]) -> Iterator[tuple[float, float]]:
    draw = random.Random(2)
    for text in texts[:1500]:
        reference = draw.choice([text.lower(), text + ".", text.replace("-", " "), draw.choice(texts)])
        if normalise(reference):
            yield _match(scorer, text, reference), float(normalise(text) == normalise(reference))


def yes_and_no() -> Iterator[Outcome]:
    """POPE's and lmms-eval's reading restated, and the figures by scikit-learn."""
    draw = random.Random(3)
    words = ["yes", "no", "Yes", "No", "NO", "not", "there", "is", "a", "dog", ".", ",", "Yes.", "no,", "nothing", "I"]
    texts = [" ".join(draw.choice(words) for _ in range(draw.randint(1, 6))) for _ in range(1500)]

    def pope(text: str) -> bool:
        first = text.split(".")[0] if "." in text else text
        parts = first.replace(",", "").split(" ")
        return not ("No" in parts or "not" in parts or "no" in parts)

    yield compare(
        "yes-no-pope-v1", "yes or not", "rule of POPE, restated", [(parse_yes_no_pope(t), pope(t)) for t in texts]
    )
    exact = [(parse_yes_no_exact(t) is True, t.lower().strip() == "yes") for t in texts]
    yield compare("yes-no-exact-v1", "yes or not", "rule of lmms-eval, restated", exact)
    pairs = []
    for seed in range(1000):
        draw = random.Random(seed)
        right = [draw.random() < 0.5 for _ in range(8)]
        said = [draw.random() < 0.6 for _ in range(8)]
        theirs = sk.precision_recall_fscore_support(right, said, average="binary", zero_division=0)[:3]
        arrays = np.array(said), np.array(right)
        pairs.append(([binary.precision(*arrays), binary.recall(*arrays), binary.f1(*arrays)], theirs))
    yield compare("yes-no-v1", "precision, recall, F1", "scikit-learn", pairs)


def _quick(scorer: str, answers: Sequence[Any]) -> dict[str, float]:
    return {name: one.value for name, one in SCORERS[scorer].score(answers, condition="own", seed=0).estimates.items()}


def classes() -> Iterator[Outcome]:
    """Figures of classification and of several labels against scikit-learn."""
    draw = np.random.default_rng(4)
    singles, several, lwlraps, errors, tops, matrices = [], [], [], [], [], []
    for _ in range(1000):
        number, classes = int(draw.integers(6, 20)), int(draw.integers(3, 8))
        scores = draw.dirichlet(np.ones(classes), number)
        right = draw.integers(0, classes, number)
        said = scores.argmax(1)
        first = classification.first_places(scores)
        matrix = classification.confusion_matrix(first, right)
        matrices.append((matrix, sk.confusion_matrix(right, said, labels=range(classes))))
        singles.append((classification.macro_f1(matrix), sk.f1_score(right, said, average="macro")))
        k = int(draw.integers(1, classes))
        theirs = sk.top_k_accuracy_score(right, scores, k=k, labels=range(classes))
        tops.append((classification.top_k(scores, right, k).mean(), theirs))
        errors.append(
            (
                classification.expected_calibration_error(scores.max(1), (said == right).astype(float)),
                _calibration(scores.max(1), said == right),
            )
        )
        positive = draw.random((number, classes)) < 0.4
        positive[np.arange(number), right] = True
        positive[0] = False
        positive[0, 0] = True
        usable = [c for c in range(classes) if 0 < positive[:, c].sum() < number]
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
    yield compare("classification-*-v1", "calibration error", "equation 3 of Guo et al., restated", errors)
    yield compare("multi-label-v1", "mAP, AUROC", "scikit-learn", several)
    yield compare("multi-label-v1", "lwlrap", "scikit-learn", lwlraps)
    areas = draw.uniform(0.05, 0.95, 1000)
    gaps = [(classification.d_prime(area), stats.norm.isf(1 - area) * 2**0.5) for area in areas]
    yield compare("multi-label-v1", "d-prime", "scipy", gaps)


def _calibration(confidence: np.ndarray, correct: np.ndarray) -> float:
    total = 0.0
    for bin_number in range(15):
        inside = (confidence > bin_number / 15) & (confidence <= (bin_number + 1) / 15)
        if inside.any():
            total += inside.sum() / len(confidence) * abs(correct[inside].mean() - confidence[inside].mean())
    return total


def transcriptions() -> Iterator[Outcome]:
    """Word and character error rates against jiwer, after Whisper's own normaliser."""
    draw = random.Random(5)
    words = ["the", "cat", "isn't", "colour", "twenty", "five", "uh", "um", "Mr.", "Smith", "won't", "£5", "two"]
    words += ["hundred", "grey", "[noise]", "hello,", "world", "go", "going"]
    normalise = EnglishTextNormalizer()
    pairs = []
    while len(pairs) < 1000:
        reference = " ".join(draw.choice(words) for _ in range(draw.randint(2, 12)))
        text = " ".join(word for word in reference.split() if draw.random() < 0.8) or draw.choice(words)
        if not normalise(reference).strip():
            continue
        plain = [" ".join(normalise(one).split()) for one in (reference, text)]
        own = [normalise_whisper_english(one) for one in (text, reference)]
        errors = [word_errors(*own), character_errors(*own)]
        pairs.append(([one.edits / one.length for one in errors], [jiwer.wer(*plain), jiwer.cer(*plain)]))
    yield compare("transcription-english-v1", "WER, CER", "jiwer", pairs)


def retrieval() -> Iterator[Outcome]:
    """Ranks and nDCG against scikit-learn, and against a sorted list."""
    draw = np.random.default_rng(6)
    gains, ranks = [], []
    for _ in range(1000):
        queries, targets = int(draw.integers(1, 6)), int(draw.integers(2, 20))
        scores, right = draw.random((queries, targets)), draw.random((queries, targets)) < 0.3
        right[:, 0] |= ~right.any(1)
        gains.append((ranking.ndcg(scores, right).mean(), sk.ndcg_score(right, scores, k=10)))
        found = ranking.first_right_ranks(scores, right)
        places = [1 + [bool(right[q, t]) for t in np.argsort(-scores[q])].index(True) for q in range(queries)]
        own = [ranking.recall_at(found, 5).mean(), ranking.reciprocal_ranks(found).mean(), ranking.median_rank(found)]
        theirs = [np.mean([p <= 5 for p in places]), np.mean([1 / p for p in places]), np.median(places)]
        ranks.append((own, theirs))
    yield compare("eval.retrieval", "nDCG@10", "scikit-learn", gains)
    yield compare("eval.retrieval", "R@5, MRR, median rank", "sorted lists", ranks)


def choices() -> Iterator[Outcome]:
    """Choices, restated."""
    draw = np.random.default_rng(7)
    pairs = []
    for number in range(1000):
        options = tuple(f"{'x' * int(draw.integers(1, 9))}{n}" for n in range(int(draw.integers(2, 8))))
        total, base = draw.normal(size=len(options)), draw.normal(size=len(options))
        tokens = draw.integers(1, 9, len(options))
        right = int(draw.integers(len(options)))
        item = Item(str(number), (), "", options[right], number, options, right)
        answer = ChoiceAnswer(item, [total.tolist()], base.tolist(), tokens.tolist())
        found = _quick("choice-pmi-v1", [answer])
        lengths = np.array([len(option.encode()) for option in options])
        theirs = [(total / by + less).argmax() == right for by, less in ((1, 0), (tokens, 0), (lengths, 0), (1, -base))]
        pairs.append(([found[f"accuracy_{name}"] for name in ("sum", "mean", "bytes", "pmi")], theirs))
    yield compare("choice-{sum,mean,bytes,pmi}-v1", "accuracy", "argmax, restated", pairs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line a scorer; return 1 if a difference is above the tolerance."""
    summary = "Compare scorers with their references on at least 1,000 generated cases each."
    argparse.ArgumentParser(prog="python -m tests.check_scorers", description=summary).parse_args(arguments)
    warnings.filterwarnings("ignore")
    parts = (captions, short_answers, yes_and_no, classes, transcriptions, retrieval, choices)
    found = [outcome for part in parts for outcome in part()]
    print(f"{'scorer':<31} {'figure':<50} {'reference':<36} {'cases':>6} {'largest difference':>18}")
    for one in found:
        print(f"{one.scorer:<31} {one.figure:<50} {one.reference:<36} {one.cases:>6} {one.largest:>18.1e}")
    return int(any(one.largest > TOLERANCE for one in found))


if __name__ == "__main__":
    sys.exit(main())
