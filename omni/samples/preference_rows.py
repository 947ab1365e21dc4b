"""Rows of preference data in the forms in use: the prompt apart or inside both answers; answers as text or as turns.

The conversational and plain forms of TRL's data sets (`prompt`, `chosen`, `rejected`; with or without an explicit
prompt) become one: `messages` holds the prompt, and `chosen` and `rejected` hold the answers to it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np


def is_preference_row(row: Mapping[str, Any]) -> bool:
    """Return whether a row without `messages` is a row of preference data."""
    return row.get("chosen") is not None


def split_prompt(row: Mapping[str, Any]) -> dict[str, Any]:
    """Split a row with `chosen` and perhaps `prompt` into the prompt, as `messages`, and the answers alone.

    Raises:
        ValueError: there is no prompt to be found.
    """
    rest = {key: value for key, value in row.items() if key not in ("prompt", "messages", "chosen", "rejected")}
    prompt = row.get("prompt")
    chosen: Any = row["chosen"]
    rejected: Any = row.get("rejected")
    if prompt is not None and len(prompt) > 0:
        turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [*prompt]
        return {**rest, "messages": turns, "chosen": chosen, "rejected": rejected}
    if not _is_list(chosen) or not _is_list(rejected):
        raise ValueError(
            "there is no 'prompt'; without one, 'chosen' and 'rejected' must both be whole conversations (lists of "
            "turns) that begin alike"
        )
    same = 0
    while same < min(len(chosen), len(rejected)) and _alike(chosen[same], rejected[same]):
        same += 1
    if same == 0:
        raise ValueError("there is no 'prompt', and the conversations 'chosen' and 'rejected' do not begin alike")
    return {**rest, "messages": [*chosen[:same]], "chosen": [*chosen[same:]], "rejected": [*rejected[same:]]}


def answer_turns(value: Any) -> list[Any]:
    """Return `chosen` or `rejected` as a list of turns; a text or a single message is the assistant's only turn.

    Raises:
        ValueError: it is something else, or empty.
    """
    if isinstance(value, str):
        return [{"role": "assistant", "content": value}]
    if isinstance(value, Mapping):
        return [value]
    if not _is_list(value) or len(value) == 0:
        raise ValueError(f"must be a text, an assistant's message or a list of turns, got {type(value).__name__}")
    return [*value]


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _alike(first: Any, second: Any) -> bool:
    return bool(first == second)
