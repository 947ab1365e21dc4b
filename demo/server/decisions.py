"""`/v1/decisions`: predicates, choices and scores about an input, answered with probabilities.

The form is that of OpenAI's client (`client.decisions.create`). Each question is put at the end of the input, and its
possible answers are ranked over that shared prefix; see `demo.server.ranking`.
"""

import json
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.responses import JSONResponse, Response

from demo.server.errors import APIError
from demo.server.exchange import Exchange
from demo.server.parts import PartReader
from demo.server.ranking import probabilities, question
from demo.server.schema import DecisionParameters, known
from demo.server.served import ServedModel
from omni.media.item import Media
from omni.samples.sample import Message, Text

_YES_NO = ("Yes", "No")
_MOST_CHOICES = 255


class _Question(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    instructions: str | list[Any]
    name: str | None = None


class Predicate(_Question):
    """Asks how likely a statement is true."""

    type: Literal["predicate"]


class Option(BaseModel):
    """One of the answers of a choice."""

    model_config = ConfigDict(extra="forbid", strict=True)

    value: str | bool
    description: str | None = None


class Choice(_Question):
    """Asks which of several answers is right."""

    type: Literal["choice"]
    choices: Annotated[list[Option], Field(min_length=2, max_length=_MOST_CHOICES)]


class Level(BaseModel):
    """One of the steps of a score."""

    model_config = ConfigDict(extra="forbid", strict=True)

    label: Annotated[str, Field(min_length=1)]
    description: str | None = None


class Score(_Question):
    """Asks for a rating on steps in order, the lowest first."""

    type: Literal["score"]
    levels: Annotated[list[Level], Field(min_length=2, max_length=_MOST_CHOICES)]


Question = Annotated[Predicate | Choice | Score, Field(discriminator="type")]
_QUESTIONS = TypeAdapter(list[Question])


async def decide(exchange: Exchange) -> Response:
    """Answer one request.

    Raises:
        APIError, and what `api_error` makes one of.
    """
    parameters = DecisionParameters.model_validate(known(exchange.body))
    state = exchange.state
    served = state.find_model(parameters.model)
    questions = _QUESTIONS.validate_python(parameters.questions)
    if len(questions) > state.limits.max_questions:
        raise APIError(f"a request may have {state.limits.max_questions} questions", param="questions")
    reader = state.reader(served.accepted)
    read = partial(_read, reader, parameters.input, questions)
    given, asked = await exchange.read(read)
    state.metrics.count_media(medium.modality for message in given for medium in message.media)
    answers, num_tokens = [], 0
    for one, instructions in zip(questions, asked, strict=True):
        work = partial(_answer, served, given, one, instructions, parameters.normalization, exchange.seconds_left())
        answer, count = await state.scoring.run(work, exchange.seconds_left())
        answers.append(answer)
        num_tokens += count
        exchange.times.first_text()
    return JSONResponse({"answers": answers, "model": parameters.model, "usage": _usage(num_tokens)})


def _read(
    reader: PartReader, given: Any, questions: Sequence[_Question]
) -> tuple[list[Message], list[tuple[Text | Media, ...]]]:
    """Return the turns of the input, and the parts of each question."""
    turns = [{"role": "user", "content": given}] if isinstance(given, str) else _turns(given)
    messages = [*reader.messages(turns, "input")]
    asked = [
        reader.parts(_parts(one.instructions), f"questions[{index}].instructions")
        for index, one in enumerate(questions)
    ]
    return messages, [_with_descriptions(one, parts) for one, parts in zip(questions, asked, strict=True)]


def _turns(given: list[Any]) -> list[Any]:
    """Return the messages of an input, with parts of JSON as text."""
    turns = []
    for index, turn in enumerate(given):
        kind = turn.get("type", "message") if isinstance(turn, dict) else "message"
        if kind != "message":
            message = f"input[{index}]: the model knows nothing of {str(kind)[:100]!r}; give messages"
            raise APIError(message, param=f"input[{index}]")
        has_parts = isinstance(turn, dict) and "content" in turn
        turns.append({**turn, "content": _parts(turn["content"])} if has_parts else turn)
    return turns


def _parts(given: Any) -> Any:
    return [_json_as_text(part) for part in given] if isinstance(given, list) else given


def _json_as_text(part: Any) -> Any:
    if isinstance(part, dict) and part.get("type") == "input_json":
        return {"type": "text", "text": json.dumps(part.get("data"), ensure_ascii=False)}
    return part


def _with_descriptions(asked: _Question, parts: Sequence[Text | Media]) -> tuple[Text | Media, ...]:
    """Return a question with the answers that have descriptions, one a line."""
    described: list[tuple[str, str | None]] = []
    if isinstance(asked, Choice):
        described = [(_written(option.value), option.description) for option in asked.choices]
    elif isinstance(asked, Score):
        described = [(level.label, level.description) for level in asked.levels]
    if not any(description for _, description in described):
        return tuple(parts)
    lines = [f"{name}: {description}" if description else name for name, description in described]
    return (*parts, Text("\n" + "\n".join(lines)))


def _answer(
    served: ServedModel,
    given: Sequence[Message],
    asked: Predicate | Choice | Score,
    instructions: Sequence[Text | Media],
    kind: str,
    seconds: float,
) -> tuple[dict[str, Any], int]:
    """Return the answer to one question, and the tokens that were read."""

    def score(messages: Sequence[Message], candidates: Sequence[str], normalization: str) -> Sequence[float]:
        return served.answering.score(messages, candidates, normalization, timeout=seconds).tolist()

    candidates = _candidates(asked)
    found = probabilities(given, instructions, candidates, kind, score)
    read = [*question(given, instructions), Message("assistant", (Text(candidates[0]),))]
    return _told(asked, found), served.model.measure(read)


def _candidates(asked: Predicate | Choice | Score) -> list[str]:
    if isinstance(asked, Predicate):
        return [*_YES_NO]
    if isinstance(asked, Score):
        texts = [level.label for level in asked.levels]
    else:
        texts = [_written(option.value) for option in asked.choices]
    empty = [text for text in texts if not text.strip()]
    doubles = sorted({text for text in texts if texts.count(text) > 1})
    if empty or doubles:
        problem = f"{doubles[0]!r} stands twice" if doubles else "one is empty"
        raise APIError(f"the answers of a question must differ, and {problem}", param="questions")
    return texts


def _written(value: str | bool) -> str:
    return value if isinstance(value, str) else str(value).lower()


def _told(asked: Predicate | Choice | Score, found: Sequence[float]) -> dict[str, Any]:
    """Return an answer in the form of the client."""
    best = max(range(len(found)), key=found.__getitem__)
    if isinstance(asked, Predicate):
        return {"type": "predicate", "name": asked.name, "probability": found[0]}
    if isinstance(asked, Choice):
        values = [option.value for option in asked.choices]
        pairs = [{"value": value, "probability": one} for value, one in zip(values, found, strict=True)]
        chosen = {"choice": values[best], "confidence": found[best], "probabilities": pairs}
        return {"type": "choice", "name": asked.name, **chosen}
    levels = [
        {"label": level.label, "value": value, "probability": one}
        for value, (level, one) in enumerate(zip(asked.levels, found, strict=True))
    ]
    expected = sum(value * one for value, one in enumerate(found))
    rated = {"score": expected, "confidence": found[best], "probabilities": levels}
    return {"type": "score", "name": asked.name, **rated}


def _usage(num_tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": num_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": num_tokens,
    }
