"""`/v1/chat/completions`: answers to conversations, whole or as they come."""

import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from demo.server.completion import Completion
from demo.server.errors import APIError, api_error
from demo.server.events import Answers, ChoiceEvent
from demo.server.exchange import Exchange
from demo.server.limits import Limits
from demo.server.schema import ChatParameters, known
from omni.answering.events import Piece
from omni.answering.sampling import Sampling


async def chat(exchange: Exchange) -> Response:
    """Answer one request; see OpenAI's reference for its form.

    Raises:
        APIError, and what `api_error` makes one of.
    """
    parameters = ChatParameters.model_validate(known(exchange.body))
    state = exchange.state
    served = state.find_model(parameters.model)
    samplings = choose_samplings(parameters, state.limits)
    reader = state.reader(served.accepted)
    messages = await exchange.read(lambda: reader.messages(parameters.messages))
    parameters.messages.clear()
    state.metrics.count_media(medium.modality for message in messages for medium in message.media)
    answers = Answers(served.answering, messages, samplings, exchange.seconds_left())
    exchange.cleanup.callback(answers.close)
    has_likelihoods = samplings[0].top_logprobs is not None
    completion = Completion(parameters.model, len(samplings), has_likelihoods, state.limits.max_wait_s)
    if not parameters.stream:
        async for event in answers.events():
            _note(event, exchange)
            completion.add(event)
        return JSONResponse(completion.whole())
    events = answers.events()
    first = await anext(events)  # until then an error still has a status of its own
    has_usage = parameters.stream_options is not None and parameters.stream_options.include_usage
    chunks = _chunks(first, events, completion, exchange, len(samplings), has_usage)
    return StreamingResponse(chunks, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


async def _chunks(
    first: ChoiceEvent,
    events: AsyncIterator[ChoiceEvent],
    completion: Completion,
    exchange: Exchange,
    num_choices: int,
    has_usage: bool,
) -> AsyncIterator[str]:
    """Yield the events of a stream; an error is the last of them."""
    more = {"usage": None} if has_usage else {}
    try:
        completion.add(first)
        for index in range(num_choices):
            yield _event({**completion.first_chunk(index), **more})
        _note(first, exchange)
        yield _event({**completion.chunk(first), **more})
        async for event in events:
            completion.add(event)
            _note(event, exchange)
            yield _event({**completion.chunk(event), **more})
        if has_usage:
            yield _event(completion.usage_chunk())
    except Exception as error:  # the status is sent already: the stream itself says what failed
        found = api_error(error)
        exchange.times.status = found.status
        yield _event(found.body())
    yield "data: [DONE]\n\n"


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n"


def _note(event: ChoiceEvent, exchange: Exchange) -> None:
    if isinstance(event.event, Piece):
        exchange.times.first_text()


def choose_samplings(parameters: ChatParameters, limits: Limits) -> list[Sampling]:
    """Return how each of the answers to a request is made.

    Answers are greedy, as those of `OmniModel.generate`, unless a temperature is given; where `top_p`, `top_k` or `n`
    ask for chance, it is 1, OpenAI's default. Each of several answers with a seed has a seed of its own.

    Raises:
        APIError: a parameter is beyond the limits, or has no effect without another.
    """
    if parameters.stream_options is not None and not parameters.stream:
        raise APIError("stream_options belongs to stream: true", param="stream_options")
    if parameters.top_logprobs is not None and not parameters.logprobs:
        raise APIError("top_logprobs belongs to logprobs: true", param="top_logprobs")
    if parameters.n > limits.max_choices:
        raise APIError(f"n is {parameters.n}; this server gives at most {limits.max_choices} answers", param="n")
    top_k = max(0, parameters.top_k)  # -1 is vLLM's way to write that there is none
    asks_for_chance = parameters.top_p < 1 or top_k > 0 or parameters.n > 1
    temperature = parameters.temperature
    if temperature is None:
        temperature = 1.0 if asks_for_chance and parameters.num_beams == 1 else 0.0
    stop = parameters.stop if isinstance(parameters.stop, list) else [parameters.stop]
    most = _most_tokens(parameters, limits)
    try:
        return [
            Sampling(
                max_new_tokens=most,
                min_new_tokens=parameters.min_tokens,
                temperature=temperature,
                top_p=parameters.top_p,
                top_k=top_k,
                repetition_penalty=parameters.repetition_penalty,
                presence_penalty=parameters.presence_penalty,
                frequency_penalty=parameters.frequency_penalty,
                seed=None if parameters.seed is None else parameters.seed + index,
                stop=tuple(stop),
                top_logprobs=(parameters.top_logprobs or 0) if parameters.logprobs else None,
                num_beams=parameters.num_beams,
            )
            for index in range(parameters.n)
        ]
    except ValueError as error:
        raise APIError(str(error), code="invalid_value") from error


def _most_tokens(parameters: ChatParameters, limits: Limits) -> int:
    name = "max_completion_tokens" if parameters.max_completion_tokens is not None else "max_tokens"
    given = getattr(parameters, name)
    if given is None:
        return limits.max_tokens
    if given > limits.max_tokens:
        message = f"{name} is {given}; an answer may have at most {limits.max_tokens} tokens here"
        raise APIError(message, param=name, code="invalid_value")
    return given
