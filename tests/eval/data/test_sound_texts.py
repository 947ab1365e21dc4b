"""AudioCaps, Clotho and ClothoAQA, from official files to scores."""

import csv
from pathlib import Path
from typing import Any

import pytest

from eval.data.opening import open_official
from eval.task import Generate
from eval.tasks import TASKS, instructblip
from omni.model import OmniModel
from tests.eval.data.brief import asked, bad, mirror, plan, run
from tests.eval.data.official import check, decoding_model, parquet, sound


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return decoding_model(tiny_llm, "sound")


def table(path: Path, *rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def audiocaps(folder: Path) -> Path:
    """Two clips of five captions, whose rows do not follow each other; one id begins with a hyphen."""
    rows = [
        [
            number * 2 + clip,
            *("-JTHMXLC9YRs", 30) * (clip == 0),
            *("vfY_TJq7n_U", 130) * (clip == 1),
            f"Dog {number}, barks",
        ]
        for number in range(5)
        for clip in (0, 1)
    ]
    table(folder / "dataset" / "test.csv", ["audiocap_id", "youtube_id", "start_time", "caption"], *rows)
    table(folder / "dataset2.0" / "test.csv", ["audiocap_id", "youtube_id", "start_time", "caption"])
    sound(folder / "audio" / "-JTHMXLC9YRs_30.flac")
    sound(folder / "audio" / "YvfY_TJq7n_U.wav", 1)
    return folder


def clotho(folder: Path) -> Path:
    columns = ["file_name", *(f"caption_{number}" for number in range(1, 6))]
    rows = [[name, *(f"A {name[:3]}, caption {n}." for n in range(5))] for name in ("Santa Motor.wav", "rain, two.wav")]
    table(folder / "clotho_captions_evaluation.csv", columns, *rows)
    for number, (name, *_) in enumerate(rows):
        sound(folder / "evaluation" / name, number)
    sound(folder / "development" / "Santa Motor.wav", 9)
    return folder


def clotho_aqa(folder: Path, *more: list[str]) -> Path:
    """Three rows a question; the first sound has two questions, one of them without agreement."""
    rows = [
        *(["a.wav", "Is it raining?", answer, "yes"] for answer in ("yes", "Yes", "yes ")),
        *(["a.wav", "What falls?", answer, "maybe"] for answer in ("water", "rain", "rain")),
        *(["b b.wav", "Is it raining?", answer, "yes"] for answer in ("no", "no", "no")),
        *more,
    ]
    table(folder / "clotho_aqa_test.csv", ["file_name", "QuestionText", "answer", "confidence"], *rows)
    for number, name in enumerate(("a.wav", "b b.wav")):
        sound(folder / "audio_files" / name, number)
    return folder


def test_audiocaps_has_five_captions_a_clip(model: OmniModel, tmp_path: Path) -> None:
    folder = audiocaps(tmp_path)
    result = run(TASKS["audiocaps"], folder, model)
    assert (result.status, result.num_items, result.bad, result.scorer) == ("computed", 2, [], "caption-coco-v1")
    assert [item.id for item in result.items] == ["-JTHMXLC9YRs_30", "vfY_TJq7n_U_130"]
    assert result.items[0].target == " / ".join(f"Dog {number}, barks" for number in range(5))
    assert result.items[0].question == "Describe the sound in one sentence."
    found = check("audiocaps/test", folder)
    assert (found.num_items, found.num_bad, found.num_expected) == (2, 0, 975)
    (folder / "dataset" / "test.csv").rename(folder / "dataset" / "train.csv")
    assert check("audiocaps/train", folder).num_items == 2


@pytest.mark.parametrize(("task", "fixture"), [("audiocaps-instructblip", audiocaps), ("clotho-instructblip", clotho)])
def test_x_instructblip_asks_for_a_short_description(task: str, fixture: Any, model: OmniModel, tmp_path: Path) -> None:
    result = run(TASKS[task], fixture(tmp_path), model)
    assert (result.status, result.num_items) == ("computed", 2)
    assert result.items[0].question == "a short description"
    assert TASKS[task].kind == Generate(instructblip.CAPTION)
    assert result.settings["generation"]["num_beams"] == 5


def test_audiocaps_names_what_is_missing(model: OmniModel, tmp_path: Path) -> None:
    folder = audiocaps(tmp_path)
    (folder / "audio" / "YvfY_TJq7n_U.wav").unlink()
    ((id, reason),) = bad(plan("audiocaps", folder))
    assert id == "vfY_TJq7n_U_130"
    assert "vfY_TJq7n_U_130, YvfY_TJq7n_U_130" in reason
    table(folder / "dataset" / "test.csv", ["audiocap_id", "youtube_id", "start", "caption"], [1, "a", 3, "b"])
    assert "has no column 'start_time'" in run(TASKS["audiocaps"], folder, model).reason
    table(folder / "dataset" / "test.csv", ["youtube_id", "start_time", "caption"], ["a", "soon", "b"], ["c", "1", " "])
    found = check("audiocaps/test", folder)
    assert [one.reason for one in found.bad] == [
        "'start_time' must be a number of seconds; got 'soon'",
        "has no caption",
    ]


def test_questions_made_from_audiocaps_are_asked(model: OmniModel, tmp_path: Path) -> None:
    audiocaps(tmp_path)
    rows = [
        ["-JTHMXLC9YRs", 30, "A dog barks", "what barks?", "dog"],
        ["vfY_TJq7n_U", 130, "Rain", "what falls?", "rain"],
    ]
    table(tmp_path / "audiocaps_qa_val.csv", ["youtube_id", "start_time", "caption", "question", "answer"], *rows)
    result = run(TASKS["audiocaps-qa-instructblip"], tmp_path, model)
    assert [(item.question, item.target) for item in result.items] == [
        ("Question: what barks? Answer:", "dog"),
        ("Question: what falls? Answer:", "rain"),
    ]


def test_clotho_takes_the_sounds_of_its_split(model: OmniModel, tmp_path: Path) -> None:
    folder = clotho(tmp_path / "official")
    result = run(TASKS["clotho"], folder, model)
    assert (result.num_items, result.bad) == (2, [])
    assert result.items[0].media[0]["path"] == str(folder / "evaluation" / "Santa Motor.wav")
    assert result.items[1].target.split(" / ")[4] == "A rai, caption 4."
    assert check("clotho/evaluation", folder).num_expected == 1_045
    content = [{"bytes": (folder / "evaluation" / name).read_bytes()} for name in ("Santa Motor.wav", "rain, two.wav")]
    texts = ["".join(f"A {name}, caption {n}." for n in range(5)) for name in ("San", "rai")]
    parquet(tmp_path / "mirror" / "test-0.parquet", {"index": [0, 1], "audio": content, "text": texts})
    one, other = open_official("official:clotho/evaluation", tmp_path / "mirror")
    assert one.meta["captions"] == [f"A San, caption {n}" for n in range(5)]
    assert len(other.meta["captions"]) == 5


def test_clotho_names_a_missing_sound_and_an_empty_caption(tmp_path: Path) -> None:
    folder = clotho(tmp_path)
    (folder / "evaluation" / "rain, two.wav").unlink()
    path = folder / "clotho_captions_evaluation.csv"
    path.write_text(path.read_text().replace('"A San, caption 3."', ""))
    found = check("clotho/evaluation", folder)
    assert (found.num_items, found.num_bad, found.num_missing) == (0, 2, 1)
    assert found.bad[0].reason.startswith("'caption_4' must be a text")


@pytest.mark.parametrize(
    ("task", "asked", "targets"),
    [
        ("clotho-aqa", "{}\nAnswer the question using a single word only.", ["yes", "no"]),
        (
            "clotho-aqa-all",
            "{}\nAnswer the question using a single word only.",
            ["yes", "water / rain", "no"],
        ),
        ("clotho-aqa-instructblip", "Question: {} Answer:", ["yes", "water / rain", "no"]),
    ],
)
def test_clotho_aqa_joins_three_rows(
    task: str, asked: str, targets: list[str], model: OmniModel, tmp_path: Path
) -> None:
    result = run(TASKS[task], clotho_aqa(tmp_path), model)
    assert (result.status, result.bad, result.scorer) == ("computed", [], TASKS[task].scorer)
    assert [item.target for item in result.items] == targets
    assert result.items[0].question == asked.format("Is it raining?")
    assert len({item.id for item in result.items}) == len(targets)


def test_clotho_aqa_of_a_mirror_is_asked_alike(tmp_path: Path) -> None:
    official = clotho_aqa(tmp_path / "official")
    content = [{"bytes": (official / "audio_files" / name).read_bytes()} for name in ("a.wav", "b b.wav")]
    columns = {"audio": content, "question": ["Is it raining?"] * 2, "answer": ["yes", "no"]}
    mirror(tmp_path / "mirror", "clotho_aqa", "clotho_aqa_test_filtered", columns)
    one, other = (plan("clotho-aqa", folder) for folder in (official, tmp_path / "mirror"))
    assert asked(one) == asked(other)
    assert len(other.items) == 2


def test_clotho_aqa_names_a_question_that_lacks_an_annotator(tmp_path: Path) -> None:
    folder = clotho_aqa(
        tmp_path, ["b b.wav", "Who?", "a man", "yes"], ["b b.wav", "Who?", "", "yes"], *[["c.wav", "?", "x", ""]] * 3
    )
    found = check("clotho-aqa/test", folder)
    assert (found.num_items, found.num_bad, found.num_missing, found.num_expected) == (3, 2, 1, 2_838)
    assert found.bad[0].reason.startswith("the question 'Who?' about b b.wav has 2 answers, where 3 rows")
    assert found.missing == [f"c.wav is not in {folder}"]
