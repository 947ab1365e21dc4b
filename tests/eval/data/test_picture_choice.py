"""Multiple choice about pictures, from official files and mirrors to scores: the options, and the right one."""

import base64
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from eval.data.choices import options_in_text
from eval.data.opening import open_official
from eval.tasks import TASKS
from omni.model import OmniModel
from omni.samples.messages import Sample
from tests.eval.data.official import brief, check, decoding_model, parquet, picture, plan_of, run, write_json

IMAGE = {"image": datasets.Image()}
LETTER = "\nAnswer with the option's letter from the given choices directly."


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return decoding_model(tiny_llm, "image")


def cell(folder: Path, seed: int = 0) -> dict[str, bytes]:
    return {"bytes": picture(folder / "cells" / f"{seed}.png", seed).read_bytes()}


# ScienceQA -----------------------------------------------------------------------------------------------------------


def scienceqa(folder: Path) -> Path:
    problem = {"question": "Which?", "choices": ["frog", "A", "B"], "split": "test"}
    problems = {
        "1": {**problem, "answer": 2, "hint": "Look.", "image": "image.png"},  # the text of it is the letter of another
        "2": {**problem, "answer": 0, "hint": "", "image": None},
        "3": {**problem, "answer": 0, "hint": "", "image": None, "split": "train"},
    }
    write_json(folder / "data" / "problems.json", problems)
    for split in ("test", "train"):
        picture(folder / "images" / split / "1" / "image.png", 0)
    return folder


def mirrored_scienceqa(folder: Path) -> Path:
    columns = {
        "image": [cell(folder.parent), None],
        "question": ["Which?"] * 2,
        "choices": [["frog", "A", "B"]] * 2,
        "answer": [2, 0],
        "hint": ["Look.", ""],
    }
    parquet(folder / "ScienceQA-FULL" / "test-00000-of-00001.parquet", columns, IMAGE)
    first = {name: values[:1] for name, values in columns.items()}
    parquet(folder / "ScienceQA-IMG" / "test-00000-of-00001.parquet", first, IMAGE)
    return folder


def test_scienceqa_asks_with_and_without_a_picture(model: OmniModel, tmp_path: Path) -> None:
    for folder in (scienceqa(tmp_path / "official"), mirrored_scienceqa(tmp_path / "mirror")):
        full, img = (run(brief(TASKS[name]), folder, model) for name in ("scienceqa", "scienceqa-img"))
        assert (full.num_items, full.bad, img.num_items, img.bad) == (2, [], 1, [])
        assert img.items[0].question == f"Context: Look.\nWhich?\nA. frog\nB. A\nC. B{LETTER}"
        assert full.items[1].question == f"Which?\nA. frog\nB. A\nC. B{LETTER}"
        assert [item.target for item in full.items] == ["B", "frog"]
        assert full.chance == pytest.approx(1 / 3)
    likely = run(brief(TASKS["scienceqa-likelihood"]), tmp_path / "official", model)
    assert [item.question for item in likely.items] == ["Context: Look.\nWhich?", "Which?"]


# MMMU ----------------------------------------------------------------------------------------------------------------


def mmmu(folder: Path, **changed: list[Any]) -> Path:
    """Two subjects in folders of their own: a question with a picture as an option, and an open one."""
    for subject, row in {
        "Art": {
            "question": "Look at <image 1>. Which is next?",
            "options": "['<image 2>', 'a \"frog\"', \"none, it's <image 1>\"]",
            "answer": "B",
            "question_type": "multiple-choice",
        },
        "Math": {"question": "How much? <image 1>", "options": "[]", "answer": "['3', '3.0']", "question_type": "open"},
    }.items():
        pictures = {
            f"image_{n}": [cell(folder.parent, n) if (n < 3 and subject == "Art") or n == 1 else None]
            for n in range(1, 8)
        }
        columns = {"id": [f"validation_{subject}_1"], "subfield": ["x"], **{k: [v] for k, v in row.items()}, **pictures}
        columns |= {key: value for key, value in changed.items() if subject == "Art"}
        features = {f"image_{n}": datasets.Image() for n in range(1, 8)}
        parquet(folder / subject / "validation-00000-of-00001.parquet", columns, features)
        parquet(folder / subject / "test-00000-of-00001.parquet", columns, features)
    return folder


