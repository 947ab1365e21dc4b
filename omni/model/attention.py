"""Where an answer's tokens look: the LLM's attention to media tokens, and through the adapter to the medium's parts.

Shapes: T tokens of the answer, W words, L length of the conversation, Q media tokens, C clips, N features of a clip,
A axes of a medium, K media states that layers attend to.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from omni.explaining.correlation import is_even
from omni.explaining.maps import on_parts
from omni.explaining.words import Word
from omni.llm.attention_weights import recording
from omni.llm.cross_attention import attending
from omni.media.parts import MediaParts
from omni.model.batch import Example, pad
from omni.model.core import ModelCore
from omni.prompts.chat_layout import IGNORED_LABEL, MEDIA_SLOT
from omni.samples.messages import Media

Found = tuple[np.ndarray | None, tuple[str, ...]]  # the map [W, *parts], and notes


@torch.no_grad()
def media_attention(
    model: ModelCore,
    example: Example,
    media: Sequence[Media],
    parts: Sequence[MediaParts | None],
    words: Sequence[Word],
) -> list[Found]:
    """Return for each medium of an encoded example its map by attention [W, *parts], None where it is not known.

    The notes say why it is not known, or what to know about it.
    """
    found = []
    for index, weights in enumerate(token_attention(model, example)):
        if weights is None:
            name = type(model.llm.causal_lm).__name__
            of = example.media[index].modality
            adapter = model.modality(of).adapter
            who = name if adapter.in_sequence else type(adapter).__name__
            found.append((None, (f"There is no map by attention: {who} does not give its attention weights.",)))
        else:
            found.append(_of_medium(model, example, index, media[index], parts[index], weights, words))
    return found


def token_attention(model: ModelCore, example: Example) -> list[Tensor | None]:
    """Return for each medium how much each token of the answer looks at its media tokens: [T, Q]; None = not known.

    It is the attention of the position that predicts the token, the mean over heads and layers. Of adapters beside the
    sequence it is the mean over their blocks, whose weights sum to 1 over the media that the position sees.
    """
    tokens = model.media_tokens([example])[0]
    embedded = model.interleave(example, tokens)
    result: list[Tensor | None] = [None] * len(tokens)
    for _ in model.batches([example], [embedded]):  # its LoRAs are on
        inputs = pad([embedded])
        predicting = (inputs.targets[0] != IGNORED_LABEL).nonzero().flatten().tolist()
        attended = model.attended_media(inputs)
        if attended is not None:
            attended.record = []
        with attending(attended), recording(model.llm, predicting) as layers:
            model.llm(inputs.inputs_embeds, 1, use_cache=False, **model.attention_inputs(inputs))
        mean = torch.stack(layers).mean(0) if layers else None  # [T, L]
        beside = {} if attended is None else _mean_of_blocks(attended.record or [], predicting)
        names = sorted({item.modality for item in embedded.attended if len(item.states)})
        places = dict.fromkeys(names, 0)
        for index, start in enumerate(_starts(model, example, tokens)):
            name, count = example.media[index].modality, len(tokens[index])
            if model.modality(name).adapter.in_sequence:
                result[index] = None if mean is None else mean[:, start : start + count]
            elif name in names:
                weights = beside.get(names.index(name))
                result[index] = None if weights is None else weights[:, places[name] : places[name] + count]
                places[name] += count
    return result


def _starts(model: ModelCore, example: Example, tokens: Sequence[Tensor]) -> list[int]:
    """Where the media tokens of each item begin in the sequence."""
    starts, shift = [], 0
    slots = (example.token_ids == MEDIA_SLOT).nonzero().flatten().tolist()
    for slot, item, own in zip(slots, example.media, tokens, strict=True):
        starts.append(slot + shift)
        shift += (len(own) if model.modality(item.modality).adapter.in_sequence else 0) - 1
    return starts


def _mean_of_blocks(record: Sequence[tuple[int, Tensor | None]], predicting: Sequence[int]) -> dict[int, Tensor]:
    """Index of a modality -> the mean over its blocks, [T, K]; left out where a block does not give its weights."""
    found = {}
    for index in {index for index, _ in record}:
        blocks = [weights[0, list(predicting)].float() for i, weights in record if i == index and weights is not None]
        if len(blocks) == sum(i == index for i, _ in record):
            found[index] = torch.stack(blocks).mean(0)
    return found


def _of_medium(
    model: ModelCore,
    example: Example,
    index: int,
    media: Media,
    parts: MediaParts | None,
    weights: Tensor,
    words: Sequence[Word],
) -> Found:
    item = example.media[index]
    modality = model.modality(item.modality)
    assert item.features is not None
    if parts is None:
        return None, ()
    attribution = modality.attribution(item.features, item.instruction)  # [Q, C N]
    if attribution is None:
        name = type(modality.adapter).__name__
        return None, (f"There is no map by attention: {name} does not say what its tokens stand on (`attribution`).",)
    encoder = modality.encoder
    regions = encoder.feature_regions(media, encoder.preprocess(media))
    if regions is None or regions.shape[:2] != item.features.mask.shape:
        why = f"which part a feature of {encoder.class_name} stands for is not known (`feature_regions`)"
        return None, (f"There is no map by attention: {why}.",)
    of_words = torch.stack([weights[word.start : word.end].mean(0) for word in words])  # [W, Q]
    of_features = of_words @ attribution.to(of_words.device)  # [W, C N]
    found = on_parts(of_features.double().cpu().numpy(), regions.flatten(0, 1).cpu().numpy(), parts.axes)
    if found is None:
        return None, (f"There is no map by attention: {encoder.class_name} names the parts of another medium.",)
    flat = found.reshape(len(found), -1)
    notes = ()
    if flat.shape[1] > 1 and all(map(is_even, flat)):
        name = type(modality.adapter).__name__
        notes = (
            f"Attention is the same everywhere: behind {name} no media token stands on one part more than another.",
        )
    return found, notes
