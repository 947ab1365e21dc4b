"""Which of the models that an engine serves computes what our LLM does, with which of its LoRAs; found by asking them.

A name or a path says little: the engine may run on another machine, or have loaded another version. So every model that
it serves is given a short text, and the likelihoods of the next token are compared with ours: first as token ids, which
any LLM takes, and of those that are ours as embeddings, since embeddings of another width could end the engine.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch

from omni.answering.engine.client import EngineError, EngineModel, VLLMClient, encode_embeddings
from omni.llm.language_model import SHARED_LORA
from omni.model import OmniModel

_NUM_COMPARED = 20  # the most likelihoods that vLLM gives unless told otherwise
_MOST_COMBINED = 4  # LoRAs of which every combination is tried
# Nats. In float32 the two differ by some 1e-4; in 16 bits, kernels round in another order.
_LARGEST_DIFFERENCE = {torch.float32: 0.01, torch.float16: 0.1, torch.bfloat16: 0.25}


@dataclass(frozen=True)
class Probe:
    """A short text, and what each set of LoRAs makes of it.

    Attributes:
        token_ids: of the text.
        embeds: of the same tokens, as the engine takes them.
        likelihoods: set of LoRAs -> the log-likelihood in nats of each next token.
        largest: difference that rounding explains.
    """

    token_ids: list[int]
    embeds: str
    likelihoods: dict[frozenset[str], list[float]]
    largest: float


@dataclass(frozen=True)
class ServedLLM:
    """What an engine serves of our LLM.

    Attributes:
        names: set of LoRAs -> the name under which the engine serves the LLM with them.
        max_length: the most tokens of a conversation with its answer; None = not stated.
    """

    names: dict[frozenset[str], str]
    max_length: int | None


@torch.no_grad()
def make_probe(model: OmniModel) -> Probe:
    """Return what an engine is asked, with our answers."""
    example = model.prepare([{"role": "user", "content": [{"type": "text", "text": "Name a colour, and an animal."}]}])
    (embedded,) = model.embed_examples([example])
    llm, found = model.llm, {}
    before = llm.lora_names()
    try:
        for names in lora_sets(before):
            llm.activate_lora(names)
            logits = llm(embedded.embeds[None], 1, use_cache=False).logits[0, -1].float()
            found[names] = logits.log_softmax(-1).tolist()
    finally:
        llm.activate_lora(before)
    return Probe(example.token_ids.tolist(), encode_embeddings(embedded.embeds), found, _LARGEST_DIFFERENCE[llm.dtype])


def lora_sets(names: Collection[str]) -> list[frozenset[str]]:
    """Return the sets of LoRAs that conversations may use; of many LoRAs, only those of one, and of all."""
    apart = sorted({*names} - {SHARED_LORA})
    always = frozenset(names) & {SHARED_LORA}
    counts = range(len(apart) + 1) if len(apart) <= _MOST_COMBINED else (0, 1, len(apart))
    return [always | {*chosen} for count in counts for chosen in combinations(apart, count)]


async def find_served(client: VLLMClient, probe: Probe) -> ServedLLM:
    """Ask every model of an engine, and return which of them are ours.

    Raises:
        EngineError: none is, or the engine cannot be asked.
    """
    models = await client.models()
    names: dict[frozenset[str], str] = {}
    closest: dict[frozenset[str], float] = {}
    for one in models:
        given = await _likelihoods(client, one.name, {"prompt": probe.token_ids})
        if any(_difference(given, expected) < probe.largest for expected in probe.likelihoods.values()):
            given = await _likelihoods(client, one.name, {"prompt_embeds": probe.embeds})
        for loras, expected in probe.likelihoods.items():
            difference = _difference(given, expected)
            if difference < closest.get(loras, probe.largest):
                names[loras], closest[loras] = one.name, difference
    if not names:
        served = ", ".join(one.name for one in models) or "nothing"
        raise EngineError(
            f"the engine at {client.url} serves {served}, and none of it computes what the model's LLM does: serve the "
            "LLM that the model was trained with, with its LoRA (--enable-lora --lora-modules NAME=DIR/lora), or what "
            "`python -m omni export merged-llm` writes, in the same --dtype"
        )
    return ServedLLM(names, _max_length(models))


def _difference(given: Sequence[tuple[int, float]], expected: Sequence[float]) -> float:
    """The largest difference of log-likelihoods."""
    far = float("inf")
    return max((abs(value - expected[token]) if token < len(expected) else far for token, value in given), default=far)


async def _likelihoods(client: VLLMClient, name: str, prompt: Mapping[str, Any]) -> Sequence[tuple[int, float]]:
    """Log-likelihoods in nats of the most likely next tokens, by token."""
    body: dict[str, Any] = {
        "model": name,
        **prompt,
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": _NUM_COMPARED,
        "return_tokens_as_token_ids": True,
    }
    answer = await client.complete(body)
    try:
        (top,) = answer["choices"][0]["logprobs"]["top_logprobs"]
        return [(int(token.removeprefix("token_id:")), value) for token, value in top.items()]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise EngineError(f"the engine at {client.url} does not answer as vLLM does ({error!r})") from error


def _max_length(models: Sequence[EngineModel]) -> int | None:
    return min((one.max_length for one in models if one.max_length is not None), default=None)
