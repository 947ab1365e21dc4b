"""What `generate`, `score` and `embed` do at the edges: nothing to answer, no room left, options of other kinds."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from omni.model import OmniModel
from tests.tiny import CHATML, tiny_model, tiny_tokenizer

CONTEXT = 64


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return tiny_model(tiny_llm)


@pytest.fixture(scope="module")
def short_model(tmp_path_factory: pytest.TempPathFactory) -> OmniModel:
    """Over an LLM with a table of 64 positions, which fails on the 65th."""
    folder = tmp_path_factory.mktemp("gpt2")
    tokenizer = tiny_tokenizer(CHATML)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=CONTEXT, n_embd=32, n_layer=1, n_head=2, eos_token_id=2)
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tiny_model(folder)


def question(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def test_no_conversations_give_no_answers(model: OmniModel) -> None:
    assert model.generate([]) == []
    assert model.embed([]).shape == (0, model.llm.hidden_size)


@pytest.mark.parametrize("wrong", [None, "what?", {"role": "user", "content": "what?"}])
def test_what_is_no_conversation_is_named(model: OmniModel, wrong: Any) -> None:
    with pytest.raises(ValueError, match="expected a conversation, a list of messages"):
        model.generate(wrong)
    with pytest.raises(ValueError, match="expected a conversation, a list of messages"):
        model.embed(wrong)


def test_an_answer_ends_with_the_context(short_model: OmniModel) -> None:
    long = question("a " * 6 + "frog " * 4)
    length = short_model.prepare(long).length
    assert length < CONTEXT < length + 40
    at_the_end = short_model.generate(long, max_new_tokens=CONTEXT - length, eos_token_id=-1)
    assert short_model.generate(long, max_new_tokens=400, eos_token_id=-1) == at_the_end


def test_the_room_for_an_answer_is_not_that_of_longer_conversations_in_the_batch(short_model: OmniModel) -> None:
    conversations = [question("a " * 6 + "frog " * 4), question("what")]
    alone = [short_model.generate(one, max_new_tokens=30, eos_token_id=-1) for one in conversations]
    assert short_model.generate(conversations, max_new_tokens=30, eos_token_id=-1) == alone


def test_end_tokens_can_be_chosen(model: OmniModel) -> None:
    whole = model.generate(question("what is this?"), max_new_tokens=8, eos_token_id=-1)
    inputs = model.llm.tokenizer(whole, add_special_tokens=False)["input_ids"]
    cut = model.generate(question("what is this?"), max_new_tokens=8, eos_token_id=inputs)
    assert len(cut) < len(whole)


@pytest.mark.parametrize("options", [{"num_return_sequences": 2, "do_sample": True}, {"return_dict_in_generate": True}])
def test_options_that_give_something_else_than_one_text_are_refused(model: OmniModel, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="one text for each conversation"):
        model.generate(question("what?"), **options)


def test_candidates_that_are_no_texts_are_refused(model: OmniModel) -> None:
    with pytest.raises(ValueError, match="a list of candidates, texts"):
        model.score(question("what?"), [1, 2])  # pyright: ignore[reportArgumentType]
