"""A tokenizer that knows whole texts by heart, so that a test can say which ids each piece has."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast


def table_tokenizer(
    texts: Mapping[str, Sequence[int]], size: int, special: Mapping[str, int], eos: str, pad: str | None = None
) -> PreTrainedTokenizerFast:
    """`texts` -> their ids, each only where it stands alone; ids below `size`."""
    characters = {chr(0x4E00 + index): index for index in range(size)}
    for token, index in special.items():
        del characters[chr(0x4E00 + index)]
        characters[token] = index
    tokenizer = Tokenizer(models.WordLevel(characters, unk_token=eos))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(rf"\A{re.escape(text)}\z"), "".join(chr(0x4E00 + index) for index in ids))
            for text, ids in texts.items()
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=eos, pad_token=pad or eos)


def save_table_tokenizer(folder: Path, *arguments: object, **options: object) -> Path:
    """Write one to a folder; returns it."""
    table_tokenizer(*arguments, **options).save_pretrained(folder)  # pyright: ignore[reportArgumentType]
    return folder
