"""Metrics on texts. Each is a pure function; text normalisations carry a version in their name."""

from eval.metrics.bleu import bleu_4
from eval.metrics.cider_d import CiderD
from eval.metrics.rouge_l import rouge_l
from eval.metrics.text import words_v2
from eval.metrics.vqa import normalise_vqa_v2, vqa_accuracy

__all__ = ["CiderD", "bleu_4", "normalise_vqa_v2", "rouge_l", "vqa_accuracy", "words_v2"]
