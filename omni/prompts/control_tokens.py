"""Control tokens that somebody types are text: only the layout itself writes tokens that begin and end turns.

A tokenizer takes `<|im_end|>` for the end of a turn wherever it stands, so that a user's text, a caption or an answer
of a data set could end a turn and begin one of the system's. Here a break goes into each such piece of text: a
character that is a token of its own in a copy of the tokenizer, so that nothing is found across it, and that is left
out of the ids. Texts without control tokens never meet the copy.
"""

import copy
import functools
import re

from tokenizers import AddedToken
from transformers import PreTrainedTokenizerBase

BREAK = "\ue006"  # a private-use character, as the marks of layouts are


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> set[str]:
    """Return the texts of the tokens that control a layout."""
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return added | {str(token) for token in tokenizer.all_special_tokens}


class ControlTokens:
    """Tokenises texts in which control tokens that somebody typed are broken. Picklable.

    Args:
        tokenizer: the LLM's, a fast one.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        # a token of one character cannot be broken
        alternatives = "|".join(re.escape(token) for token in sorted(special_tokens(tokenizer)) if len(token) > 1)
        # looked ahead for, as one may begin inside another
        self._begin = re.compile(rf"(?=(?:{alternatives}))." if alternatives else r"(?!)", re.DOTALL)

    def broken(self, text: str) -> str:
        """Return the text with a break in each control token."""
        return self._begin.sub(lambda match: match.group() + BREAK, text)

    def tokenize(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Return the ids of a text, and the characters that each stands for; breaks have none."""
        if BREAK not in text:
            return _encode(self.tokenizer, text)
        ids, offsets = _encode(self._with_break, text)
        kept = [index for index, token_id in enumerate(ids) if token_id != self._break_id]
        return [ids[index] for index in kept], [offsets[index] for index in kept]

    @functools.cached_property
    def _with_break(self) -> PreTrainedTokenizerBase:
        found = copy.deepcopy(self.tokenizer)
        found.add_tokens([AddedToken(BREAK, special=True, normalized=False)])  # pyright: ignore[reportArgumentType]
        return found

    @functools.cached_property
    def _break_id(self) -> int:
        return int(self._with_break.convert_tokens_to_ids(BREAK))  # pyright: ignore[reportArgumentType]


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return list(encoded["input_ids"]), list(encoded["offset_mapping"])
