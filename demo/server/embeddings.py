"""`/v1/embeddings`: embeddings of texts and media, from a joint space or from the language model's last state.

`input` holds texts, parts of a message (media), or, with `modality`, data URIs; `messages` is one conversation.
"""

import base64
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from starlette.responses import JSONResponse, Response
from torch import Tensor

from demo.server.errors import APIError
from demo.server.exchange import Exchange
from demo.server.parts import PartReader
from demo.server.schema import EmbeddingParameters, known
from demo.server.served import ServedModel, ServedSpace
from demo.server.state import ServerState
from omni.joint_space.inputs import text_media
from omni.joint_space.interaction import LATE
from omni.media.item import Media, shorten
from omni.samples.sample import Message, Text

Item = tuple[Text | Media, ...]  # what one embedding is of

_TOKENS = "token ids are not taken, as every model counts its tokens differently; send the text"


async def embed(exchange: Exchange) -> Response:
    """Answer one request; see OpenAI's reference for its form.

    Raises:
        APIError, and what `api_error` makes one of.
    """
    parameters = EmbeddingParameters.model_validate(known(exchange.body))
    state = exchange.state
    served = state.find(parameters.model)
    reader = state.reader(served.accepted)
    read = partial(_read, reader, parameters, state.limits.max_inputs)
    conversations = await exchange.read(read)
    media = [part for turns in conversations for turn in turns for part in turn.media]
    state.metrics.count_media(medium.modality for medium in media)
    if served is state.served.model and state.served.model is not None:
        values, num_tokens = await _of_model(state, state.served.model, conversations, parameters, exchange)
    else:
        assert state.served.space is not None
        values, num_tokens = await _of_space(state, state.served.space, conversations, parameters, exchange)
    exchange.times.first_text()
    rows = _cut(values.float().cpu().numpy(), parameters)
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(row, parameters.encoding_format)}
        for index, row in enumerate(rows)
    ]
    usage = {"prompt_tokens": num_tokens, "total_tokens": num_tokens}
    return JSONResponse({"object": "list", "data": data, "model": parameters.model, "usage": usage})


def _read(reader: PartReader, parameters: EmbeddingParameters, max_inputs: int) -> list[tuple[Message, ...]]:
    """Return a conversation for each embedding.

    Raises:
        APIError: there is no input, or two, or an item of it cannot be used.
    """
    if (parameters.input is None) == (parameters.messages is None):
        raise APIError("give either 'input' or 'messages'", param="input")
    if parameters.messages is not None:
        return [reader.messages(parameters.messages)]
    given = parameters.input
    items = given if isinstance(given, list) else [given]
    if not items or len(items) > max_inputs:
        raise APIError(f"'input' must hold 1 to {max_inputs} items, got {len(items)}", param="input")
    return [
        (Message("user", _item(reader, item, parameters.modality, f"input[{index}]")),)
        for index, item in enumerate(items)
    ]


def _item(reader: PartReader, item: Any, modality: str | None, where: str) -> Item:
    if isinstance(item, int) or (isinstance(item, list) and item and isinstance(item[0], int)):
        raise APIError(f"{where}: {_TOKENS}", param=where)
    if isinstance(item, dict):
        return (reader.part(item, where),)
    if isinstance(item, list):
        return reader.parts(item, where)
    if not isinstance(item, str):
        raise APIError(f"{where} must be a text, a part or a list of parts, got {shorten(item)}", param=where)
    if modality is not None and modality != "text":
        return (reader.from_uri(modality, item, where),)
    if not item.strip():
        raise APIError(f"{where} is an empty text", param=where)
    return (Text(item),)


async def _of_model(
    state: ServerState,
    served: ServedModel,
    conversations: Sequence[tuple[Message, ...]],
    parameters: EmbeddingParameters,
    exchange: Exchange,
) -> tuple[Tensor, int]:
    """Return the last hidden states [B, D] of the language model, of unit length unless told, and the tokens read."""

    def embed_one(conversation: tuple[Message, ...]) -> tuple[Tensor, int]:
        seconds = exchange.seconds_left()
        found = served.answering.embed(conversation, parameters.prompt, timeout=seconds).reshape(1, -1)
        answered = (*conversation, Message("assistant", (Text("."),)))
        return found.cpu(), served.model.measure(answered)

    rows, total = [], 0
    for conversation in conversations:
        values, count = await state.scoring.run(partial(embed_one, conversation), exchange.seconds_left())
        rows.append(values)
        total += count
    joined = torch.cat(rows)
    return (joined if parameters.normalize is False else torch.nn.functional.normalize(joined, dim=-1)), total


async def _of_space(
    state: ServerState,
    served: ServedSpace,
    conversations: Sequence[tuple[Message, ...]],
    parameters: EmbeddingParameters,
    exchange: Exchange,
) -> tuple[Tensor, int]:
    """Return embeddings [B, D] of a joint space; it has no language model whose tokens could be counted."""
    if parameters.prompt is not None:
        raise APIError("a joint space takes no prompt", param="prompt")
    space = served.space
    if space.interaction == LATE:
        message = f"{served.name} compares items feature by feature (late interaction): an item has no one embedding"
        raise APIError(message, param="model", code="unsupported_model")
    items = [_only_turn(turns) for turns in conversations]
    normalize = parameters.normalize is not False
    work = partial(_embed_items, served, items, normalize)
    return await state.embedding.run(work, exchange.seconds_left()), 0


def _only_turn(turns: Sequence[Message]) -> Item:
    if len(turns) != 1 or turns[0].role != "user":
        raise APIError("a joint space embeds one turn of the user", param="messages")
    return turns[0].content


def _embed_items(served: ServedSpace, items: Sequence[Item], normalize: bool) -> Tensor:
    """Return the embedding of each item; of several parts it is the mean of theirs, of unit length again."""
    by_modality: dict[str, list[tuple[int, Media]]] = {}
    for index, parts in enumerate(items):
        for part in parts:
            medium = text_media(part.text) if isinstance(part, Text) else part
            by_modality.setdefault(medium.modality, []).append((index, medium))
    if "text" in by_modality and "text" not in served.space.modalities:
        raise APIError(f"{served.name} takes no texts; it takes {', '.join(served.space.modalities)}", param="input")
    found = torch.zeros(len(items), served.space.dim)
    for modality, numbered in by_modality.items():
        is_alone = all(len(items[index]) == 1 for index, _ in numbered)
        values = served.space.embed(
            {modality: [medium for _, medium in numbered]}, normalize=normalize or not is_alone
        )[modality]
        for (index, _), row in zip(numbered, values.float().cpu(), strict=True):
            found[index] += row
    return torch.nn.functional.normalize(found, dim=-1) if normalize else found


def _cut(rows: np.ndarray, parameters: EmbeddingParameters) -> np.ndarray:
    """Return embeddings of the width that was asked for, which must be their own.

    Raises:
        APIError: another width: the first numbers of an embedding mean nothing by themselves unless it was trained so.
    """
    wanted, width = parameters.dimensions, rows.shape[1]
    if wanted is None or wanted == width:
        return rows
    message = f"dimensions is {wanted}; embeddings of this model have {width}, and were not trained to be cut"
    raise APIError(message, param="dimensions", code="unsupported_parameter")


def _encoded(row: np.ndarray, encoding: str) -> list[float] | str:
    if encoding == "base64":
        return base64.b64encode(row.astype("<f4").tobytes()).decode()
    return row.tolist()
