"""Losses: of language models, and contrastive ones for joint spaces."""

from omni.losses.contrastive import CWCL, FILIP, InfoNCE, PairLoss, SetLoss, SigmoidLoss, Symile
from omni.losses.language_model import token_log_likelihoods

__all__ = ["CWCL", "FILIP", "InfoNCE", "PairLoss", "SetLoss", "SigmoidLoss", "Symile", "token_log_likelihoods"]
