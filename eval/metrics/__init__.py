"""Metrics of texts, choices and rankings. Each is a pure function; text normalisations have a version in their name."""

from eval.metrics.bleu import bleu_4
from eval.metrics.cider_d import CiderD
from eval.metrics.marked_options import marked_options, right_option
from eval.metrics.mmmu_open import mmmu_open_is_right
from eval.metrics.option_letters import parse_option, parse_option_lmms_eval, parse_option_vlmevalkit
from eval.metrics.refusal import is_refusal
from eval.metrics.rouge_l import rouge_l
from eval.metrics.text import words_v2
from eval.metrics.vqa import normalise_vqa_v2, vqa_accuracy
from eval.metrics.yes_no import parse_yes_no, parse_yes_no_exact, parse_yes_no_pope

__all__ = [
    "CiderD",
    "bleu_4",
    "is_refusal",
    "marked_options",
    "mmmu_open_is_right",
    "normalise_vqa_v2",
    "parse_option",
    "parse_option_lmms_eval",
    "parse_option_vlmevalkit",
    "parse_yes_no",
    "parse_yes_no_exact",
    "parse_yes_no_pope",
    "right_option",
    "rouge_l",
    "vqa_accuracy",
    "words_v2",
]