def test_pictures_of_mmmu_stand_where_its_marks_are(model: OmniModel, tmp_path: Path) -> None:
    folder = mmmu(tmp_path / "mmmu")
    dataset = open_official("official:mmmu/validation", folder)
    first = dataset[0]
    assert isinstance(first, Sample)
    shown = [part if part in first.media else part.text for part in first.messages[0].content]  # pyright: ignore
    one, two = first.media[0], first.media[1]
    assert shown == [
        "Look at ",
        one,
        ". Which is next?",
        "\nA. <image 2>",
        two,
        '\nB. a "frog"\nC. none, it\'s <image 1>',
        one,
    ]
    result = run(brief(TASKS["mmmu"]), folder, model)
    assert (result.num_items, result.bad, result.scorer) == (2, [], "mmmu-v1")
    assert result.items[0].question.endswith(f"\n\n{LETTER.strip()}")
    assert result.items[1].question == "How much? \n\nAnswer the question using a single word or phrase."
    assert [item.target for item in result.items] == ['a "frog"', "3 / 3.0"]
    assert result.chance == pytest.approx(1 / 6)  # nobody guesses the open one


def test_mmmu_names_what_cannot_be_asked(tmp_path: Path) -> None:
    for changed, reason in (
        ({"options": ["frog"]}, "must be a list of texts, written as Python or JSON; got 'frog'"),
        ({"answer": ["E"]}, "the right answer 'E' is no letter of the 3 options"),
        ({"question": ["<image 7>"]}, "the text has the mark <image 7>, and there is no image_7"),
        ({"question_type": ["essay"]}, "'question_type' must be multiple-choice or open, not 'essay'"),
    ):
        found = check("mmmu/validation", mmmu(tmp_path / reason[-9:].strip("'"), **changed))
        assert (found.num_items, found.num_bad, found.bad[0].reason) == (1, 1, reason)
        assert found.bad[0].sample_id == "validation_Art_1"


# MMBench -------------------------------------------------------------------------------------------------------------


def mmbench(folder: Path, rows: list[dict[str, Any]], name: str = "MMBench_DEV_EN.tsv") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]], delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    return folder


def mmbench_rows(folder: Path) -> list[dict[str, Any]]:
    encoded = base64.b64encode(cell(folder)["bytes"]).decode()
    row = {"index": 7, "image": encoded, "question": "Which?", "hint": "nan", "C": "nan", "D": "", "category": "x"}
    return [
        {**row, "A": "frog", "B": "None", "answer": "B"},
        # rotations of the file itself: the picture is that of row 8, and the index is written as pandas writes it
        {**row, "index": 8, "A": "up\tand\ndown", "B": "left", "C": "right", "answer": "C", "hint": "Look."},
        {**row, "index": "1000008.0", "image": "8", "A": "left", "B": "right", "C": "up\tand\ndown", "answer": "B"},
        {**row, "index": 2000008, "image": "8", "A": "right", "B": "up\tand\ndown", "C": "left", "answer": "A"},
    ]


def test_mmbench_counts_a_question_once_over_its_rotations(model: OmniModel, tmp_path: Path) -> None:
    folder = mmbench(tmp_path / "official", mmbench_rows(tmp_path))
    result = run(brief(TASKS["mmbench-en"]), folder, model)
    assert (result.num_items, result.bad, result.scorer) == (5, [], "circular-multiple-choice-v1")
    assert [(item.id, item.target) for item in result.items] == [
        ("7", "None"),
        ("1000007", "None"),  # made
        ("8", "right"),
        ("1000008", "right"),
        ("2000008", "right"),
    ]
    assert [item.question for item in result.items[:3]] == [
        f"Which? There are several options:\nA. frog\nB. None\n{LETTER}",
        f"Which? There are several options:\nA. None\nB. frog\n{LETTER}",
        f"Look. Which? There are several options:\nA. up\tand\ndown\nB. left\nC. right\n{LETTER}",
    ]
    assert result.chance == pytest.approx((1 / 4 + 1 / 27) / 2)
    assert result.scores["own"]["incomplete"].value == 0
    likely = run(brief(TASKS["mmbench-en-likelihood"]), folder, model)
    assert (likely.num_items, likely.scorer) == (5, "circular-choice-mean-v1")
    assert check("mmbench/dev-en", folder).num_items == 5


