"""MMAU, MMAR, MMSU, MuChoMusic and AudioBench's form, from official files to scores."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval.data.opening import open_official
from eval.tasks import TASKS
from omni.model import OmniModel
from tests.eval.data.brief import asked, bad, plan, run
from tests.eval.data.official import check, decoding_model, parquet, sound, write_json

QUESTION = "Which animal?"
OPTIONS = [["a frog", "a toad", "a newt", "an owl"], ["a dog", "a cat"]]


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return decoding_model(tiny_llm, "sound", "speech")


def mmau(folder: Path, right: tuple[str, str] = ("a toad", "(A) a dog")) -> Path:
    """Paths begin with `./`, and the options of one question have their letters."""
    rows = [
        {"id": "x-1", "audio_id": "./test-mini-audios/x-1.wav", "choices": OPTIONS[0], "answer": right[0]},
        {
            "id": "x-2",
            "audio_id": "./test-mini-audios/x-2.wav",
            "choices": ["(A) a dog", "(B) a cat"],
            "answer": right[1],
        },
    ]
    rows = [{**row, "question": QUESTION, "task": "sound", "difficulty": "easy"} for row in rows]
    write_json(folder / "mmau-test-mini.json", rows)
    return with_sounds(folder / "test-mini-audios", "x-1.wav", "x-2.wav").parent


def mmar(folder: Path) -> Path:
    rows = [
        {
            "id": f"m-{n}",
            "audio_path": f"./audio/{n}.wav",
            "question": QUESTION,
            "choices": OPTIONS[n],
            "answer": answer,
        }
        for n, answer in enumerate(["a toad", "a dog"])
    ]
    write_json(
        folder / "MMAR-meta.json", [{**row, "modality": "mix-sound-music", "category": "Signal"} for row in rows]
    )
    return with_sounds(folder / "audio", "0.wav", "1.wav").parent


def mmsu(folder: Path) -> Path:
    """JSON lines; the second question has two options, and one that is a number."""
    rows = [
        {
            "id": "s-1",
            "answer_gt": "a toad",
            **dict(zip(("choice_a", "choice_b", "choice_c", "choice_d"), OPTIONS[0], strict=True)),
        },
        {"id": "s-2", "answer_gt": 2, "choice_a": 2, "choice_b": 3, "choice_c": None},
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "question").mkdir()
    more = {"question": QUESTION, "task_name": "t", "category": "c"}
    lines = [json.dumps({**row, **more, "audio_path": f"audio/{row['id']}.wav"}) for row in rows]
    (folder / "question" / "mmsu.jsonl").write_text("\n".join(lines) + "\n")
    return with_sounds(folder / "audio", "s-1.wav", "s-2.wav").parent


def muchomusic(folder: Path) -> Path:
    """The right answer stands first; one track is of the Song Describer Dataset, one clip of MusicCaps."""
    names = "question_id,question,correct_answer,distractor_1_answer,distractor_2_answer,distractor_3_answer"
    lines = [
        f"{names},dataset,dataset_identifier,genre",
        f"q1,{QUESTION},a toad,a frog,a newt,an owl,sdd,1004034,rock",
        f"q2,{QUESTION},a toad,a frog,a newt,an owl,musiccaps,-0SdAV_K-X_30,jazz",
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "muchomusic.csv").write_text("\n".join(lines))
    with_sounds(folder / "audio" / "34", "1004034.2min.wav")
    with_sounds(folder / "musiccaps", "-0SdAV_K-X_30.wav")
    return folder


def with_sounds(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        sound(folder / name, number)
    return folder


SETS: list[tuple[str, str, Callable[[Path], Path], int]] = [
    ("mmau", "mmau/test-mini", mmau, 1_000),
    ("mmar", "mmar/test", mmar, 1_000),
    ("mmsu", "mmsu/test", mmsu, 5_000),
    ("muchomusic", "muchomusic/test", muchomusic, 1_187),
]


@pytest.mark.parametrize(("task", "source", "fixture", "number"), SETS)
def test_options_are_listed_and_the_letter_is_read(
    task: str, source: str, fixture: Callable[[Path], Path], number: int, model: OmniModel, tmp_path: Path
) -> None:
    folder = fixture(tmp_path)
    result = run(TASKS[task], folder, model)
    assert (result.status, result.num_items, result.bad, result.scorer) == ("computed", 2, [], "multiple-choice-v1")
    first = result.items[0]
    head, *listed, last = first.question.split("\n")
    assert (head, last) == (QUESTION, "Answer with the option's letter from the given choices directly.")
    assert [line[:3] for line in listed] == ["A. ", "B. ", "C. ", "D. "]
    assert {line[3:] for line in listed} == {*OPTIONS[0]}
    assert first.target == "a toad"
    ranked = run(TASKS[f"{task}-likelihood"], folder, model)
    assert [item.target for item in ranked.items] == [item.target for item in result.items]
    assert ranked.chance == result.chance
    found = check(source, folder)
    assert (found.num_items, found.num_bad, found.num_expected) == (2, 0, number)


def mirror_of(task: str, folder: Path) -> dict[str, list[Any]]:
    """The same two questions in the columns of the hub's table."""
    content = [{"bytes": path.read_bytes()} for path in sorted(folder.rglob("*.wav"))]
    if task == "mmsu":
        columns = {f"choice_{letter}": [OPTIONS[0][n], [2, 3, None, None][n]] for n, letter in enumerate("abcd")}
        columns = {key: [None if one is None else str(one) for one in values] for key, values in columns.items()}
        return {"audio": content, "question": [QUESTION] * 2, **columns, "answer": ["B", "A"]}
    if task == "muchomusic":
        rows = [*open_official("official:muchomusic/test", folder)]
        options = [row.meta["options"] for row in rows]
        content = [{"bytes": Path(str(row.media[0].path)).read_bytes()} for row in rows]
        return {"context": content, "instruction": [QUESTION] * 2, "choices": options, "answer": ["a toad"] * 2}
    texts = [json.dumps(options) for options in OPTIONS]
    return {"audio": content, "question": [QUESTION] * 2, "choices": texts, "answer": ["a toad", "a dog"]}


