"""Metrics on texts. Each is a pure function; text normalisations carry a name and a version (see `text.py`)."""

from eval.metrics.bleu import bleu_4
from eval.metrics.cider_d import CiderD
from eval.metrics.rouge_l import rouge_l
from eval.metrics.text import normalise_vqa_v1, words_v1
from eval.metrics.vqa import vqa_accuracy

__all__ = ["CiderD", "bleu_4", "normalise_vqa_v1", "rouge_l", "vqa_accuracy", "words_v1"]
