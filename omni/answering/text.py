"""The text of an answer while it grows: what of it may be shown, and whether a stop string has come."""

from collections.abc import Sequence
from typing import cast

from transformers import PreTrainedTokenizerBase

REPLACEMENT = "\ufffd"  # stands in decoded text for bytes that are no whole character
_WINDOW = 48  # tokens that are decoded again with each new one, at most, unless the text there is not settled
_CONTEXT = 12  # of these stay when the window moves on
_CLEANED = 4  # characters that a tokenizer which cleans up spaces may still change: those of " n't"


class GrowingText:
    """Decodes the tokens of one answer one by one; the whole is what transformers' `generate` gives, stripped.

    `released` is what may be shown: it never ends in half a character, in what a stop string may begin with, or in
    spaces, which the end of the answer drops.

    Args:
        tokenizer: the LLM's.
        stop: texts that end the answer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop = tuple(stop)
        self._token_ids: list[int] = []
        self._before = ""  # text of the tokens before the window
        self._window = 0  # its first token
        self._text = ""  # of all tokens
        self._ends: list[int] = []  # of the text after each token
        self._cut: int | None = None  # where a stop string begins
        self._searched = 0  # no stop string begins before
        self._shown = 0  # characters of the text that were released, leading spaces included
        self._held = _CLEANED if getattr(tokenizer, "clean_up_tokenization_spaces", False) else 0

    @property
    def stopped(self) -> bool:
        """Whether a stop string has come."""
        return self._cut is not None

    @property
    def ends(self) -> Sequence[int]:
        """How many characters the text had after each token, leading spaces included."""
        return self._ends

    @property
    def cut(self) -> int | None:
        """The character at which a stop string begins; None = none has come."""
        return self._cut

    @property
    def shown(self) -> int:
        """How many characters were released, leading spaces included."""
        return self._shown

    def add(self, token_id: int) -> str:
        """Take a token, and return the text that may be shown now and could not before."""
        self._token_ids.append(token_id)
        self._text = self._before + self._decode(self._window)
        self._ends.append(len(self._text))
        self._look_for_stop()
        self._move_window()
        return self._release(self._settled())

    def finish(self) -> str:
        """Return the rest of the text."""
        whole = self._text if self._cut is None else self._text[: self._cut]
        return self._release(len(whole.rstrip()))

    def _release(self, end: int) -> str:
        if self._shown == 0:
            self._shown = min(end, len(self._text) - len(self._text.lstrip()))
        found = self._text[self._shown : end]
        self._shown = max(self._shown, end)
        return found

    def _settled(self) -> int:
        """How many characters no further token can change or drop."""
        if self._cut is not None:
            return len(self._text[: self._cut].rstrip())
        text = self._text.rstrip(REPLACEMENT)
        if self._held:
            text = text[: -self._held]
        text = text[: len(text) - self._begun(text)]
        return len(text.rstrip())

    def _begun(self, text: str) -> int:
        """How many last characters of the text a stop string may begin with."""
        longest = 0
        for stop in self._stop:
            for size in range(min(len(stop) - 1, len(text)), longest, -1):
                if text.endswith(stop[:size]):
                    longest = size
                    break
        return longest

    def _look_for_stop(self) -> None:
        if not self._stop:
            return
        found = [place for stop in self._stop if (place := self._text.find(stop, self._searched)) >= 0]
        if found:
            self._cut = min(found)
        # what is not settled may turn into something else: half a character, the beginning of a stop string
        self._searched = max(self._searched, min(self._settled(), self._shown))

    def _decode(self, start: int, end: int | None = None) -> str:
        return cast(str, self._tokenizer.decode(self._token_ids[start:end], skip_special_tokens=True))

    def _move_window(self) -> None:
        """Leave out tokens whose text is settled, so that a token costs the same at any length.

        A few before the new ones stay, for tokenizers to whom the first token is something else.
        """
        count = len(self._token_ids)
        if count - self._window < _WINDOW or self._text.endswith(REPLACEMENT) or self._held:
            return
        start = count - _CONTEXT
        tail = self._decode(start)
        if tail and not tail.startswith(REPLACEMENT) and self._text.endswith(tail):
            self._before = self._text[: len(self._text) - len(tail)]
            self._window = start
