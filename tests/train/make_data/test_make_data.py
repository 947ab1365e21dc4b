"""Question-answer pairs from captions: only those whose answer is found again, whenever the command is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from omni import starter
from omni.readers import open_dataset
from omni.samples.messages import Message, Sample
from tests.train.runs import REPOSITORY, environment, row, write_manifest
from train.make_data.__main__ import main
from train.make_data.questions import KEPT, QuestionSettings, fuzzy_ratio, make_questions
from train.make_data.resumable import ResumableOutput

CAPTION = "A green frog sits on a leaf."


class KnowsOneCaption:
    """A language model that says what it is told to at each of the three requests."""

    def __init__(self, proposed: str, asked: dict[str, str], found: dict[str, str]) -> None:
        self.proposed, self.asked, self.found = proposed, asked, found

    def __call__(self, conversations: Sequence[list[Message]]) -> list[str]:
        return [self.reply(conversation[-1].text) for conversation in conversations]

    def reply(self, request: str) -> str:
        assert f"Caption: {CAPTION}" in request
        lines = dict(line.split(": ", 1) for line in request.splitlines() if ": " in line)
        if "Answer" in lines:
            return self.asked[lines["Answer"]]
        return self.found[lines["Question"]] if "Question" in lines else self.proposed


def make(proposed: str, asked: dict[str, str], found: dict[str, str], **settings: Any) -> Any:
    (made,) = make_questions(KnowsOneCaption(proposed, asked, found), [CAPTION], QuestionSettings(**settings))
    return made


def test_pair_is_kept_only_if_the_model_finds_its_answer_again() -> None:
    color, animal = "What color is the frog?", "Which animal sits on a leaf?"
    made = make(
        "green; frog",
        {"green": f"{color} Tell me.\nAnswer: green", "frog": animal},
        {color: "The green.", animal: "a leaf"},
    )
    assert made.pairs == [(color, "green")]
    assert made.outcomes == Counter({KEPT: 1, "the answer was not found again": 1})


def test_answers_that_match_by_more_than_the_ratio_are_the_same() -> None:
    question = "Where does the frog sit?"
    found = {question: "on leafs"}
    assert fuzzy_ratio("on leaf", "on leafs") == pytest.approx(200 * 7 / 15)
    assert make("on a leaf", {"on a leaf": question}, found).pairs == [(question, "on a leaf")]
    assert make("on a leaf", {"on a leaf": question}, found, min_match=94.0).pairs == []


@pytest.mark.parametrize(
    ("proposed", "question", "reason"),
    [
        ("purple", "", "the proposed answer is not in the caption"),
        ("", "", "no answer was proposed"),
        ("frog", "A frog on a leaf", "no question was asked"),
        ("frog", "What?", "no question was asked"),
        ("frog", "Is this the Frog?", "the question holds its answer"),
    ],
)
def test_bad_proposals_are_rejected_with_the_reason(proposed: str, question: str, reason: str) -> None:
    made = make(proposed, {"frog": question}, {})
    assert made.pairs == []
    assert made.outcomes == Counter({reason: 1})


def test_same_question_is_not_asked_twice_and_no_more_than_wanted() -> None:
    same = "What is it that one sees?"
    made = make("green; frog; leaf", {"green": same, "frog": same, "leaf": same}, {same: "green"}, per_caption=2)
    assert made.pairs == [(same, "green")]
    assert made.outcomes == Counter({KEPT: 1, "the question was asked before": 1})


# --- going on after a kill ---

SETTINGS = {"seed": 0}
RESULTS: list[list[dict[str, Any]]] = [[{"id": "a-1"}, {"id": "a-2"}], [], [{"id": "c", "text": "Ä"}]]


def write_rest(path: Path) -> None:
    with ResumableOutput(path, SETTINGS) as output:
        for index in range(output.num_done, len(RESULTS)):
            output.add(RESULTS[index], {"id": str(index), "outcomes": {}})


def test_killed_at_any_byte_it_goes_on_to_the_same_file(tmp_path: Path) -> None:
    path, progress = tmp_path / "q.jsonl", tmp_path / "q.jsonl.progress"
    write_rest(path)
    whole, notes = path.read_bytes(), progress.read_bytes()
    ends = [json.loads(line).get("end", 0) for line in notes.splitlines()]
    for size in range(len(whole) + 1):
        # what was noted when the file was cut there: the rows done, and any part of the next note
        done = sum(end <= size for end in ends)
        start, stop = (sum(len(line) + 1 for line in notes.splitlines()[:count]) for count in (done - 1, done))
        for note_size in {start, stop - 1, stop}:
            path.write_bytes(whole[:size])
            progress.write_bytes(notes[:note_size])
            if size and b"\n" not in notes[:note_size]:
                continue  # not even the settings, but rows: not this command's file
            write_rest(path)
            assert (path.read_bytes(), progress.read_bytes()) == (whole, notes), (size, note_size)


def test_notes_of_rows_that_a_power_cut_lost_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    write_rest(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:5])
    write_rest(path)
    assert path.read_bytes() == whole


def test_other_settings_foreign_files_and_second_writers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    write_rest(path)
    with pytest.raises(ValueError, match=r"(?s)seed: 0 before, 1 now.*--restart"), ResumableOutput(path, {"seed": 1}):
        pass
    with ResumableOutput(path, SETTINGS), pytest.raises(ValueError, match="another process"):
        ResumableOutput(path, SETTINGS).__enter__()
    (tmp_path / "mine.jsonl").write_text("{}\n")
    with (
        pytest.raises(ValueError, match="not made by this command"),
        ResumableOutput(tmp_path / "mine.jsonl", SETTINGS),
    ):
        pass
    assert (tmp_path / "mine.jsonl").read_text() == "{}\n"


# --- the command ---


def captions(folder: Path) -> Path:
    rows: list[Any] = [row(f"row-{i}", [f"image:{i}.npy"], f"a frog {i}") for i in range(6)]
    return write_manifest(folder, [*rows, row("text", [], "a frog", "what"), '{"id": "cut'])


def options(data: Path, llm: Path, output: Path, *more: str) -> list[str]:
    named = ["--captions", str(data), "--llm", str(llm), "--output", str(output), "--batch_size", "2"]
    return ["questions", *named, *more]


def test_command_accounts_for_every_caption(tmp_path: Path, tiny_llm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "q.jsonl"
    assert main(options(captions(tmp_path / "data"), tiny_llm, output)) == 0
    reports = [json.loads(line) for line in (tmp_path / "q.jsonl.progress").read_text().splitlines()[1:]]
    assert [report["id"] for report in reports] == [*(f"row-{i}" for i in range(6)), "text", "data.jsonl:8"]
    assert reports[6]["outcomes"] == {"unusable row: no media or no caption": 1}
    assert "not valid JSON" in next(iter(reports[7]["outcomes"]))
    assert all(report["outcomes"] for report in reports)
    assert "out of 8 captions" in capsys.readouterr().out


def test_killed_command_goes_on_and_draws_the_same_words(tmp_path: Path, tiny_llm: Path) -> None:
    data = captions(tmp_path / "data")
    drawn = ["--temperature", "1.0", "--seed", "3"]
    assert main(options(data, tiny_llm, tmp_path / "whole.jsonl", *drawn)) == 0
    killed = tmp_path / "killed.jsonl"
    notes = tmp_path / "killed.jsonl.progress"
    command = [sys.executable, "-m", "train.make_data", *options(data, tiny_llm, killed, *drawn)]
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment(), stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not (notes.exists() and notes.read_bytes().count(b"\n") >= 2):
            assert process.poll() is None or notes.exists()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    assert main(options(data, tiny_llm, killed, *drawn)) == 0
    assert killed.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert notes.read_bytes() == (tmp_path / "whole.jsonl.progress").read_bytes()


def test_mistakes_are_one_line(tmp_path: Path, tiny_llm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(options(tmp_path / "none.jsonl", tiny_llm, tmp_path / "q.jsonl")) == 1
    assert "none.jsonl" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main([*options(tmp_path, tiny_llm, tmp_path / "q.jsonl"), "--per_caption", "0"])
    assert stop.value.code == 2


@pytest.mark.starter
@pytest.mark.slow
def test_smollm2_makes_pairs_of_real_captions_that_training_reads(tmp_path: Path) -> None:
    try:
        starter.path("smollm2")
        starter.path("stamps")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    output = tmp_path / "q.jsonl"
    named = ["--captions", "starter:stamps/image-train.jsonl", "--llm", "starter:smollm2", "--output", str(output)]
    assert main(["questions", *named, "--limit", "16"]) == 0
    samples = [sample for sample in open_dataset(output) if isinstance(sample, Sample)]
    assert len(samples) >= 1  # of a model of 135 million parameters, most pairs do not survive the check
    for sample in samples:
        question, answer = sample.messages
        assert question.media[0].modality == "image"
        assert Path(str(question.media[0].path)).is_file()
        assert question.text.endswith("?")
        assert answer.text.lower() in sample.meta["caption"].lower()
        assert sample.meta["made_by"] == "starter:smollm2"
