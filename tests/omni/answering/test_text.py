"""Text while it grows: whole characters, no part of a stop string, in the end what the tokenizer makes of it all."""

from random import Random

import pytest
from transformers import PreTrainedTokenizerFast

from omni.answering.text import GrowingText
from omni.answering.token_text import TokenTexts
from tests.tiny import tiny_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer()


def grown(tokenizer: PreTrainedTokenizerFast, ids: list[int], *stop: str) -> tuple[list[str], str]:
    """The parts that may be shown as the tokens come until the text stops, and the rest."""
    text, parts = GrowingText(tokenizer, stop), []
    for token_id in ids:
        parts.append(text.add(token_id))
        if text.stopped:
            break
    return parts, text.finish()


def ids_of(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("text", ["  a frog  ", "", " \n ", "Grüße, 世界! 🐸🐸", "the dog\n\n drum  bell", "�x�"])
def test_the_whole_is_the_decoded_text_without_spaces_around_it(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    parts, rest = grown(tokenizer, ids_of(tokenizer, text))
    assert "".join(parts) + rest == text.strip()


def test_no_part_has_half_a_character(tokenizer: PreTrainedTokenizerFast) -> None:
    parts, rest = grown(tokenizer, ids_of(tokenizer, "x 世界🐸 ü"))
    assert [part for part in [*parts, rest] if part] == ["x", " 世", "界", "🐸", " ü"]


@pytest.mark.parametrize("seed", range(5))
def test_long_random_tokens_give_what_decoding_them_at_once_gives(
    tokenizer: PreTrainedTokenizerFast, seed: int
) -> None:
    random = Random(seed)
    ids = [random.randrange(len(tokenizer)) for _ in range(300)]
    if seed % 2:  # text that reads well, of which only a window is decoded
        ids = ids_of(tokenizer, " ".join(random.choice(["the frog", "世界", "🐸", "\n"]) for _ in range(90)))
    parts, rest = grown(tokenizer, ids)
    assert "".join(parts) + rest == tokenizer.decode(ids, skip_special_tokens=True).strip()


def test_a_token_of_a_long_text_decodes_no_more_than_a_window(tokenizer: PreTrainedTokenizerFast) -> None:
    text = GrowingText(tokenizer)
    lengths = []
    decode = text._decode
    text._decode = lambda start, end=None: lengths.append(len(text._token_ids) - start) or decode(start, end)
    for token_id in ids_of(tokenizer, "the frog of the drum " * 40):
        text.add(token_id)
    assert max(lengths) <= 49


@pytest.mark.parametrize(
    ("text", "stop", "shown"),
    [
        ("a frog and a dog", ("and",), "a frog"),
        ("a frog and a dog", ("dog", "frog"), "a"),
        ("a frog\n\nuser: x", ("\n\nuser",), "a frog"),
        ("a frog\n\nus", ("\n\nuser",), "a frog\n\nus"),
        ("aaab", ("aab",), "a"),
        ("frog", ("frog",), ""),
        ("Gr世界", ("界",), "Gr世"),
        ("a frog", ("zebra",), "a frog"),
    ],
)
def test_an_answer_ends_before_a_stop_string(
    tokenizer: PreTrainedTokenizerFast, text: str, stop: tuple[str, ...], shown: str
) -> None:
    parts, rest = grown(tokenizer, ids_of(tokenizer, text), *stop)
    assert "".join(parts) + rest == shown
    for end in range(len(parts) + 1):  # nothing was shown that had to be taken back
        assert shown.startswith("".join(parts[:end]))


def test_the_bytes_of_tokens_are_those_of_the_text(tokenizer: PreTrainedTokenizerFast) -> None:
    texts = TokenTexts(tokenizer)
    found = [texts.of(token_id) for token_id in ids_of(tokenizer, " a frög 世🐸")]
    assert b"".join(value for _, value in found).decode() == " a frög 世🐸"
    assert all(text == value.decode(errors="replace") for text, value in found)
    assert texts.of(2) == ("<|im_end|>", b"<|im_end|>")


def test_bytes_of_sentencepiece_tokens() -> None:
    from tokenizers import Tokenizer, decoders, models

    vocabulary = [("<unk>", 0.0), ("▁frog", -1.0), ("<0xE4>", -2.0), ("<0xB8>", -2.0), ("<0x96>", -2.0), ("s", -3.0)]
    backend = Tokenizer(models.Unigram(vocabulary, 0, True))
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    found = [TokenTexts(tokenizer).of(token_id)[1] for token_id in (1, 2, 3, 4, 5)]
    assert found == [b" frog", b"\xe4", b"\xb8", b"\x96", b"s"]
    parts, rest = grown(tokenizer, [1, 2, 3, 4, 5])
    assert "".join(parts) + rest == "frog世s"
    assert "�" not in "".join(parts)
