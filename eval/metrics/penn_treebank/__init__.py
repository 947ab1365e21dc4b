"""The words of an English caption by the rules of the Penn Treebank, as `pycocoevalcap` has them."""

from eval.metrics.penn_treebank.words import words_ptb

__all__ = ["words_ptb"]
