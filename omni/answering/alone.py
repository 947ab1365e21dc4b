"""Answers one conversation through transformers' `generate`, for what cannot be in a running batch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from omni.answering.choosing import Chosen, choose
from omni.answering.row import Row
from omni.model import OmniModel
from omni.model.inference import generate_rows


class _EndedError(Exception):
    """Unwinds the generation of an answer that has ended."""


class _ChoosingTokens(LogitsProcessor):
    """Leaves `generate` one token to choose, after it was handed over."""

    def __init__(self, row: Row, poll: Callable[[], None]) -> None:
        self._row = row
        self._poll = poll

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self._poll()
        _end_if_interrupted(self._row)
        (chosen,) = choose(scores, [self._row.chooser])
        self._row.take(chosen)
        if chosen is None or self._row.ended is not None:
            raise _EndedError
        only = torch.full_like(scores, -torch.inf)
        only[0, chosen.token_id] = 0
        return only


class _Interruptions(StoppingCriteria):
    """Ends a beam search whose answer nobody waits for any more."""

    def __init__(self, row: Row, poll: Callable[[], None]) -> None:
        self._row = row
        self._poll = poll

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Any:
        self._poll()
        _end_if_interrupted(self._row)
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def _end_if_interrupted(row: Row) -> None:
    reason = row.interruption()
    if reason is not None:
        row.finish(reason)
        raise _EndedError


@torch.no_grad()
def answer_alone(model: OmniModel, row: Row, poll: Callable[[], None]) -> None:
    """Answer a conversation to its end.

    The caller sees to it that its LoRAs are on. `poll` is called at each token.
    """
    end = row.prompt.length + row.limits.most - 1
    options = {
        "max_new_tokens": row.limits.most,
        "do_sample": False,
        "eos_token_id": [*row.end_token_ids],
        "pad_token_id": row.end_token_ids[0],
    }
    try:
        if row.sampling.num_beams == 1:
            options["logits_processor"] = LogitsProcessorList([_ChoosingTokens(row, poll)])
            generate_rows(model, [row.prompt.embedded], end, **options)
            return
        options |= {
            "num_beams": row.sampling.num_beams,
            "min_new_tokens": min(row.sampling.min_new_tokens, row.limits.most),
            "repetition_penalty": row.sampling.repetition_penalty,
            "stopping_criteria": StoppingCriteriaList([_Interruptions(row, poll)]),
        }
        for token_id in generate_rows(model, [row.prompt.embedded], end, **options)[0].tolist():
            row.take(Chosen(token_id))
            if row.ended is not None:
                return
    except _EndedError:
        pass