def test_mmbench_of_a_mirror_and_in_chinese(model: OmniModel, tmp_path: Path) -> None:
    columns = {
        "index": [7],
        "image": [cell(tmp_path)],
        "question": ["哪个?"],
        "hint": ["nan"],
        "A": ["蛙"],
        "B": ["网"],
        "C": ["nan"],
        "answer": ["B"],
    }
    parquet(tmp_path / "mirror" / "cn" / "dev-00000-of-00001.parquet", columns, IMAGE)
    result = run(brief(TASKS["mmbench-cn"]), tmp_path / "mirror", model)
    assert [(item.id, item.target) for item in result.items] == [("7", "网"), ("1000007", "网")]
    assert result.items[0].question.endswith("A. 蛙\nB. 网\n\n请直接使用所提供的选项字母作为答案回答。")
    assert "no en/dev-*.parquet" in run(brief(TASKS["mmbench-en"]), tmp_path / "mirror", model).reason


def test_rows_of_mmbench_that_cannot_be_used_are_named(model: OmniModel, tmp_path: Path) -> None:
    rows = mmbench_rows(tmp_path)
    rows[1] |= {"answer": "D"}
    rows[2] |= {"image": "no picture"}
    folder = mmbench(tmp_path / "bad", rows)
    result = run(brief(TASKS["mmbench-en"]), folder, model)
    assert [item["id"] for item in result.bad] == ["8", "1000008"]
    assert result.bad[0]["reason"] == "the right answer 'D' is no letter of the 3 options"
    assert result.scores["own"]["incomplete"].value == 0.5  # the question that lacks rotations is wrong
    assert "has no column 'image'" in check("mmbench", mmbench(tmp_path / "columns", [{"index": 1, "A": "x"}])).problem
    rows = [row | ({"image": "12345678"} if row["index"] == "1000008.0" else {}) for row in mmbench_rows(tmp_path)]
    found = check("mmbench", mmbench(tmp_path / "dangling", rows))
    assert (found.num_items, found.bad[0].reason) == (
        4,
        "its picture is that of row '12345678', and no such row has one",
    )
    rows = [row | {"index": f"{row['index']}.0".replace(".0.0", ".0")} for row in mmbench_rows(tmp_path)]
    assert (found := check("mmbench", mmbench(tmp_path / "floats", rows))).num_items == 5, found.bad
    alone = {**mmbench_rows(tmp_path)[0], "D": "net"}
    rows = [
        alone,
        {**alone, "index": "x", "D": ""},
        {**alone, "index": 9, "D": "", "answer": ""},
        {**alone, "index": 10, "D": ""},
    ]
    found = check("mmbench", mmbench(tmp_path / "alone", rows))
    assert [(error.sample_id, error.reason) for error in found.bad] == [
        ("7", "option C is empty, and there is one after it"),
        ("x", "'index' must be a number; got 'x'"),
        ("9", "the right answer '' is no letter of the 2 options"),
    ]
    assert found.num_items == 2  # the last one and its rotation


# The others ----------------------------------------------------------------------------------------------------------


def seed_bench(folder: Path) -> Path:
    row = {
        "question": "Which?",
        "choice_a": "frog",
        "choice_b": 2,
        "choice_c": "net",
        "choice_d": "drum",
        "answer": "C",
    }
    questions = [
        {**row, "question_id": "1", "data_id": "7_9", "data_type": "image"},
        {**row, "question_id": "2", "data_id": "8.mp4", "data_type": "video"},
    ]
    write_json(folder / "SEED-Bench.json", {"questions": questions, "question_type": {}})
    picture(folder / "SEED-Bench-image" / "7_9.png").rename(folder / "SEED-Bench-image" / "7_9")  # they have no ending
    return folder


def mirrored_seed_bench(folder: Path) -> Path:
    columns = {
        "question_id": ["2", "1"],
        "question": ["Which?"] * 2,
        **{f"choice_{letter}": [text] * 2 for letter, text in zip("abcd", ("frog", "2", "net", "drum"), strict=True)},
        "answer": ["C"] * 2,
        "data_type": ["video", "image"],
        "image": [[cell(folder.parent), cell(folder.parent)], [cell(folder.parent)]],
    }
    features = {"image": datasets.List(datasets.Image())}
    parquet(folder / "data" / "test-00000-of-00001.parquet", columns, features)
    return folder


