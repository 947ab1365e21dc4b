"""The bytes that a single token stands for, as OpenAI's log-likelihoods name them."""

import functools
import re
from typing import cast

from transformers import PreTrainedTokenizerBase

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")  # SentencePiece's, of a byte that has no token of its own
_SPACE = "\u2581"  # SentencePiece's


class TokenTexts:
    """Says what single tokens stand for; remembers what it was asked.

    Args:
        tokenizer: the LLM's.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", None)
        self._byte_level = backend is not None and "ByteLevel" in str(backend.decoder)
        self._special = {*tokenizer.all_special_ids}
        self._found: dict[int, tuple[str, bytes]] = {}

    def of(self, token_id: int) -> tuple[str, bytes]:
        """Return the text of a token and its bytes; U+FFFD stands in the text for what is no whole character."""
        if token_id not in self._found:
            found = self._bytes(token_id)
            self._found[token_id] = found.decode(errors="replace"), found
        return self._found[token_id]

    def _bytes(self, token_id: int) -> bytes:
        token = cast(str | None, self._tokenizer.convert_ids_to_tokens(token_id))
        if token is None:  # a row of the embeddings that the tokenizer has no token for
            return b""
        if token_id in self._special:
            return token.encode()
        if self._byte_level and all(character in _byte_values() for character in token):
            return bytes(_byte_values()[character] for character in token)
        byte = _BYTE_TOKEN.fullmatch(token)
        if byte:
            return bytes([int(byte[1], 16)])
        if _SPACE in token:
            return token.replace(_SPACE, " ").encode()
        return cast(str, self._tokenizer.decode([token_id])).encode()


@functools.cache
def _byte_values() -> dict[str, int]:
    """The byte that each character of a byte-level vocabulary stands for (GPT-2, Radford et al. 2019).

    Bytes that are printable in Latin-1 stand for themselves; the others, in their order, are the characters from 256.
    """
    printable = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
