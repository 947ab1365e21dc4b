"""Preference tuning: the model learns to prefer one answer to another, without leaving the model it began as.

Shapes: B pairs.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omni.model import OmniModel
from omni.model.batch import Example
from omni.samples.messages import Sample
from train.objectives.base import ModelKind
from train.objectives.pairs import PairLogLikelihoods, pair_log_likelihoods, prepare_pair
from train.objectives.reference import ReferenceWeights

PreferenceLoss = Literal["sigmoid", "ipo", "hinge"]


class PreferenceObjective(nn.Module):
    """Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290) on `chosen` and `rejected` answers.

    With h = log(p(chosen) / p_ref(chosen)) - log(p(rejected) / p_ref(rejected)), the mean over all pairs of a step of

    - sigmoid: -log sigmoid(beta h), equation 7 there; with label_smoothing e, that a share e of the labels is wrong:
      -(1 - e) log sigmoid(beta h) - e log sigmoid(-beta h) (Mitchell 2023, conservative DPO);
    - ipo: (h - 1 / (2 beta))^2 (Azar et al. 2023, arXiv 2310.12036, equation 17);
    - hinge: max(0, 1 - beta h) (SLiC, Zhao et al. 2023, arXiv 2305.10425, with the reference as in DPO).

    The reference is the model with the weights that the run began with, without dropout (`ReferenceWeights`).

    Args:
        beta: how strongly differences from the reference count; higher stays closer to it.
        loss: one of the above.
        label_smoothing: e above, for sigmoid only; at least 0 and below 0.5.
        length_normalized: log-likelihoods per answer token, so that long answers do not count more (usual for ipo).
    """

    trains: ClassVar[ModelKind] = "llm"

    def __init__(
        self,
        beta: float = 0.1,
        loss: PreferenceLoss = "sigmoid",
        label_smoothing: float = 0.0,
        length_normalized: bool = False,
    ) -> None:
        super().__init__()
        key = "objective.init_args"
        if not 0 < beta < float("inf"):
            raise ValueError(f"{key}.beta must be above 0, not {beta}")
        if loss not in get_args(PreferenceLoss):
            raise ValueError(f"{key}.loss must be one of {', '.join(get_args(PreferenceLoss))}, not {loss!r}")
        if not 0 <= label_smoothing < 0.5:
            raise ValueError(f"{key}.label_smoothing must be at least 0 and below 0.5, not {label_smoothing}")
        if label_smoothing and loss != "sigmoid":
            raise ValueError(f"{key}.label_smoothing belongs to the loss sigmoid; {loss} has none")
        self.beta = beta
        self.loss: PreferenceLoss = loss
        self.label_smoothing = label_smoothing
        self.length_normalized = length_normalized
        self.reference: ReferenceWeights | None = None
        self.num_samples = 1

    def begin_run(self, model: OmniModel) -> None:
        """Keep the reference."""
        self.reference = ReferenceWeights(model)

    def begin_step(self, num_samples: int) -> None:
        """Take note of the number of pairs that the loss is the mean over."""
        self.num_samples = num_samples

    def prepare(self, model: OmniModel, sample: Sample) -> Example:
        """See `train.objectives.SampleObjective` and `prepare_pair`."""
        return prepare_pair(model, sample)

    def forward(
        self, model: OmniModel, batch: Sequence[Example], num_answer_tokens: int, *, packed: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `train.objectives.Objective`; the loss is divided by the pairs of the step, not by its answer tokens.

        Metrics, means over the pairs of the step: `reward_chosen` and `reward_rejected` (beta times the log-ratio to
        the reference, in nats), `reward_margin` (their difference) and `reward_accuracy` (share of pairs in which the
        chosen answer's reward is the higher one).
        """
        if self.reference is None:
            raise ValueError("PreferenceObjective has no reference: call begin_run(model) before the first step")
        if not any(encoder.is_trained for encoder in (model.modality(name).encoder for name in model.modalities)):
            batch = model.encode_media(batch)  # once, for the reference too
        with self.reference.in_place(model):
            reference = pair_log_likelihoods(model, batch, packed=packed)
        policy = pair_log_likelihoods(model, batch, packed=packed)
        chosen, rejected = self._log_ratios(policy, reference)
        losses = preference_losses(chosen - rejected, self.beta, self.loss, self.label_smoothing)
        rewards = {"chosen": self.beta * chosen.detach(), "rejected": self.beta * rejected.detach()}
        margin = rewards["chosen"] - rewards["rejected"]
        metrics = {**rewards, "margin": margin, "accuracy": (margin > 0).float()}
        found = {f"reward_{name}": values.sum() / self.num_samples for name, values in metrics.items()}
        return losses.sum() / self.num_samples, found

    def _log_ratios(self, policy: PairLogLikelihoods, reference: PairLogLikelihoods) -> tuple[Tensor, Tensor]:
        """log(p / p_ref) in nats of chosen and rejected answers, [B] each; per token if `length_normalized`."""
        chosen, rejected = policy.chosen - reference.chosen, policy.rejected - reference.rejected
        if self.length_normalized:
            return chosen / policy.chosen_tokens, rejected / policy.rejected_tokens
        return chosen, rejected


def preference_losses(difference: Tensor, beta: float, loss: PreferenceLoss, label_smoothing: float = 0.0) -> Tensor:
    """The loss of each pair from the difference h of its log-ratios, [B] -> [B]; see `PreferenceObjective`."""
    if loss == "ipo":
        return (difference - 1 / (2 * beta)) ** 2
    if loss == "hinge":
        return torch.relu(1 - beta * difference)
    right, wrong = F.logsigmoid(beta * difference), F.logsigmoid(-beta * difference)
    return -(1 - label_smoothing) * right - label_smoothing * wrong