def test_seed_bench_asks_about_pictures_only(model: OmniModel, tmp_path: Path) -> None:
    for folder in (seed_bench(tmp_path / "official"), mirrored_seed_bench(tmp_path / "mirror")):
        result = run(brief(TASKS["seed-bench"]), folder, model)
        assert (result.num_items, result.bad, result.chance) == (1, [], 0.25)
        assert result.items[0].question == f"Which?\nA. frog\nB. 2\nC. net\nD. drum{LETTER}"
        assert (result.items[0].id, result.items[0].target) == ("1", "net")
    assert run(brief(TASKS["seed-bench-likelihood"]), tmp_path / "official", model).scorer == "choice-mean-v1"
    write_json(tmp_path / "official" / "SEED-Bench.json", {"questions": [{"data_type": "video"}]})
    found = check("seed-bench", tmp_path / "official")
    assert "has no row whose 'data_type' is 'image'; found video" in found.problem


MMSTAR = "Is it so?\nOptions: A: Yes, B: No, C: A, D: B, or not"


def mmstar(folder: Path) -> Path:
    columns = {
        "index": [3, 4],
        "question": [MMSTAR, "Which of the marks?"],
        "image": [cell(folder.parent), cell(folder.parent, 1)],
        "answer": ["D", "B"],
        "category": ["math", "math"],
    }
    parquet(folder / "mmstar.parquet", columns, IMAGE)
    return folder


def prompted(names: tuple[str, ...], **further: list[Any]) -> Callable[[Path], Path]:
    """CV-Bench and BLINK: the authors' prompt, the options in a list, the answer in brackets."""

    def build(folder: Path) -> Path:
        for number, name in enumerate(names):
            columns = {
                "idx": [number],
                "prompt": ["How many? Select from the following choices.\n(A) 1\n(B) 0"],
                "choices": [["1", "0"]],
                "answer": ["(B)"],
                **{key: values[number : number + 1] for key, values in further.items()},
            }
            pictures = ["image"] if "source" in further else [f"image_{n}" for n in range(1, 5)]
            columns |= {key: [cell(folder.parent, n) if n < 2 else None] for n, key in enumerate(pictures)}
            parquet(folder / name, columns, {key: datasets.Image() for key in pictures})
        return folder

    return build


CV = prompted(("test_2d.parquet", "test_3d.parquet"), source=["COCO", "Omni3D"])
NOTE = "Note: You only need to respond with A, B without providing any additional information.\n"


@pytest.mark.parametrize(
    ("name", "build", "targets", "first"),
    [
        (
            "mmstar",
            mmstar,
            ["B, or not", "B"],
            f"{MMSTAR}\nAnswer with the option's letter from the given choices directly",
        ),
        ("cv-bench", CV, ["0", "0"], f"{NOTE}\nHow many? Select from the following choices.\n(A) 1\n(B) 0"),
        ("cv-bench-omni3d", CV, ["0"], f"{NOTE}\nHow many? Select from the following choices.\n(A) 1\n(B) 0"),
        (
            "blink",
            prompted(("Art_Style/val-00000-of-00001.parquet", "Jigsaw/val-00000-of-00001.parquet")),
            ["0", "0"],
            f"{NOTE}How many? Select from the following choices.\n(A) 1\n(B) 0",
        ),
    ],
)
def test_options_that_the_question_lists_are_read(
    name: str, build: Callable[[Path], Path], targets: list[str], first: str, model: OmniModel, tmp_path: Path
) -> None:
    folder = build(tmp_path / name)
    result = run(brief(TASKS[name]), folder, model)
    assert (result.status, result.num_items, result.bad) == ("computed", len(targets), [])
    assert ([item.target for item in result.items], result.items[0].question) == (targets, first)
    assert result.scorer == TASKS[name].scorer
    assert check(TASKS[name].data.removeprefix("official:"), folder).num_items == len(targets)


@pytest.mark.parametrize(
    ("name", "build", "categories"),
    [
        ("cv-bench", CV, ["2D/COCO", "3D/Omni3D"]),
        ("blink", prompted(("Art_Style/val-0.parquet", "Jigsaw/val-0.parquet")), ["Art_Style", "Jigsaw"]),
        ("blink", prompted(("data/val-0.parquet", "data/val-1.parquet"), idx=["val_Art_Style_1", "val_IQ_Test_12"]),
            ["Art_Style", "IQ_Test"]),
        ("blink", prompted(("data/val-0.parquet", "data/val-1.parquet"), sub_task=["Counting", "Jigsaw"]),
            ["Counting", "Jigsaw"]),
    ],
)  # fmt: skip
def test_questions_say_which_part_of_the_benchmark_they_belong_to(
    name: str, build: Callable[[Path], Path], categories: list[str], tmp_path: Path
) -> None:
    assert [item.meta["category"] for item in plan_of(name, build(tmp_path / name)).items] == categories


