"""Preference data: every form in use is read as a prompt with two answers; what is wrong is said."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from omni.readers import open_dataset
from omni.readers.huggingface import read_datasets
from omni.samples.messages import Message, Sample, SampleError, Text, parse_sample
from omni.samples.preferences import parse_preference

QUESTION = {"role": "user", "content": "What is this?"}
GOOD = {"role": "assistant", "content": "A frog."}
BAD = {"role": "assistant", "content": "A drum."}

FORMS: dict[str, dict[str, Any]] = {
    "texts": {"messages": [QUESTION], "chosen": "A frog.", "rejected": "A drum."},
    "messages": {"messages": [QUESTION], "chosen": GOOD, "rejected": BAD},
    "lists of turns": {"messages": [QUESTION], "chosen": [GOOD], "rejected": [BAD]},
    "prompt as text": {"prompt": "What is this?", "chosen": "A frog.", "rejected": "A drum."},
    "prompt as turns": {"prompt": [QUESTION], "chosen": [GOOD], "rejected": [BAD]},
    "prompt repeated": {"prompt": "What is this?", "chosen": [QUESTION, GOOD], "rejected": [QUESTION, BAD]},
    "prompt within": {"chosen": [QUESTION, GOOD], "rejected": [QUESTION, BAD]},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_as_the_same_prompt_and_answers(form: str) -> None:
    sample = parse_sample({"id": "1", **FORMS[form]})
    assert sample.messages == (Message("user", (Text("What is this?"),)),)
    preference = parse_preference(sample)
    assert preference.chosen == (Message("assistant", (Text("A frog."),)),)
    assert preference.rejected == (Message("assistant", (Text("A drum."),)),)


def test_answers_may_have_further_turns() -> None:
    turns = [GOOD, {"role": "user", "content": "Sure?"}, {"role": "assistant", "content": "Yes."}]
    preference = parse_preference(parse_sample({"id": "1", "messages": [QUESTION], "chosen": turns, "rejected": BAD}))
    assert [message.text for message in preference.chosen] == ["A frog.", "Sure?", "Yes."]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rejected": None}, "'rejected' is missing"),
        ({"rejected": "A frog. "}, "are the same"),
        ({"rejected": "  "}, "'rejected' is empty"),
        ({"rejected": 3}, "must be a text, an assistant's message or a list of turns, got int"),
        ({"rejected": []}, "must be a text"),
        ({"rejected": [{"role": "user", "content": "What?"}, BAD]}, "does not repeat the prompt"),
        ({"rejected": [BAD, QUESTION]}, "must begin and end with a turn of the assistant"),
        (
            {"rejected": [{"role": "assistant", "content": [{"type": "image", "path": "a.png"}]}]},
            "holds media",
        ),
        ({"messages": [QUESTION, GOOD]}, "must end with the user's turn"),
    ],
)
def test_what_is_wrong_with_a_pair_is_said_with_its_id(changes: dict[str, Any], reason: str) -> None:
    sample = parse_sample({"id": "pair-7", **FORMS["texts"], **changes})
    with pytest.raises(SampleError, match=reason) as error:
        parse_preference(sample)
    assert error.value.sample_id == "pair-7"


def test_row_without_any_prompt_is_refused() -> None:
    with pytest.raises(SampleError, match="there is no 'prompt'"):
        parse_sample({"id": "1", "chosen": "A frog.", "rejected": "A drum."})
    with pytest.raises(SampleError, match="do not begin alike"):
        parse_sample({"id": "1", "chosen": [GOOD], "rejected": [BAD]})


def test_manifest_of_pairs_resolves_the_paths_of_its_media(tmp_path: Path) -> None:
    prompt = [{"role": "user", "content": [{"type": "image", "path": "frog.png"}, {"type": "text", "text": "What?"}]}]
    row = {"id": "1", "prompt": prompt, "chosen": "A frog.", "rejected": "A drum."}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    sample = open_dataset(tmp_path / "pairs.jsonl")[0]
    assert isinstance(sample, Sample)
    assert sample.media[0].path == str(tmp_path / "frog.png")
    assert parse_preference(sample).rejected[0].text == "A drum."


@pytest.mark.parametrize("placed", [True, False], ids=["placed in the prompt", "before the prompt"])
def test_pairs_of_the_datasets_library_take_their_media_from_columns(placed: bool) -> None:
    content = [{"type": "image", "text": None}, {"type": "text", "text": "What is this?"}]
    table = datasets.Dataset.from_dict(
        {
            "image": [{"path": "/pictures/frog.png", "bytes": None}],
            "prompt": [[{"role": "user", "content": content}] if placed else "What is this?"],
            "chosen": [[GOOD]],
            "rejected": [[BAD]],
        }
    )
    sample = read_datasets(table.cast_column("image", datasets.Image()))[0]
    assert isinstance(sample, Sample)
    (message,) = sample.messages
    assert [part.path for part in message.media] == ["/pictures/frog.png"]
    assert message.text == "What is this?"
    assert parse_preference(sample).chosen[0].text == "A frog."


def test_media_in_the_own_keys_of_a_prompt_are_in_the_prompt_and_those_of_an_answer_refused() -> None:
    seen = {**QUESTION, "images": ["a.png"]}
    for row in (
        {"prompt": [seen], "chosen": [GOOD], "rejected": [BAD]},
        {"chosen": [seen, GOOD], "rejected": [seen, BAD]},
    ):
        sample = parse_sample({"id": "1", **row})
        assert [item.path for item in sample.media] == ["a.png"]
        assert parse_preference(sample).chosen == (Message("assistant", (Text("A frog."),)),)
    sample = parse_sample({"id": "1", "prompt": [QUESTION], "chosen": [{**GOOD, "image": "b.png"}], "rejected": [BAD]})
    with pytest.raises(SampleError, match="'chosen' holds media"):
        parse_preference(sample)
