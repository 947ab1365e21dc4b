"""What `generate`, `score` and `embed` do at the edges: nothing to answer, no room left, options of other kinds."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel

from omni.model import OmniModel
from omni.model.generation_options import resolve_options
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


def question(text: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def test_no_conversations_give_no_answers(model: OmniModel) -> None:
    assert model.generate([]) == []
    assert model.embed([]).shape == (0, model.llm.hidden_size)


def test_pictures_in_the_own_keys_of_a_turn_are_seen(model: OmniModel) -> None:
    picture = np.ones((4, 3), np.float32)  # what the tiny encoder sees
    in_key = [{"role": "user", "content": "what is this?", "images": [picture]}]
    as_part = question([{"type": "image", "data": picture}, "what is this?"])
    embedded = model.embed([in_key, as_part, question("what is this?")])
    assert torch.equal(embedded[0], embedded[1])
    assert not torch.equal(embedded[0], embedded[2])
    answers = model.generate([in_key, as_part], max_new_tokens=4, eos_token_id=-1)
    assert answers[0] == answers[1]


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


# --- what the caller, the model and the LLM's folder say ---


class Count:
    """A streamer that keeps what it gets."""

    def __init__(self) -> None:
        self.ids: list[int] = []

    def put(self, value: torch.Tensor) -> None:
        self.ids += value.reshape(-1).tolist()

    def end(self) -> None:
        pass


def ids_of(model: OmniModel, **options: Any) -> list[int]:
    counted = Count()
    model.generate(question("what is this frog?"), streamer=counted, **options)
    return counted.ids


NEVER = {"eos_token_id": -1, "pad_token_id": 0}


def test_max_length_counts_the_conversation(model: OmniModel) -> None:
    length = model.prepare(question("what is this frog?")).length
    assert len(ids_of(model, max_length=length + 5, **NEVER)) == 5
    assert len(ids_of(model, generation_config=GenerationConfig(max_length=length + 6, **NEVER))) == 6
    # in a batch it counts each conversation, not the longest one with its pads
    both = [question("what is this frog?"), question("what?")]
    alone = [model.generate(one, max_length=length + 5, **NEVER) for one in both]
    assert model.generate(both, max_length=length + 5, **NEVER) == alone
    with pytest.raises(ValueError, match=rf"max_length={length} leaves no room .* {length} tokens"):
        ids_of(model, max_length=length)


def test_lengths_by_name_win_over_an_object(model: OmniModel) -> None:
    config = GenerationConfig(max_new_tokens=3, **NEVER)
    length = model.prepare(question("what is this frog?")).length
    assert len(ids_of(model, generation_config=config)) == 3
    assert len(ids_of(model, generation_config=config, max_new_tokens=7)) == 7
    assert len(ids_of(model, generation_config=config, max_length=length + 9)) == 9
    assert config.max_new_tokens == 3  # as the caller left it


def test_none_says_nothing(model: OmniModel) -> None:
    expected = ids_of(model)
    assert ids_of(model, max_new_tokens=None, max_length=None, generation_config=None, eos_token_id=None) == expected
    assert len(ids_of(model, max_new_tokens=None, **NEVER)) == 64


def test_min_length_counts_the_conversation_without_pads(model: OmniModel) -> None:
    length = model.prepare(question("what is this frog?")).length
    end = ids_of(model, max_new_tokens=1, **NEVER)  # the first token, which now ends the answer
    assert len(ids_of(model, max_new_tokens=20, eos_token_id=end)) == 1
    assert len(ids_of(model, max_new_tokens=20, eos_token_id=end, min_length=length + 4)) >= 4
    assert len(ids_of(model, max_new_tokens=20, eos_token_id=end, min_new_tokens=4)) >= 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be a whole number from 1 on"),
        ({"max_new_tokens": "many"}, "max_new_tokens must be a whole number"),
        ({"max_length": 12.5}, "max_length must be a whole number"),
        ({"generation_config": {"max_new_tokens": 3}}, "must be a GenerationConfig of transformers, not dict"),
        ({"inputs_embeds": torch.zeros(1, 1, 32)}, "makes inputs_embeds of the conversations itself"),
        (
            {"generation_config": GenerationConfig(num_return_sequences=2, do_sample=True)},
            "one text for each conversation",
        ),
        ({"max_new_token": 3}, "max_new_token"),
    ],
)
def test_options_that_make_no_sense_are_refused(model: OmniModel, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        model.generate(question("what?"), **options)


FOLDER_SETTINGS = [
    {"repetition_penalty": 1.8},
    {"num_beams": 4},
    {"no_repeat_ngram_size": 1},
    {"suppress_tokens": [*range(3, 300)]},
    {"do_sample": True, "temperature": 5.0, "top_k": 3},
    {"min_new_tokens": 30},
    {"max_length": 21},
    {"exponential_decay_length_penalty": [1, 9.0]},
]


@pytest.fixture(scope="module")
def llm_with(tmp_path_factory: pytest.TempPathFactory, tiny_llm: Path) -> Any:
    """Make a model over the tiny LLM, in whose folder generation_config.json says more."""

    def make(settings: dict[str, Any]) -> OmniModel:
        folder = tmp_path_factory.mktemp("settings") / "llm"
        shutil.copytree(tiny_llm, folder)
        file = folder / "generation_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | settings))
        return tiny_model(folder)

    return make


@pytest.mark.parametrize("settings", FOLDER_SETTINGS)
def test_greedy_is_greedy_whatever_the_llm_says(model: OmniModel, llm_with: Any, settings: dict[str, Any]) -> None:
    assert ids_of(llm_with(settings), max_new_tokens=12) == ids_of(model, max_new_tokens=12)


def test_what_the_llm_says_counts_for_sampling(model: OmniModel, llm_with: Any) -> None:
    only_best = llm_with({"top_k": 1, "max_new_tokens": 2})
    assert ids_of(only_best, do_sample=True, max_new_tokens=12) == ids_of(model, max_new_tokens=12)
    torch.manual_seed(0)
    assert ids_of(only_best, do_sample=True, top_k=300, temperature=9.0, max_new_tokens=12) != ids_of(
        model, max_new_tokens=12
    )


def test_what_the_caller_asks_for_counts_in_greedy_answers(model: OmniModel) -> None:
    penalised = ids_of(model, max_new_tokens=12, repetition_penalty=3.0, **NEVER)
    assert penalised != ids_of(model, max_new_tokens=12, **NEVER)
    config = GenerationConfig(max_new_tokens=12, repetition_penalty=3.0, **NEVER)
    assert ids_of(model, generation_config=config) == penalised


def test_a_config_of_the_llms_folder_stops_where_the_model_does(model: OmniModel, tiny_llm: Path) -> None:
    config = GenerationConfig.from_pretrained(tiny_llm)
    config.max_new_tokens = 64
    assert ids_of(model, generation_config=config) == ids_of(model)


def test_stop_strings_need_nothing_more(model: OmniModel) -> None:
    whole = model.generate(question("what is this?"), max_new_tokens=12, **NEVER)
    middle = whole[len(whole) // 2]
    assert len(model.generate(question("what is this?"), max_new_tokens=12, stop_strings=[middle], **NEVER)) < len(
        whole
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"guidance_scale": 1.5}, "guidance_scale=1.5 cannot work here"),
        ({"prefill_chunk_size": 4}, "prefill_chunk_size=4 cannot work here"),
        ({"encoder_repetition_penalty": 1.2}, "encoder_repetition_penalty=1.2 cannot work here"),
        ({"is_assistant": True}, "is_assistant=True cannot work here"),
        ({"num_beams": 0}, "num_beams must be a whole number from 1 on, not 0"),
        ({"num_beams": 1.5}, "num_beams must be a whole number"),
    ],
)
def test_options_that_cannot_work_with_embeddings_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_options(options, end_token_ids=[2], llm_defaults=GenerationConfig())


def test_neutral_values_of_these_options_are_no_mistake() -> None:
    neutral = {"guidance_scale": 1.0, "num_beams": 1, "encoder_repetition_penalty": None}
    assert resolve_options(neutral, end_token_ids=[2], llm_defaults=GenerationConfig()).values["num_beams"] == 1