def test_a_source_that_is_not_there_is_said(tmp_path: Path) -> None:
    found = check("cv-bench/ade20k", CV(tmp_path))
    assert "has no row whose 'source' is 'ADE20K'; found COCO, Omni3D" in found.problem


def mmvp(folder: Path) -> Path:
    lines = ["\ufefflndex,Question,Options,Correct Answer"]  # so written in the official file
    lines += [f'{n},"Open, or not?",(a) Open (b) Closed (tight),({"ab"[n % 2]})' for n in (1, 2, 99, 100)]
    folder.mkdir(parents=True)
    (folder / "Questions.csv").write_text("\n".join(lines), encoding="utf-8")
    for n in (1, 2, 99, 100):
        picture(folder / "MMVP Images" / f"{n}.jpg", n)
    return folder


def mirrored_mmvp(folder: Path) -> Path:
    numbers = [1, 2, 99, 100]
    columns = {
        "Index": numbers,
        "Question": ["Open, or not?"] * 4,
        "Options": ["(a) Open (b) Closed (tight)"] * 4,
        "Correct Answer": ["(b)", "(a)", "(b)", "(a)"],
        "image": [cell(folder.parent, n) for n in numbers],
    }
    parquet(folder / "data" / "train-00000-of-00001.parquet", columns, IMAGE)
    return folder


def test_mmvp_counts_pairs_by_either_labels(model: OmniModel, tmp_path: Path) -> None:
    folder = mmvp(tmp_path / "official")
    text = (folder / "Questions.csv").read_text(encoding="utf-8")
    exchanged = text.replace("tight),(b)\n100", "tight),(a)\n100").removesuffix("(a)") + "(b)"
    (folder / "Questions.csv").write_text(exchanged, encoding="utf-8")
    corrected, published = (run(brief(TASKS[name]), folder, model) for name in ("mmvp", "mmvp-published"))
    mirror = run(brief(TASKS["mmvp"]), mirrored_mmvp(tmp_path / "mirror"), model)
    for result in (corrected, published, mirror):
        assert (result.num_items, result.bad, result.chance) == (4, [], 0.25)
        assert result.scorer == "pairs-multiple-choice-v1"
        assert result.items[0].question == f"Open, or not?\nA. Open\nB. Closed (tight){LETTER}"
    closed = "Closed (tight)"
    assert [item.target for item in corrected.items] == [closed, "Open", closed, "Open"]
    assert [item.target for item in published.items] == [closed, "Open", "Open", closed]
    assert [item.target for item in mirror.items] == [item.target for item in corrected.items]


def test_a_row_of_mmvp_that_cannot_be_used_is_named(model: OmniModel, tmp_path: Path) -> None:
    folder = mmvp(tmp_path / "mmvp")
    (folder / "MMVP Images" / "2.jpg").unlink()
    path = folder / "Questions.csv"
    path.write_text(
        path.read_text(encoding="utf-8").replace("(a) Open (b) Closed (tight),(b)\n2", "Open,(b)\n2"), "utf-8"
    )
    result = run(brief(TASKS["mmvp"]), folder, model)
    assert [item["id"] for item in result.bad] == ["1", "2"]
    assert result.bad[0]["reason"] == "the right answer '(b)' is no letter of the 0 options"
    assert "MMVP Images/2.jpg" in result.bad[1]["reason"]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("(a) Open (b) Closed", ["Open", "Closed"]),
        ("(a)Open (b)Closed", ["Open", "Closed"]),
        ("Which (A) is it?\nA. a frog\nB. a drum\nAnswer with a letter.", ["a frog", "a drum"]),
        ("Options: A: 1, B: 2, C: 3, D: 4", ["1", "2", "3", "4"]),
        ("Options: A: , B: 2", ["A", "B", "C", "D"]),  # nothing to tell apart: the letters
        ("Vitamin A. What?", ["A", "B", "C", "D"]),
    ],
)
def test_options_within_a_question(text: str, options: list[str]) -> None:
    assert options_in_text(text) == options
