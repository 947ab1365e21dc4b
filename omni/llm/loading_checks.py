"""What is checked of an LLM when it is loaded: nothing is trained on, or asked of, what cannot give right answers.

Nothing is concluded from an architecture's name where a few tokens can tell.
"""

import logging
from collections.abc import Collection
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from omni.llm.language_model import LanguageModel
from omni.llm.pretrained_lm import PretrainedLM
from omni.llm.trials import UNSUPPORTED, close

logger = logging.getLogger(__name__)

_NUM_TOKENS = 6
_NUM_NAMED = 5


def check_architecture(name: str, config: Any) -> None:
    """Raise ValueError for an encoder-decoder, whose decoder says nothing sensible without its encoder."""
    if getattr(config, "is_encoder_decoder", False):
        raise ValueError(
            f"model.llm.name: {name!r} is an encoder-decoder ({config.model_type}); an LLM here is a causal language "
            "model, such as Llama, Qwen or Gemma"
        )


def check_weights(name: str, model: nn.Module, missing: Collection[str]) -> None:
    """Raise ValueError if the files lack weights of the LLM, which transformers would make up at random."""
    lacking = sorted({*missing} & {found for found, _ in model.named_parameters(remove_duplicate=False)})
    if lacking:
        more = f" and {len(lacking) - _NUM_NAMED} more" if len(lacking) > _NUM_NAMED else ""
        raise ValueError(
            f"the LLM in {name} lacks the weights {', '.join(lacking[:_NUM_NAMED])}{more}: it is damaged, or not the "
            "whole of a causal language model; download it again, or name another one"
        )


def check_vocabulary(name: str, tokenizer: PreTrainedTokenizerBase, num_embeddings: int) -> None:
    """Raise ValueError if the tokenizer makes tokens of text that the LLM has no embedding for.

    Tokens that were added to it may have none: they are refused where they occur (`PretrainedLM.check_tokens`).
    """
    added = tokenizer.added_tokens_decoder
    largest = max((token_id for token_id in tokenizer.get_vocab().values() if token_id not in added), default=0)
    if largest >= num_embeddings:
        raise ValueError(
            f"the tokenizer of {name} makes token ids up to {largest}, but the LLM has embeddings for {num_embeddings} "
            "tokens: they do not belong together; take both from one place"
        )


@torch.no_grad()
def try_language_model(llm: PretrainedLM) -> None:
    """Run the LLM on a few embeddings: it must run, and see no later token.

    What it leaves out of the arguments of its calls, and whether it counts positions otherwise, is noted in it.

    Raises:
        ValueError: it cannot be used, and why.
    """
    if llm.config.attention == "flash_attention_2" and llm.device.type == "cpu":
        return  # flash-attn takes nothing there
    name, model, embeds = llm.config.name, llm.model, llm.sample_embeddings(_NUM_TOKENS)
    changed = torch.cat([embeds[:-1], embeds[:1]])
    positions = torch.arange(_NUM_TOKENS, device=embeds.device)[None]
    try:
        alone = _logits(model, embeds)
        other = _logits(model, changed, position_ids=positions)
        kept = _logits(model, embeds, logits_to_keep=1)
    except UNSUPPORTED as error:
        raise ValueError(
            f"model.llm.name: {name!r} does not run on embeddings in place of token ids, which media need: {error}"
        ) from error
    if bool((alone.isnan() | alone.isposinf()).any()):
        raise ValueError(
            f"model.llm.name: {name!r} in {llm.config.dtype} gives logits that are no numbers for a few tokens: its "
            "weights are damaged, or it needs dtype: bfloat16 or float32"
        )
    llm.keeps_logits = len(kept) == 1
    _ = llm.context_length  # found by a run
    if not close(other[:-1], alone[:-1]):
        if not close(_logits(model, changed)[:-1], alone[:-1]):
            raise ValueError(
                f"model.llm.name: {name!r} is no causal language model: its tokens see later ones, as in an encoder "
                "(BERT, RoBERTa); name one that was trained to continue text"
            )
        llm.own_positions = True
        logger.warning(
            "%s counts positions in another way than from 0 on, as RoBERTa does: conversations run one at a time", name
        )


@torch.no_grad()
def try_answers(llm: LanguageModel) -> None:
    """Compute the loss of one token, and find out whether answers can be generated.

    Raises:
        ValueError: the loss does not run, and why.
    """
    if llm.config.attention == "flash_attention_2" and llm.device.type == "cpu":
        return
    embeds = llm.sample_embeddings(_NUM_TOKENS)[None]
    keep = torch.zeros(embeds.shape[:2], dtype=torch.bool, device=embeds.device)
    keep[0, 0] = True
    try:
        llm.answer_nll(embeds, keep, torch.zeros(1, dtype=torch.long, device=embeds.device))
    except UNSUPPORTED as error:
        raise ValueError(f"model.llm.name: the loss of {llm.config.name!r} does not run: {error}") from error
    _ = llm.capabilities.can_continue  # it says what follows


def _logits(model: nn.Module, embeds: Tensor, **inputs: Any) -> Tensor:
    return cast(Any, model)(inputs_embeds=embeds[None].clone(), use_cache=False, **inputs).logits[0]
