"""Media that stand apart from the text, put in the places that marks (`<image>`) or parts without content give them.

A mark is a place where the row has a medium for it, and else a word: an answer about HTML may say `<video>`. What
tells the two apart is how many media the row has, and where the mark stands: those of tools begin the turn or stand
on a line of their own.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omni.media.item import Media
from omni.samples.media_keys import MARKS
from omni.samples.sample import SampleError, Text
from omni.samples.spellings import TEXT_TYPES, is_list

_MARK = re.compile("|".join(map(re.escape, MARKS)))
_SOUNDS = ("sound", "speech", "audio")  # <audio> is whichever of them the row has
_ASKS = re.compile(r"[.?!:\n]\s*$")
_SHOWN = 3  # marks and media that an error names

Columns = Mapping[str, Sequence[Media]]  # modality -> the media that the row has beside its text


@dataclass(frozen=True)
class _Mark:
    """A mark in the text of a turn."""

    turn: int
    part: int | None  # None where the content is one text
    start: int
    end: int
    name: str
    in_answer: bool
    stands_apart: bool  # begins or ends the turn, or has a line of its own

    @property
    def place(self) -> str:
        return f"{self.name} in message {self.turn + 1}"


def place_media(
    turns: Sequence[Any],
    columns: Columns,
    sample_id: str,
    *,
    in_answers: bool = True,
    first: int = 0,
    elsewhere: Columns | None = None,
) -> tuple[list[Any], dict[str, list[Media]]]:
    """Return turns with the media of `columns` in the places that the text gives them, and the media without a place.

    A modality without any place keeps all its media, for the caller to judge; turns that are malformed are left for the
    parser. `columns` has an entry without media for a key of the row that is empty. With `in_answers`, a mark that
    stands apart in an answer may be a place, where the questions have too few. `first` is the number of turns before
    `turns`, and `elsewhere` holds media for which marks are kept as they are.

    Raises:
        SampleError: there are more places than media, or fewer, with the names of both.
    """
    if not columns and not any("<" in text for turn in turns for _, text in _texts(turn, with_parts=False)):
        return [*turns], {}  # nearly all rows
    others = {modality: items for modality, items in (elsewhere or {}).items() if items}
    if any(_is_empty(part) for turn in turns for part in _parts(turn)):
        return _fill_parts(turns, columns, sample_id, first, others)
    return _fill_marks(turns, columns, sample_id, in_answers, first, others)


def place_in_turn(
    turn: Mapping[str, Any], columns: Columns, sample_id: str, number: int, elsewhere: Columns
) -> tuple[dict[str, Any], dict[str, list[Media]]]:
    """Return turn `number` (from 0 on) with the media of its own keys in its places, and the media without a place.

    Whoever speaks, marks of such a turn are places. Those for which the row has media (`elsewhere`) are kept.

    Raises:
        SampleError: as `place_media`.
    """
    words = {key: value for key, value in turn.items() if key != "role"}
    columns = {**{modality: [] for modality, items in elsewhere.items() if not items}, **columns}
    (placed,), unplaced = place_media([words], columns, sample_id, first=number, elsewhere=elsewhere)
    return {**placed, "role": turn.get("role")}, unplaced


def media_in_front(turns: Sequence[Any], media: Iterable[Media]) -> list[Any]:
    """Return turns with media in front of the text of the first user turn."""
    first = next((i for i, turn in enumerate(turns) if isinstance(turn, Mapping) and turn.get("role") == "user"), None)
    if first is None:
        return [*turns]
    return [*turns[:first], media_at_head(turns[first], media), *turns[first + 1 :]]


def media_at_head(turn: Mapping[str, Any], media: Iterable[Media]) -> dict[str, Any]:
    """Return a turn with media in front of its text; a turn whose content is malformed is left for the parser."""
    content = turn.get("content")
    if content is not None and not isinstance(content, str) and not is_list(content):
        return {**turn}
    parts = [content] if isinstance(content, str) and content else [*content] if is_list(content) else []
    return {**turn, "content": [*media, *parts]}


def held_items(items: Iterable[Media], held: Iterable[Media]) -> list[Media]:
    """Return those of `items` that are among `held`, one for each time that `held` has it."""
    rest, found = [*held], []
    for item in items:
        if item in rest:
            rest.remove(item)
            found.append(item)
    return found


def filled_parts(turn: Mapping[str, Any]) -> list[Any]:
    """Return the parts of a turn that are media or bring their content along."""
    return [
        part
        for part in _parts(turn)
        if isinstance(part, Media)
        or (isinstance(part, Mapping) and isinstance(part.get("type"), str) and not (_is_text(part) or _is_empty(part)))
    ]


def mismatch(modality: str, marks: Sequence[str], media: Sequence[Media]) -> str:
    """Return what is wrong where a text has other places than its row has media, with the names of both."""
    places, files = _listed(marks), _listed([item.describe() for item in media])
    counts = f"the text has {len(marks)} place(s) for {modality} items, but the row has {len(media)}"
    return f"{counts} (in the text: {places}; in the row: {files}); make the two numbers equal"


def _fill_parts(
    turns: Sequence[Any], columns: Columns, sample_id: str, first: int, elsewhere: Columns
) -> tuple[list[Any], dict[str, list[Media]]]:
    """Fill parts such as `{"type": "image"}` in order, or by the number in their key `index`."""
    asked: dict[str, list[str]] = {}
    used: dict[str, set[int]] = {}
    filled: list[Any] = []
    for number, turn in enumerate(turns, first):
        parts: list[Any] = []
        for part in _parts(turn):
            modality = _target(part["type"], columns, {}, elsewhere) if _is_empty(part) else None
            if modality is None:
                parts.append(part)
                continue
            index = part.get("index")
            asked.setdefault(modality, []).append(f"a part {part['type']!r} in message {number + 1}")
            position = len(asked[modality]) - 1 if not isinstance(index, int) else index
            used.setdefault(modality, set()).add(position)
            items = columns[modality]
            parts += [items[position]] if 0 <= position < len(items) else []
        filled.append({**turn, "content": parts} if parts or _parts(turn) else turn)
    for modality, positions in used.items():
        if positions != set(range(len(columns[modality]))):
            raise SampleError(sample_id, mismatch(modality, asked[modality], columns[modality]))
    return filled, {modality: [*items] for modality, items in columns.items() if items and modality not in used}


def _fill_marks(
    turns: Sequence[Any], columns: Columns, sample_id: str, in_answers: bool, first: int, elsewhere: Columns
) -> tuple[list[Any], dict[str, list[Media]]]:
    has_media = any(columns.values())
    marks = [mark for number, turn in enumerate(turns, first) for mark in _marks(turn, number, has_media)]
    marks = [mark for mark in marks if in_answers or not mark.in_answer]
    questions = [mark for mark in marks if not mark.in_answer]
    names = {mark.name for mark in questions}
    targets = {mark.name: _target(mark.name, columns, names, elsewhere) for mark in marks}
    chosen: dict[_Mark, Media] = {}
    unplaced: dict[str, list[Media]] = {}
    for modality, items in columns.items():
        places = _choose([mark for mark in marks if targets[mark.name] == modality], len(items))
        if not places and items:
            unplaced[modality] = [*items]
        elif len(places) != len(items):
            raise SampleError(sample_id, mismatch(modality, [mark.place for mark in places], items))
        chosen.update(zip(places, items, strict=False))
    stray = [mark for mark in questions if targets[mark.name] is None and mark.stands_apart]
    stray = [mark for mark in stray if _target(mark.name, elsewhere, names) is None]
    if stray:
        _raise_stray(stray, sample_id)
    return [_split(turn, number, chosen) for number, turn in enumerate(turns, first)], unplaced


def _choose(marks: Sequence[_Mark], count: int) -> list[_Mark]:
    """Return the marks that are places: those of questions, or of these the ones that stand apart, or those of
    questions with those that stand apart in answers, whichever of them are `count`; the first if none are."""
    questions = [mark for mark in marks if not mark.in_answer]
    if count == 0:  # the row has the key, but nothing in it
        return questions
    apart = [mark for mark in questions if mark.stands_apart]
    in_answers = [mark for mark in marks if not mark.in_answer or mark.stands_apart]
    fitting = (places for places in (questions, apart, in_answers) if len(places) == count)
    return next(fitting, questions)


def _target(name: str, columns: Columns, other_marks: Iterable[str], elsewhere: Collection[str] = ()) -> str | None:
    """Return the modality whose media a mark or a part's type takes in this row; None if it has none.

    `<image>` stands for whatever the row has, as in LLaVA-Video's files, if that has no mark of its own.
    """
    modality = MARKS.get(name, name)
    kinds = (modality, *_SOUNDS) if modality in _SOUNDS else (modality,)
    filled = [kind for kind, items in columns.items() if items]
    is_general = modality == "image" and len(filled) == 1 and modality not in elsewhere
    is_general = is_general and all(MARKS[mark] != filled[0] for mark in other_marks)
    candidates = [
        *(kind for kind in kinds if kind in filled),
        *(filled if is_general else ()),
        *(kind for kind in kinds if kind in columns),
    ]
    return next(iter(candidates), None)


def _raise_stray(marks: Sequence[_Mark], sample_id: str) -> None:
    modality = MARKS[marks[0].name]
    reason = mismatch(modality, [mark.place for mark in marks if MARKS[mark.name] == modality], [])
    raise SampleError(
        sample_id,
        f"{reason}: name the file in the row's key {modality!r}; or, if the word is meant, write the content as a part "
        '{"type": "text", "text": ...}',
    )


def _marks(turn: Any, number: int, with_parts: bool) -> Iterator[_Mark]:
    for part, text in _texts(turn, with_parts):
        for found in _MARK.finditer(text):
            apart = _stands_apart(text, found)
            is_answer = turn.get("role") == "assistant"
            yield _Mark(number, part, found.start(), found.end(), found.group(), is_answer, apart)


def _stands_apart(text: str, mark: re.Match[str]) -> bool:
    if f"</{mark.group()[1:]}" in text:  # a tag of HTML or XML
        return False
    before, after = _MARK.sub("", text[: mark.start()]), _MARK.sub("", text[mark.end() :])
    ends_turn = not after.strip() and _ASKS.search(before) is not None
    has_line = not before.rpartition("\n")[2].strip() and not after.partition("\n")[0].strip()
    return not before.strip() or ends_turn or has_line


def _texts(turn: Any, with_parts: bool) -> Iterator[tuple[int | None, str]]:
    if isinstance(turn, Mapping) and isinstance(turn.get("content"), str):
        yield None, turn["content"]
    elif with_parts:
        for number, part in enumerate(_parts(turn)):
            text = _text_of(part)
            if isinstance(text, str):
                yield number, text


def _split(turn: Any, number: int, chosen: Mapping[_Mark, Media]) -> Any:
    """Return a turn whose text is split at the marks that are places."""
    marks = [mark for mark in chosen if mark.turn == number]
    if not marks:
        return turn
    parts: list[Any] = []
    for position, part in [(None, turn["content"])] if isinstance(turn["content"], str) else enumerate(_parts(turn)):
        here = sorted((mark for mark in marks if mark.part == position), key=lambda mark: mark.start)
        parts += _split_text(_text_of(part), here, chosen) if here else [part]
    return {**turn, "content": parts}


def _split_text(text: str, marks: Sequence[_Mark], chosen: Mapping[_Mark, Media]) -> Iterator[Text | Media]:
    """Yield the pieces of a text; line breaks next to a mark belong to the mark and go with it."""
    position = 0
    for mark in marks:
        yield from _piece(text[position : mark.start], after_mark=position > 0, before_mark=True)
        yield chosen[mark]
        position = mark.end
    yield from _piece(text[position:], after_mark=True, before_mark=False)


def _piece(text: str, after_mark: bool, before_mark: bool) -> list[Text]:
    text = text.lstrip("\n") if after_mark else text
    text = text.rstrip("\n") if before_mark else text
    return [Text(text)] if text.strip() else []


def _parts(turn: Any) -> list[Any]:
    content = turn.get("content") if isinstance(turn, Mapping) else None
    return [*content] if is_list(content) else []


def _text_of(part: Any) -> Any:
    """Return the text of a part in any form; None if it is no text."""
    if isinstance(part, Text):
        return part.text
    return part if isinstance(part, str) else part["text"] if _is_text(part) and "text" in part else None


def _is_text(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") in TEXT_TYPES


def _is_empty(part: Any) -> bool:
    """Return whether a part says only that a medium stands here."""
    if not isinstance(part, Mapping) or not isinstance(part.get("type"), str) or _is_text(part):
        return False
    return all(value is None for key, value in part.items() if key not in ("type", "text", "index"))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN]) or "none"
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
