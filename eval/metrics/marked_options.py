"""The options that a question lists, such as `A. frog` and `B. toad` on lines of their own, or `(a) up (b) down`."""

import re
from collections.abc import Sequence

from eval.data.letters import LETTERS, letter_index
from eval.items.spellings import one_spelling

_MARK = re.compile(r"(?<!\S)(?:\(([A-Za-z])\)|\[([A-Za-z])\]|([A-Za-z])[.):])(?=\s)")


def marked_options(question: str) -> tuple[str, ...]:
    """Return the texts of the options that a question lists last, in their order; () if it lists none.

    Options are marked by letters from A on, in one case and one style. The text of an option ends where the next one
    begins, that of the last one at the end of its line.
    """
    found: list[re.Match[str]] = []
    run: list[re.Match[str]] = []
    for mark in _MARK.finditer(question):
        if _letter(mark).upper() == "A":
            run = [mark]
        elif run and _follows(run[-1], mark):
            run.append(mark)
        if len(run) > 1:
            found = run
    ends = [mark.start() for mark in found[1:]]
    if found:
        line = question.find("\n", found[-1].end())
        ends.append(len(question) if line < 0 else line)
    return tuple(question[mark.end() : end].strip() for mark, end in zip(found, ends, strict=True))


def _letter(mark: re.Match[str]) -> str:
    return next(filter(None, mark.groups()))


def _follows(before: re.Match[str], mark: re.Match[str]) -> bool:
    return before.lastindex == mark.lastindex and ord(_letter(mark)) == ord(_letter(before)) + 1


def right_option(answer: str, options: Sequence[str]) -> int:
    """Return the index of the option that a right answer names: by its letter (`B`, `(b)`, `B.`) or by its text.

    Raises:
        ValueError: it names none, or a letter of one option that is the text of another.
    """
    letter = letter_index(answer)
    by_letter = [] if letter is None or letter >= len(options) else [letter]
    said, *spelled = one_spelling([answer, *options])
    by_text = [index for index, option in enumerate(spelled) if option == said]
    found = {*by_letter, *by_text}
    if len(found) == 1:
        return found.pop()
    listed = ", ".join(f"{letter}. {option!r}" for letter, option in zip(LETTERS, options, strict=False))
    problem = "names more than one" if found else "names none"
    raise ValueError(
        f"the right answer {answer!r} {problem} of its options {listed}; give the letter or the text of one"
    )
