"""What a trained model is for: answers, scores of candidate answers, and embeddings of conversations."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from omni.llm.cross_attention import attending
from omni.model.batch import EmbeddedExample, pad
from omni.model.candidate_scores import check_normalization, normalize_scores, score_suffixes
from omni.model.candidates import split_candidates
from omni.model.core import ModelCore
from omni.model.encoder_stack import LLM
from omni.model.generation_options import resolve_options
from omni.model.preparation import Messages, is_single, parse_conversation
from omni.samples.messages import Message, Sample, SampleError, Text


@torch.no_grad()
def generate(
    model: ModelCore, messages: Messages | Sample | Sequence[Messages | Sample], streamer: Any, **generation_config: Any
) -> Any:
    """See `OmniModel.generate`."""
    single = is_single(messages)
    conversations = cast(Any, [messages] if single else messages)
    if streamer is not None and len(conversations) != 1:
        raise ValueError(f"streaming takes one conversation at a time, got {len(conversations)}")
    options = resolve_options(
        generation_config, end_token_ids=model.end_token_ids, llm_defaults=model.llm.generation_defaults
    )
    if not conversations:
        return []
    examples = [model.prepare(one) for one in conversations]
    embedded = model.embed_examples(examples)
    answers = [""] * len(examples)
    needed = {"tokenizer": model.llm.tokenizer} if "stop_strings" in options.values else {}
    limits = [options.lengths(len(one.labels), model.llm.context_length) for one in embedded]
    ends = [len(one.labels) + most - 1 for one, (_, most) in zip(embedded, limits, strict=True)]  # that are read
    kinds = [len(one.labels) if options.counts_pads else 0 for one in embedded]  # what may be padded together
    for group in model.batches(examples, embedded, ends=ends):
        for rows, (fewest, most) in _rows_by_limits(group, limits, kinds):
            lengths = {"max_new_tokens": most} | ({"min_new_tokens": fewest} if fewest else {})
            given = needed | options.values | lengths
            generated = generate_rows(model, [embedded[i] for i in rows], ends[rows[0]], streamer=streamer, **given)
            texts = model.llm.tokenizer.batch_decode(generated, skip_special_tokens=True)
            for i, text in zip(rows, texts, strict=True):
                answers[i] = text.strip()
    return answers[0] if single else answers


def generate_rows(model: ModelCore, embedded: Sequence[EmbeddedExample], end: int, **options: Any) -> Tensor:
    """Return the token ids [B, L] that transformers generates for conversations that may be in one call.

    Args:
        model: the model, with the LoRAs on that these conversations use.
        embedded: the conversations.
        end: tokens that the first of them may grow to, the last one apart, which is not read.
        options: those of transformers' `generate`.
    """
    inputs = pad(embedded, side="left")
    with (
        model.timed(LLM),
        attending(model.attended_media(inputs)),
        model.llm.generating(len(embedded[0].labels), end),
    ):
        return cast(Any, model.llm.causal_lm).generate(
            inputs_embeds=inputs.inputs_embeds, attention_mask=inputs.attention_mask, **options
        )


def _rows_by_limits(
    group: Sequence[int], limits: Sequence[tuple[int, int]], kinds: Sequence[int]
) -> list[tuple[list[int], tuple[int, int]]]:
    """Rows of `group` with the fewest and the most tokens that their answers may have.

    Rows with different limits or of different kinds go apart, so that an answer does not depend on what else is in the
    batch.
    """
    rows: dict[tuple[tuple[int, int], int], list[int]] = {}
    for i in group:
        rows.setdefault((limits[i], kinds[i]), []).append(i)
    return [(found, lengths) for (lengths, _), found in rows.items()]


@torch.no_grad()
def score_batch(
    model: ModelCore,
    messages: Sequence[Messages | Sample],
    candidates: Sequence[str] | Sequence[Sequence[str]],
    normalization: str,
) -> Tensor:
    """See `OmniModel.score_batch`."""
    if candidates and isinstance(candidates[0], str):
        candidates = [cast(Sequence[str], candidates)] * len(messages)
    per_item = cast(Sequence[Sequence[str]], candidates)
    are_texts = all(isinstance(text, str) for found in per_item for text in found)
    lengths = {len(found) for found in per_item}
    if len(per_item) != len(messages) or len(lengths) != 1 or 0 in lengths or not are_texts:
        raise ValueError(
            "score_batch needs for each conversation a list of candidates, texts, all lists of one length above 0"
        )
    check_normalization(normalization)
    split = []
    for one, found in zip(messages, per_item, strict=True):
        sample_id, parsed = parse_conversation(one, [*model.modalities])
        prefix = model.prepare(Sample(sample_id, parsed))
        split.append(split_candidates(model.conversation, parsed, prefix, found, model.llm.context_length))
    prefixes = [prefix for prefix, _ in split]
    embedded = model.embed_examples(prefixes)
    scores: list[Tensor] = [torch.empty(0)] * len(split)
    longest = [max(len(suffix) for suffix in suffixes) for _, suffixes in split]
    ends = [len(one.labels) + more for one, more in zip(embedded, longest, strict=True)]
    for group in model.batches(prefixes, embedded, ends=ends):
        batch = pad([embedded[i] for i in group], side="left")  # so that suffixes start at one position
        media = model.attended_media(batch)
        with model.timed(LLM):
            found = score_suffixes(model.llm, batch, [split[i][1] for i in group], media)
        for i, values in zip(group, found, strict=True):
            scores[i] = normalize_scores(values, split[i][1], per_item[i], normalization)
    return torch.stack(scores)


@torch.no_grad()
def embed_conversations(
    model: ModelCore, messages: Messages | Sample | Sequence[Messages | Sample], prompt: str | None = None
) -> Tensor:
    """See `OmniModel.embed`."""
    conversations = cast(Any, [messages] if is_single(messages) else messages)
    if prompt is not None:
        conversations = [_with_prompt(one, prompt, [*model.modalities]) for one in conversations]
    if not conversations:
        return torch.zeros(0, model.llm.hidden_size, device=model.device)
    examples = [model.prepare(one) for one in conversations]
    embedded = model.embed_examples(examples)
    found: list[Tensor] = [torch.empty(0)] * len(examples)  # RemBERT's states are wider than its embeddings
    for group in model.batches(examples, embedded):
        inputs = pad([embedded[i] for i in group], side="left")
        hidden = model.run(inputs, 1, output_hidden_states=True).hidden_states[-1]
        for i, row in zip(group, hidden[:, -1].float(), strict=True):
            found[i] = row
    return torch.stack(found)


def _with_prompt(conversation: Messages | Sample, prompt: str, modalities: list[str]) -> Sample:
    """The conversation with `prompt` at the end of its last turn, which must be the user's."""
    sample_id, messages = parse_conversation(conversation, modalities)
    last = messages[-1]
    if last.role != "user":
        raise SampleError(sample_id, f"a prompt goes to the end of the user's last turn, but the {last.role}'s is last")
    gap = "\n" if isinstance(last.content[-1], Text) else ""
    turn = Message(last.role, (*last.content, Text(gap + prompt)))
    return Sample(sample_id, (*messages[:-1], turn))
