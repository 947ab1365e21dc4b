"""Questions about two media: balanced places, only those that the model finds again, and the suite that asks them."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from omni.readers import open_dataset
from omni.samples.messages import Message, Sample
from omni.samples.pairs import OPTIONS, draw_partners, pairs_by_key
from train.make_data.__main__ import main
from train.make_data.discriminate import KEPT, discriminating_questions


def captioned(folder: Path, name: str, modality: str, values: Sequence[tuple[str, str]]) -> Path:
    folder.mkdir(exist_ok=True)
    lines = []
    for index, (caption, category) in enumerate(values):
        media = {"type": modality, "path": f"{name}-{index}.npy"}
        messages = [{"role": "user", "content": [media]}, {"role": "assistant", "content": caption}]
        lines.append(json.dumps({"id": f"{name}-{index}", "messages": messages, "category": category}))
    (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return folder / f"{name}.jsonl"


PICTURES = [("A frog.", "animals"), ("A chair.", "furniture"), ("A dog.", "animals"), ("A sofa.", "furniture")] * 4
SOUNDS = [("A cow.", "animals"), ("A siren.", "vehicles")] * 3


def test_neither_place_nor_modality_tells_the_answer(tmp_path: Path) -> None:
    first, second = (
        captioned(tmp_path, name, name, values) for name, values in (("image", PICTURES), ("sound", SOUNDS))
    )
    output = tmp_path / "pairs.jsonl"
    arguments = ["discriminate", "--first", str(first), "--second", str(second), "--output", str(output)]
    assert main(arguments) == 0
    rows = [row for row in open_dataset(str(output)) if isinstance(row, Sample)]
    assert len(rows) == len(PICTURES)
    assert Counter(row.meta["answer"] for row in rows) == {OPTIONS[0]: 8, OPTIONS[1]: 8}
    order = Counter((row.media[0].modality, row.meta["answer"]) for row in rows)
    assert set(order.values()) == {4}
    for one in rows:
        right = OPTIONS.index(one.meta["answer"])
        categories = dict(PICTURES + SOUNDS)
        said, other = (categories[one.meta["captions"][place]] for place in (right, 1 - right))
        assert (said, one.meta["question"]) == (one.meta["value"], f'Which of the two belongs to "{said}"?')
        assert said != other
    before = output.read_bytes()
    assert main(arguments) == 0
    assert output.read_bytes() == before


def test_partners_are_drawn_evenly_and_never_of_the_same_value() -> None:
    partners = draw_partners(["a"] * 30, ["a", "b", "b", "c"], seed=0)
    assert Counter(partners) == {1: 10, 2: 10, 3: 10}
    assert draw_partners(["a"], ["a"], seed=0) == [None]


@pytest.mark.parametrize(
    ("key", "question", "message"),
    [("kind", "Which is {value}?", "'kind' in its row"), ("category", "Which?", "no {value} in it")],
)
def test_what_cannot_be_asked_is_refused(key: str, question: str, message: str, tmp_path: Path) -> None:
    rows = list(open_dataset(str(captioned(tmp_path, "image", "image", PICTURES))))
    samples = [row for row in rows if isinstance(row, Sample)]
    with pytest.raises(ValueError, match=message):
        pairs_by_key(samples, samples, key, 0, question)


class Sees:
    """A language model that asks what it is told to, and finds a caption by the word of the question in it."""

    def __init__(self, *questions: str) -> None:
        self.questions = list(questions)

    def __call__(self, conversations: Sequence[list[Message]]) -> list[str]:
        return [self.reply(conversation[-1].text) for conversation in conversations]

    def reply(self, request: str) -> str:
        lines = dict(line.split(": ", 1) for line in request.splitlines() if ": " in line)
        if "Question" not in lines:
            return self.questions.pop(0)
        word = lines["Question"].rstrip("?").split()[-1]
        return "first" if word in lines["First"] else "second" if word in lines["Second"] else "first"


def test_a_question_is_kept_only_if_the_right_one_is_found_in_both_orders() -> None:
    pairs = [("A green frog.", "A bell rings.")] * 4
    model = Sees(
        "Which of the two is a frog?", "Which of the two is a frog?", "Which of the two is a cat?", "The first one?"
    )
    made = discriminating_questions(model, pairs, [0, 1, 0, 0])
    assert [one.outcome == KEPT for one in made] == [True, False, False, False]
    assert "in both orders" in made[1].outcome
    assert "of the form" in made[3].outcome


def test_rows_that_cannot_be_used_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = captioned(tmp_path, "image", "image", PICTURES)
    first.write_text(first.read_text() + "\n{}\n")
    second = captioned(tmp_path, "sound", "sound", SOUNDS)
    output = str(tmp_path / "pairs.jsonl")
    assert main(["discriminate", "--first", str(first), "--second", str(second), "--output", output]) == 0
    assert "1  unusable row: " in capsys.readouterr().out
    empty = tmp_path / "empty.jsonl"
    empty.write_text(json.dumps({"id": "one", "messages": [{"role": "user", "content": "No media."}]}))
    assert main(["discriminate", "--first", str(empty), "--second", str(second), "--output", output + "2"]) == 1
