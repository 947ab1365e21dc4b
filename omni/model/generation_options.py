"""The options of `OmniModel.generate`: what the caller gives, over the defaults, and how long each answer may be.

What the caller gives wins, by name before `generation_config`. An answer is greedy and has at most 64 tokens otherwise.
What the LLM's folder says (a temperature, a penalty on repetition) is used for sampling only: it would make greedy
answers something else. In either of both None means that the caller says nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import GenerationConfig

DEFAULT_NEW_TOKENS = 64

_LENGTHS = ("max_new_tokens", "max_length", "min_new_tokens", "min_length")
_TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
_KINDS_OF_OUTPUT = (
    "num_return_sequences",
    "return_dict_in_generate",
    "output_scores",
    "output_logits",
    "output_attentions",
    "output_hidden_states",
)
# What the folder of an LLM says of these is about other uses of it.
_NEVER_FROM_LLM = (*_LENGTHS, *_TOKEN_IDS, *_KINDS_OF_OUTPUT, "do_sample", "use_cache", "cache_implementation")
# What needs the token ids of the conversation, which media have none of, or another use of `generate`: the value with
# which each does nothing.
_WITHOUT_EFFECT = {
    "guidance_scale": 1.0,
    "encoder_repetition_penalty": 1.0,
    "encoder_no_repeat_ngram_size": 0,
    "prefill_chunk_size": None,
    "prompt_lookup_num_tokens": None,
    "is_assistant": False,
    "labels": None,
}
_MADE_HERE = ("inputs", "input_ids", "inputs_embeds", "attention_mask", "position_ids", "past_key_values")


@dataclass(frozen=True)
class GenerationOptions:
    """What transformers' `generate` is called with; the lengths, which it would count with pads, are apart.

    Attributes:
        values: options of transformers.
        max_new_tokens: the most tokens of an answer; None = `max_length` says so.
        max_length: the most tokens of a conversation and its answer, media tokens included.
        min_new_tokens: the fewest tokens of an answer.
        min_length: the fewest tokens of a conversation and its answer.
    """

    values: dict[str, Any]
    max_new_tokens: int | None = None
    max_length: int | None = None
    min_new_tokens: int | None = None
    min_length: int | None = None

    @property
    def counts_pads(self) -> bool:
        """Whether transformers would treat answers behind pads otherwise than those of a conversation alone.

        It takes the pads of a row for the first tokens of its answer, which a penalty on repetition passes over.
        """
        return self.values.get("repetition_penalty", 1.0) != 1.0

    def lengths(self, num_tokens: int, context_length: int) -> tuple[int, int]:
        """Return the fewest and the most tokens of an answer to a conversation of `num_tokens`.

        The LLM's context ends an answer in any case.

        Raises:
            ValueError: `max_length` leaves no room for an answer.
        """
        most = self.max_new_tokens
        if most is None:
            assert self.max_length is not None
            most = self.max_length - num_tokens
            if most < 1:
                raise ValueError(
                    f"max_length={self.max_length} leaves no room for an answer: it counts the conversation, which has "
                    f"{num_tokens} tokens, media included; raise it, or give max_new_tokens"
                )
        most = min(most, max(1, context_length - num_tokens))
        fewest = self.min_new_tokens
        if fewest is None:
            fewest = 0 if self.min_length is None else max(0, self.min_length - num_tokens)
        return min(fewest, most), most


def resolve_options(
    given: Mapping[str, Any], *, end_token_ids: Sequence[int], llm_defaults: GenerationConfig
) -> GenerationOptions:
    """Return the options that the caller's make with the defaults; see the module's text.

    Args:
        given: what the caller gives by name; `generation_config` may be a `GenerationConfig`.
        end_token_ids: the tokens that end an answer, unless the caller names others.
        llm_defaults: what the LLM's folder says.

    Raises:
        ValueError: something that makes no sense, or would give something else than one text an answer.
    """
    named = {name: value for name, value in given.items() if value is not None and name != "generation_config"}
    for name in _MADE_HERE:
        if name in named:
            raise ValueError(f"generate makes {name} of the conversations itself; leave it out")
    chosen = _of_config(given.get("generation_config"), llm_defaults)
    # a length given by name says how long; the other way to say it in the object does not count then
    for names in (_LENGTHS[:2], _LENGTHS[2:]):
        if any(name in named for name in names):
            chosen = {name: value for name, value in chosen.items() if name not in names}
    chosen |= named
    _check_output(chosen)
    lengths = {name: _length(name, chosen.pop(name)) for name in _LENGTHS if name in chosen}
    if not lengths.keys() & {*_LENGTHS[:2]}:
        lengths["max_new_tokens"] = DEFAULT_NEW_TOKENS
    values: dict[str, Any] = {"do_sample": False}
    values |= {"eos_token_id": list(end_token_ids), "pad_token_id": end_token_ids[0]}
    if chosen.get("do_sample"):
        values |= {name: value for name, value in _said(llm_defaults).items() if name not in _NEVER_FROM_LLM}
    return GenerationOptions(values | chosen, **lengths)


def _of_config(config: Any, llm_defaults: GenerationConfig) -> dict[str, Any]:
    if config is None:
        return {}
    if not isinstance(config, GenerationConfig):
        raise ValueError(f"generation_config must be a GenerationConfig of transformers, not {type(config).__name__}")
    found = _said(config)
    # A config that was read from the LLM's folder names the LLM's own end tokens; that is no wish to stop at no others.
    if all(found.get(name) == getattr(llm_defaults, name) for name in ("eos_token_id", "pad_token_id")):
        found = {name: value for name, value in found.items() if name not in _TOKEN_IDS}
    return found


def _said(config: GenerationConfig) -> dict[str, Any]:
    """What a config says; not which version of transformers wrote it."""
    names = [name for name in config.to_dict() if name != "transformers_version" and not name.startswith("_")]
    found = {name: getattr(config, name, None) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _check_output(options: Mapping[str, Any]) -> None:
    for name, neutral in _WITHOUT_EFFECT.items():
        if options.get(name, neutral) not in (neutral, None):
            raise ValueError(
                f"{name}={options[name]!r} cannot work here: a conversation with media is given as embeddings, not as "
                "token ids; leave it out"
            )
    num_beams = options.get("num_beams", 1)
    if isinstance(num_beams, bool) or not isinstance(num_beams, int | np.integer) or num_beams < 1:
        raise ValueError(f"num_beams must be a whole number from 1 on, not {num_beams!r}")
    if options.get("num_return_sequences", 1) != 1 or options.get("return_dict_in_generate"):
        raise ValueError(
            "generate gives one text for each conversation, so num_return_sequences must be 1 and "
            "return_dict_in_generate off; for several answers give the same conversation several times"
        )


def _length(name: str, value: Any) -> int:
    least = 1 if name.startswith("max") else 0
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number from {least} on, not {value!r}")
    return int(value)