@pytest.mark.parametrize("task", [task for task, *_ in SETS])
def test_a_mirror_asks_the_same(task: str, tmp_path: Path) -> None:
    fixture = next(fixture for name, _, fixture, _ in SETS if name == task)
    official = fixture(tmp_path / "official")
    split = "test_mini" if task == "mmau" else "test"
    parquet(tmp_path / "mirror" / "data" / f"{split}-00000-of-00001.parquet", mirror_of(task, official))
    one, other = (plan(task, folder) for folder in (official, tmp_path / "mirror"))
    assert asked(one) == asked(other)
    assert len(other.items) == 2


def test_a_right_answer_that_is_no_option_is_named_and_its_neighbour_asked(tmp_path: Path) -> None:
    folder = mmau(tmp_path, ("a bird", "a dog"))
    for task in ("mmau", "mmau-likelihood"):
        found = plan(task, folder)
        ((id, reason),) = bad(found)
        assert (len(found.items), id) == (1, "x-1")
        assert reason.startswith("the right answer 'a bird' is none of the options")


def test_what_is_missing_is_named(model: OmniModel, tmp_path: Path) -> None:
    folder = mmau(tmp_path)
    (folder / "test-mini-audios" / "x-2.wav").unlink()
    found = check("mmau/test-mini", folder)
    assert (found.num_items, found.num_missing) == (1, 1)
    assert found.missing[0].startswith("test-mini-audios/x-2.wav or x-2.wav is not in")
    write_json(folder / "mmau-test-mini.json", [])
    assert run(TASKS["mmau"], folder, model).status == "not computed"
    write_json(folder / "mmau-test-mini.json", [{"id": "x", "audio_id": "./x-1.wav", "question": "?", "answer": "a"}])
    assert check("mmau/test-mini", folder).bad[0].reason.startswith("has no 'choices'; found id, audio_id")


def test_answers_that_are_not_public_are_said_to_be_missing(model: OmniModel, tmp_path: Path) -> None:
    folder = mmau(tmp_path, ("", ""))
    (folder / "mmau-test-mini.json").rename(folder / "mmau-test.json")
    assert check("mmau/test", folder).num_items == 2
    result = run(TASKS["mmau"].changed(data="official:mmau/test"), folder, model)
    assert result.status == "not computed"
    assert "x-1: has no 'answer' in its row" in result.reason


@pytest.mark.parametrize("nested", [False, True])
def test_audiobench_asks_its_instruction(nested: bool, model: OmniModel, tmp_path: Path) -> None:
    content: list[Any] = [{"bytes": sound(tmp_path / f"{n}.wav", n).read_bytes()} for n in range(2)]
    instructions: list[Any] = ["What is said?", "Write it down."]
    answers: list[Any] = ["a frog", "a dog"]
    if nested:
        content = [{"audio": one, "text": None} for one in content]
        instructions, answers = ([{"audio": None, "text": one} for one in texts] for texts in (instructions, answers))
    columns = {"context": content, "instruction": instructions, "answer": answers}
    parquet(tmp_path / "table" / "test-0.parquet", columns)
    for task, scorer in (
        ("audiobench-transcription", "transcription-english-v1"),
        ("audiobench-answers", "exact-match-v2"),
    ):
        result = run(TASKS[task], tmp_path / "table", model)
        assert (result.status, result.num_items, result.scorer) == ("computed", 2, scorer)
        assert [(i.question, i.target) for i in result.items] == [
            ("What is said?", "a frog"),
            ("Write it down.", "a dog"),
        ]
