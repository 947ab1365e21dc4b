"""What else is in a batch changes no number: losses, scores, embeddings and answers are those of each alone."""

from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from tests.architectures import CONVERSATIONS, answer_alone, tiny_architecture, try_llm
from tests.tiny import MLP, tiny_model

ARCHITECTURES = {
    "rwkv": "one at a time",  # its state remembers pads
    "phi3": "padded, apart at 40 tokens",  # LongRoPE
    "phimoe": "padded, apart at 40 tokens",
    "gpt_neo": "padded",  # local attention under a name of its own
    "recurrent_gemma": "padded",  # a cache that cannot say its length
    "roberta": "one at a time",  # positions from the id of the pad on
    "camembert": "one at a time",
    "ctrl": "padded",  # it writes into the embeddings that it is given
    "moshi": "padded",  # wrong behind its cache once the window is full
    "mistral": "padded",
    "gemma2": "padded",
    "mamba": "padded",
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_batch_gives_what_transformers_gives_for_each_alone(name: str, tmp_path: Path) -> None:
    found = try_llm(name, tiny_architecture(name, tmp_path))
    assert not found.refusal
    assert found.batch == ARCHITECTURES[name]
    assert found.is_exact, found


@pytest.mark.parametrize("num_new_tokens", [1, 4, 12])
def test_an_answer_that_grows_beyond_the_switch_is_that_of_the_whole_conversation(
    num_new_tokens: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_architecture("phi3", tmp_path)
    model = tiny_model(folder, adapters={"image": MLP})
    length = len(model.prepare(CONVERSATIONS[2][:1]).token_ids) - 1 + 12
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": length + 3}
    rope |= {"short_factor": [1.0] * 4, "long_factor": [4.0, 6.0, 8.0, 10.0]}
    folder = tiny_architecture(
        "phi3", tmp_path / "close", rope_parameters=rope, original_max_position_embeddings=length + 3
    )
    model = tiny_model(folder, adapters={"image": MLP})
    assert model.llm.length_switches == (length + 3,)
    reference = AutoModelForCausalLM.from_pretrained(folder).eval()
    monkeypatch.setattr("tests.architectures._NUM_NEW_TOKENS", num_new_tokens)
    asked = [one[:1] for one in CONVERSATIONS]
    expected = [answer_alone(reference, model, one) for one in asked]
    assert model.generate(asked, max_new_tokens=num_new_tokens) == expected


@pytest.mark.parametrize(("name", "words"), [("rwkv", "one at a time"), ("phi3", "more than 40 tokens otherwise")])
def test_a_warning_says_once_that_conversations_run_apart(
    name: str, words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny_model(tiny_architecture(name, tmp_path), adapters={"image": MLP})
    asked = [one[:1] for one in CONVERSATIONS]
    for _ in range(2):
        model.embed(asked)
        model.generate(asked, max_new_tokens=2)
    assert sum(words in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize("options", [{"repetition_penalty": 3.0}, {"repetition_penalty": 1.5, "num_beams": 2}])
def test_a_penalty_on_repetition_is_that_of_each_alone(options: dict[str, float], tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm, adapters={"image": MLP})
    asked = [one[:1] for one in [*CONVERSATIONS, CONVERSATIONS[0]]]
    found = model.generate(asked, max_new_tokens=8, **options)
    assert found == [model.generate(one, max_new_tokens=8, **options) for one in asked]
