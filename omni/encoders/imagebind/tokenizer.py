"""The byte-pair encoding of CLIP (Radford et al. 2021), with which ImageBind reads text."""

import gzip
import html
from collections.abc import Sequence
from pathlib import Path

import ftfy
import torch
from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as Steps
from torch import Tensor

from omni.encoders.imagebind.stems import CONTEXT_LENGTH, VOCABULARY_SIZE
from omni.encoders.weights import find_weights

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_END_OF_WORD = "</w>"


class ClipTokenizer:
    """Turn texts into ids [B, 77] with begin and end tokens, and zeros after them.

    vocabulary: the published `bpe_simple_vocab_16e6.txt.gz` (or unpacked), or a folder with one such file.
    """

    def __init__(self, vocabulary: str | Path) -> None:
        path = find_weights(vocabulary, (".txt.gz", ".txt"))
        vocabulary_ids, merges = _read_vocabulary(path)
        self._begin, self._end = vocabulary_ids[BEGIN], vocabulary_ids[END]
        try:
            model = BPE(vocab=vocabulary_ids, merges=merges, end_of_word_suffix=_END_OF_WORD)
        except Exception as error:  # the library raises nothing more special
            raise ValueError(f"{path} is not CLIP's vocabulary ({error})") from error
        self._tokenizer = Tokenizer(model)
        self._tokenizer.normalizer = Lowercase()
        words = Split(Regex(_WORDS), behavior="removed", invert=True)
        self._tokenizer.pre_tokenizer = Steps([words, ByteLevel(add_prefix_space=False, use_regex=False)])

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Return ids int64 [B, 77]; a longer text is cut off and followed by the end token."""
        ids = torch.zeros(len(texts), CONTEXT_LENGTH, dtype=torch.long)
        for row, encoded in enumerate(self._tokenizer.encode_batch([clean_text(text) for text in texts])):
            full = [self._begin, *encoded.ids[: CONTEXT_LENGTH - 2], self._end]
            ids[row, : len(full)] = torch.tensor(full)
        return ids


def clean_text(text: str) -> str:
    """Repair wrongly decoded characters and HTML entities and reduce white space to single blanks, as CLIP does."""
    repaired = ftfy.fix_text(text)
    return " ".join(html.unescape(html.unescape(repaired)).split())


def _read_vocabulary(path: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Read ids by token, and merges in order: 256 bytes, the same at a word's end, one token a merge, two special ones.

    Raises ValueError if the file does not hold enough merges.
    """
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    num_merges = VOCABULARY_SIZE - 2 * 256 - 2
    lines = content.decode("utf-8").split("\n")[1 : num_merges + 1]  # the first line is a heading
    merges = [(first, second) for first, _, second in (line.partition(" ") for line in lines) if second]
    if len(merges) != num_merges:
        raise ValueError(f"{path} holds {len(merges)} merges instead of {num_merges}; it is not CLIP's vocabulary")
    characters = _byte_characters()
    tokens = [*characters, *(character + _END_OF_WORD for character in characters)]
    tokens += [first + second for first, second in merges] + [BEGIN, END]
    return {token: index for index, token in enumerate(tokens)}, merges


def _byte_characters() -> list[str]:
    """Return the character that stands for each byte in the file: printable bytes first, as themselves; then the
    others, as characters from 256 on (GPT-2's scheme)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [*map(chr, printable), *(chr(256 + index) for index in range(256 - len(printable)))]
