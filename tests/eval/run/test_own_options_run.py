"""A choice among the candidates of each row, from the file to the figure."""

import json
from pathlib import Path

import numpy as np
import pytest

from eval.run.runner import evaluate
from eval.task import Choose, Task
from omni.model import OmniModel
from omni.samples.messages import Media, Message, Text
from tests.tiny import recording, tiny_model

ROWS = [
    {"options": ["a frog", "a bell", "the drum"], "right": "B"},
    {"options": ["a dog", "a picture"], "right": "A"},
    {"options": "['a', 'the', 'what', 'this']", "right": "D"},
    {"options": ["a frog", "a bell"], "right": "C"},  # no such letter
    {"right": "A"},
]
POST_PROMPT = "\nAnswer briefly."


def write(folder: Path) -> Path:
    lines = []
    for index, row in enumerate(ROWS):
        np.save(folder / f"{index}.npy", recording(index))
        content = [{"type": "image", "path": f"{index}.npy"}, {"type": "text", "text": f"what is {index}?"}]
        lines.append(json.dumps({"id": str(index), "messages": [{"role": "user", "content": content}], **row}))
    (folder / "test.jsonl").write_text("\n".join(lines))
    return folder / "test.jsonl"


def task(data: Path, kind: Choose) -> Task:
    return Task(
        name="own",
        version=1,
        description="A choice among each row's own candidates.",
        data=str(data),
        modalities=("image",),
        prompt=None,
        post_prompt=POST_PROMPT,
        kind=kind,
        scorer="choice-sum-v1",
        target="meta:right",
    )


def test_each_row_is_asked_for_its_own_candidates(tiny_llm: Path, tmp_path: Path) -> None:
    model: OmniModel = tiny_model(tiny_llm)
    data = write(tmp_path)
    (result,) = evaluate(model, [task(data, Choose("meta:options", right_by="letter"))], progress=False).tasks
    expected = []
    for index, (options, right) in enumerate(
        [(["a frog", "a bell", "the drum"], 1), (["a dog", "a picture"], 0), (["a", "the", "what", "this"], 3)]
    ):
        question = Text(f"what is {index}?"), Text(POST_PROMPT)
        media = Media("image", path=str(tmp_path / f"{index}.npy"))
        expected.append(int(model.score([Message("user", (media, *question))], options).argmax()) == right)
    assert result.primary is not None
    assert result.primary.value == pytest.approx(np.mean(expected))
    assert result.chance == pytest.approx(np.mean([1 / 3, 1 / 2, 1 / 4]))
    assert {item["id"]: item["reason"] for item in result.bad} == {
        "3": "the right answer 'C' is no letter of the 2 candidates ['a frog', 'a bell']",
        "4": "has no candidates 'options' in its row; found ['right']",
    }
    assert result.settings["candidates"] == "meta:options, 2-4"
    assert result.settings["right_by"] == "letter"
    assert result.settings["post_prompt"] == POST_PROMPT


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ({"candidates": "typo"}, "candidates must be one of 'labels', 'answers', 'sampled', 'grouped', 'meta:KEY'"),
        ({"candidates": "meta:"}, "candidates must be one of"),
        ({"candidates": "answers", "right_by": "letter"}, "right_by='letter' belongs to Choose\\('meta:KEY'\\)"),
        ({"candidates": "meta:options", "right_by": "number"}, "right_by must be one of"),
    ],
)
def test_what_a_choice_cannot_be_is_named(kind: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        task(tmp_path, Choose(**kind))  # pyright: ignore[reportArgumentType]
