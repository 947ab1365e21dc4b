"""Word a question as a task says: a template around the item's own question, options and other texts of its row."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from eval.data.letters import LETTERS
from eval.items.own_options import read_options
from omni.media.item import shorten
from omni.samples.messages import Media, Text

QUESTION = "question"
OPTIONS = "options"

_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_ -]*)\}")


Part = Text | Media


def fields_of(template: str) -> list[str]:
    """Return the names in braces of a template, in their order."""
    return _FIELD.findall(template)


def worded(template: str, content: Sequence[Part], meta: Mapping[str, Any]) -> list[Part]:
    """Return the content of a question in the words of a template.

    Args:
        template: a text in which `{question}` is the row's own question, `{options}` the candidates under `options` of
            the row, each on a line with its letter, and any other name in braces the text under that key of the row; an
            empty text, or a key that holds nothing, leaves nothing.
        content: the row's own question with its media.
        meta: what else the row has.

    Media before the row's text stay before the template; those within it stay within it.

    Raises:
        ValueError: the row has no such key, or no text under it.
    """
    first = next((index for index, part in enumerate(content) if isinstance(part, Text)), len(content))
    head, own = list(content[:first]), list(content[first:])
    texts: list[Part] = []
    position = 0
    asks = False
    for match in _FIELD.finditer(template):
        texts.append(Text(template[position : match.start()]))
        position = match.end()
        if match[1] == QUESTION:
            asks = True
            texts += own
        else:
            texts.append(Text(_value(match[1], meta)))
    texts.append(Text(template[position:]))
    media = [] if asks else [part for part in own if isinstance(part, Media)]
    return [*head, *media, *_joined(texts)]


def lettered(options: Sequence[str]) -> str:
    """Return options on lines of their own, each with its letter (`A. a frog`).

    Raises:
        ValueError: there are more than there are letters.
    """
    return "\n".join(f"{letter_of(index)}. {option}" for index, option in enumerate(options))


def letter_of(index: int) -> str:
    """Return the letter of an option.

    Raises:
        ValueError: there is none for so many.
    """
    if index >= len(LETTERS):
        raise ValueError(f"option {index + 1} has no letter: there are {len(LETTERS)}")
    return LETTERS[index]


def answer_text(form: str, option: str, index: int) -> str:
    """Return what the model is to say for an option: `form` with `{answer}` and `{letter}` filled in."""
    text = form.replace("{answer}", option)
    return text.replace("{letter}", letter_of(index)) if "{letter}" in text else text


def _value(name: str, meta: Mapping[str, Any]) -> str:
    if name == OPTIONS:
        return lettered(read_options(meta, OPTIONS))
    if name not in meta:
        raise ValueError(f"has no {name!r} in its row, which the prompt asks for; found {sorted(meta)}")
    value = meta[name]
    if value is None:
        return ""
    if not isinstance(value, str | int | float):
        raise ValueError(f"{name!r} must be a text for the prompt; got {shorten(value)}")
    return str(value)


def _joined(parts: Sequence[Part]) -> list[Part]:
    """Return parts with neighbouring texts as one, without empty ones."""
    found: list[Part] = []
    for part in parts:
        if isinstance(part, Text) and found and isinstance(found[-1], Text):
            found[-1] = Text(found[-1].text + part.text)
        elif not isinstance(part, Text) or part.text:
            found.append(part)
    return [part for part in found if not isinstance(part, Text) or part.text]
