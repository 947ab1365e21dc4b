"""Multiple choice about videos: MVBench, Video-MME, EgoSchema, Perception Test and TempCompass."""

from pathlib import Path
from typing import Any

import pytest

from eval.data.lettered import choice_row, marked_right, options_in, plain_options, right_index
from eval.data.sets.mvbench import KINDS
from eval.data.sets.video_choice import subtitles_of
from eval.tasks import TASKS
from omni.model import OmniModel
from tests.eval.data.official import (
    asked,
    brief,
    check,
    large_decoding_model,
    named,
    parquet,
    picture,
    plan_of,
    run,
    video,
    write_json,
)

LETTER = "\nAnswer with the option's letter from the given choices directly."


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> OmniModel:
    return large_decoding_model(tmp_path_factory.mktemp("llm"), "video")


@pytest.mark.parametrize(
    ("options", "plain"),
    [
        (["A. a frog", "B. a toad"], ["a frog", "a toad"]),
        (["(a) up", "(b) down", "(c) left"], ["up", "down", "left"]),
        ("['A) 1', 'B) 2']", ["1", "2"]),
        ('["red", "green"]', ["red", "green"]),
        (["A. Lincoln", "G. Washington"], ["A. Lincoln", "G. Washington"]),  # no marks: names
        (["A. ", "B. "], ["A.", "B."]),
        (["c", "a", "b"], ["c", "a", "b"]),
    ],
)
def test_marks_of_options_go_where_all_have_theirs(options: Any, plain: list[str]) -> None:
    assert plain_options(options) == plain


@pytest.mark.parametrize(
    "options", [[], ["one"], ["", "b"], [None, "b"], "no list", {"A": "x", "B": "y"}, [["a"], "b"]]
)
def test_what_is_no_list_of_options_is_refused(options: Any) -> None:
    with pytest.raises(ValueError, match=r"option|list"):
        plain_options(options)


@pytest.mark.parametrize(("right", "index"), [(1, 1), ("a", 1), ("B", 1), ("(c)", 2), ("C. b", 2), ("b", 2), ("A.", 0)])
def test_a_right_answer_is_a_number_a_text_or_a_letter(right: Any, index: int) -> None:
    assert right_index(right, ["c", "a", "b"]) == index


@pytest.mark.parametrize(("right", "text"), [("A", "C"), ("(b)", "A"), ("C. B", "B"), (2, "B")])
def test_a_letter_means_the_mark_where_options_have_marks(right: Any, text: str) -> None:
    options = ["A. C", "B. A", "C. B"]  # which vitamin?
    for written in (options, str(options)):
        assert choice_row("1", [], "Which?", written, marked_right(right, written))["meta"]["answer"] == text
    with pytest.raises(ValueError, match="none of the options"):
        choice_row("1", [], "Which?", options, marked_right("D", options))
    assert marked_right("A", ["C", "A"]) == "A"  # no marks: a text


def test_the_letter_of_video_mme_is_no_text(tmp_path: Path) -> None:
    columns = {key: ["x"] for key in ("question_id", "question", "duration", "domain", "sub_category", "task_type")}
    columns |= {"videoID": ["abc"], "options": [["A. C", "B. A", "C. D", "D. B"]], "answer": ["A"]}
    parquet(tmp_path / "test-00000-of-00001.parquet", columns)
    video(tmp_path / "abc.mp4")
    (item,) = plan_of("video-mme", tmp_path).items
    assert (item.options, item.right) == (("C", "A", "D", "B"), 0)


@pytest.mark.parametrize("right", [3, -1, True, "D", "", None, "1", 1.0])
def test_a_right_answer_that_is_none_is_refused(right: Any) -> None:
    with pytest.raises(ValueError, match="none of the options"):
        right_index(right, ["c", "a", "b"])


def mvbench(folder: Path, kinds: tuple[str, ...] = KINDS) -> Path:
    """One question of each kind; videos of two data sets have the same name."""
    for seed, name in enumerate(("clevrer/video_validation", "perception/videos")):
        video(folder / "video" / name / "video_1.mp4", seed)
    for kind in kinds:
        row: dict[str, Any] = {"video": "video_1.mp4", "question": f"What of {kind}?", "candidates": ["c", "a"]}
        write_json(folder / "json" / f"{kind}.json", [{**row, "answer": "a"}])
    return folder


def test_mvbench_takes_each_kind_from_its_own_folder(model: OmniModel, tmp_path: Path) -> None:
    mvbench(tmp_path)
    result = run(brief(TASKS["mvbench-moving-count"]), tmp_path, model)
    assert (result.status, result.num_items, result.scorer, result.chance) == ("computed", 1, "multiple-choice-v1", 0.5)
    question = "Question:What of moving_count?\nOption:\n(A) c\n(B) a\nOnly give the best option.\n"
    assert [(item.question, item.target) for item in result.items] == [(question, "a")]
    folders = {
        kind: plan_of(f"mvbench-{kind}", tmp_path).items[0].media[0].path for kind in ("moving-count", "state-change")
    }
    assert {kind: Path(str(path)).parts[-3] for kind, path in folders.items()} == {
        "moving-count": "clevrer",
        "state-change": "perception",
    }
    found = check("mvbench/object_existence", tmp_path)
    assert (found.num_items, found.num_expected) == (1, 200)


def test_mvbench_needs_all_kinds_and_names_the_videos_it_cannot_tell_apart(model: OmniModel, tmp_path: Path) -> None:
    mvbench(tmp_path)
    plan = plan_of("mvbench", tmp_path)
    reasons = named(plan)
    assert len(plan.items) + len(reasons) == 20
    assert "video_1.mp4 is there 2 times" in reasons["fine_grained_pose-0"]
    (tmp_path / "json" / "action_count.json").unlink()
    assert "no action_count.json" in run(TASKS["mvbench"], tmp_path, model).reason


def test_mvbench_cuts_the_part_out_unless_it_is_cut_already(tmp_path: Path) -> None:
    row = {"video": "ABC.mp4", "question": "What?", "candidates": ["sat", "ran", "ate"], "answer": "ran"}
    rows = [{**row, "start": 0.5, "end": 1.5}, {**row, "start": "x", "end": 2}, {**row, "answer": "flew"}]
    write_json(tmp_path / "json" / "action_sequence.json", rows)
    video(tmp_path / "star" / "Charades_v1_480" / "ABC.mp4", 1)
    plan = plan_of("mvbench-action-sequence", tmp_path)
    assert [item.media[0].options for item in plan.items] == [{"start": 0.5, "end": 1.5}]
    assert "must be a number of seconds" in named(plan)["action_sequence-1"]
    assert "none of the options" in named(plan)["action_sequence-2"]
    video(tmp_path / "star" / "Charades_segment" / "ABC.mp4", 2)
    plan = plan_of("mvbench-action-sequence", tmp_path)
    assert [item.media[0].options for item in plan.items] == [{}]
    assert "Charades_segment" in str(plan.items[0].media[0].path)


def test_episodes_of_mvbench_are_folders_of_frames(model: OmniModel, tmp_path: Path) -> None:
    row = {"video": "friends_s03e09", "question": "Who?", "candidates": ["Ross", "Joey"], "answer": "Joey"}
    write_json(tmp_path / "episodic_reasoning.json", [{**row, "start": 0, "end": 1.0}])
    for number in range(1, 7):
        picture(tmp_path / "tvqa" / "frames_fps3_hq" / "friends_s03e09" / f"{number:05d}.jpg", number)
    result = run(brief(TASKS["mvbench-episodic-reasoning"]), tmp_path, model)
    assert (result.status, result.num_items, result.bad) == ("computed", 1, [])
    media = plan_of("mvbench-episodic-reasoning", tmp_path).items[0].media[0]
    assert media.options == {"start": 0, "end": 1.0, "frames_per_second": 3.0}
    assert [Path(path).name for path in media.path or ()] == [f"{number:05d}.jpg" for number in range(1, 7)]
    assert check("mvbench/episodic_reasoning", tmp_path).num_items == 1
    picture(tmp_path / "elsewhere" / "frames_fps3_hq" / "friends_s03e09" / "00001.jpg")
    (tmp_path / "tvqa").rename(tmp_path / "other")
    found = check("mvbench/episodic_reasoning", tmp_path)
    assert (found.num_items, found.num_bad) == (0, 1)
    assert "the frames friends_s03e09 are there 2 times" in found.bad[0].reason


SRT = """\ufeff1
00:00:00,000 --> 00:00:01,500
<font color="white" size=".72c">Hello</font>

2
00:00:01,500 --> 00:00:02,000
{\\an8}second line
and a third

"""


def video_mme(folder: Path) -> Path:
    columns = {
        "videoID": ["fFjv93ACGo8", "fFjv93ACGo8", "N1cdUjctpG8", "gone"],
        "question_id": ["001-1", "001-2", "601-1", "601-2"],
        "question": ["What colour?", "Which fruit?", "Who?", "Where?"],
        "options": [["A. Red.", "B. Blue.", "C. Green.", "D. None."]] * 4,
        "answer": ["C", "E", "A", "B"],
        "duration": ["short", "short", "long", "long"],
    }
    parquet(folder / "videomme" / "test-00000-of-00001.parquet", columns)
    for number in range(3):  # more videos than tables, in a folder that `datasets` takes for the split
        video(folder / "all_test" / f"other_{number}.mp4")
    video(folder / "data" / "fFjv93ACGo8.mp4", 1)
    video(folder / "data" / "N1cdUjctpG8.MP4", 2)
    return folder


def test_video_mme_with_and_without_subtitles(model: OmniModel, tmp_path: Path) -> None:
    video_mme(tmp_path)
    result = run(brief(TASKS["video-mme"]), tmp_path, model)
    assert (result.status, result.num_items, result.chance) == ("computed", 2, 0.25)
    assert result.items[0].question == (
        "Select the best answer to the following multiple-choice question based on the video and the subtitles. "
        "Respond with only the letter (A, B, C, or D) of the correct option.\nWhat colour?\nA. Red.\nB. Blue.\n"
        "C. Green.\nD. None.\nThe best answer is:"
    )
    assert [item.target for item in result.items] == ["Green.", "Red."]
    assert {item["id"] for item in result.bad} == {"001-2", "601-2"}
    result = run(TASKS["video-mme-subtitles"], tmp_path, model)
    assert "no *.srt" in result.reason  # never without subtitles in silence
    (tmp_path / "subtitle").mkdir()
    (tmp_path / "subtitle" / "fFjv93ACGo8.srt").write_text(SRT, encoding="utf-8")
    plan = plan_of("video-mme-subtitles", tmp_path)
    assert plan.items[0].prompt.startswith(
        "This video's subtitles are listed below: \nHello\nsecond line\nand a third\nSelect the best answer"
    )
    assert "listed below: \nNo subtitles available\nSelect" in plan.items[1].prompt
    assert [item.meta["duration"] for item in plan.items] == ["short", "long"]
    assert check("video-mme/test", tmp_path).num_missing == 1


def test_subtitles_are_what_is_shown() -> None:
    assert subtitles_of(SRT.replace("\n", "\r\n")) == "Hello\nsecond line\nand a third"
    assert subtitles_of("") == ""


def egoschema(folder: Path, form: str) -> Path:
    video(folder / "videos" / "0074f737.mp4", 1)
    options = [f"C {number}." for number in range(5)]
    rows = [{"q_uid": "0074f737", "question": "What does C do?"}, {"q_uid": "00aa7247", "question": "No answer."}]
    if form == "official":
        named_options = {f"option {number}": text for number, text in enumerate(options)}
        write_json(folder / "questions.json", [{**row, "google_drive_id": "x", **named_options} for row in rows])
        write_json(folder / "subset_answers.json", {"0074f737": 3})
    else:
        lettered = [f"{letter}. {text}" for letter, text in zip("ABCDE", options, strict=True)]
        columns = {"video_idx": ["0074f737"], "question": ["What does C do?"], "option": [lettered], "answer": ["3"]}
        parquet(folder / "Subset" / "test-00000-of-00001.parquet", columns)
    return folder


@pytest.mark.parametrize("form", ["official", "mirror"])
def test_egoschema_asks_what_has_a_public_answer(tmp_path: Path, form: str) -> None:
    plan = plan_of("egoschema", egoschema(tmp_path, form))
    assert asked(plan) == [
        ("0074f737", f"What does C do?\nA. C 0.\nB. C 1.\nC. C 2.\nD. C 3.\nE. C 4.{LETTER}", ("C 3.",))
    ]
    assert (plan.items[0].right, plan.bad, plan.chance) == (3, (), 0.2)


def test_egoschema_names_answers_without_question(model: OmniModel, tmp_path: Path) -> None:
    egoschema(tmp_path, "official")
    assert run(brief(TASKS["egoschema"]), tmp_path, model).status == "computed"
    assert run(TASKS["egoschema-likelihood"], tmp_path, model).scorer == "choice-mean-v1"
    write_json(tmp_path / "subset_answers.json", {"other": 1})
    assert "answers 'other', which questions.json does not ask" in run(TASKS["egoschema"], tmp_path, model).reason


@pytest.mark.parametrize("form", ["official", "mirror"])
def test_perception_test(tmp_path: Path, form: str) -> None:
    video(tmp_path / "videos" / "video_10909.mp4", 1)
    question = {"question": "Is the camera moving?", "options": ["Yes", "No", "I don't know"], "area": "physics"}
    questions = [{**question, "id": 4, "answer_id": 1}, {**question, "id": 5, "answer_id": 3}]
    if form == "official":
        content = {"metadata": {"video_id": "video_10909"}, "mc_question": questions}
        write_json(tmp_path / "mc_question_valid.json", {"video_10909": content, "video_1": {"mc_question": []}})
    else:
        rows = [{**one, "video_name": "video_10909", "question_id": str(one["id"])} for one in questions]
        columns = {key: [row[key] for row in rows] for key in rows[0] if key not in ("id", "area")}
        columns["answer_id"] = [*map(str, columns["answer_id"])]
        parquet(tmp_path / "mc_question_val" / "validation-00000-of-00001.parquet", columns)
    plan = plan_of("perception-test", tmp_path)
    assert asked(plan) == [
        ("video_10909_4", f"Is the camera moving?\nA. Yes\nB. No\nC. I don't know{LETTER}", ("No",)),
    ]
    assert len(plan.bad) == 1
    assert "none of the options" in plan.bad[0].reason


def tempcompass(folder: Path) -> Path:
    video(folder / "videos" / "1021488277.mp4", 1)
    choice = [{"question": "What is happening?\nA. opening\nB. closing\n", "answer": "B. closing"}]
    write_json(
        folder / "multi-choice.json", {"1021488277": {"action": [*choice, {"question": "No options?", "answer": "A"}]}}
    )
    write_json(
        folder / "yes_no.json",
        {
            "1021488277": {
                "speed": [{"question": "Is it fast?", "answer": "no"}, {"question": "Slow?", "answer": "maybe"}]
            }
        },
    )
    captions = "Which caption matches the video better?\nCaption A: The book opens.\nCaption B: The book closes."
    options = "Which description is a more suitable match?\nOption 1: Down.\nOption 2: Up."
    rows = [
        {"question": captions, "answer": "Caption B: The book closes."},
        {"question": options, "answer": "Option 1: Down."},
    ]
    write_json(folder / "caption_matching.json", {"1021488277": {"order": rows}})
    return folder


def test_tempcompass_in_its_three_forms(model: OmniModel, tmp_path: Path) -> None:
    tempcompass(tmp_path)
    best = "\nPlease directly give the best option:"
    plan = plan_of("tempcompass", tmp_path)
    assert asked(plan) == [("1021488277_action_0", f"What is happening?\nA. opening\nB. closing{best}", ("closing",))]
    assert "lists no options" in named(plan)["1021488277_action_1"]
    plan = plan_of("tempcompass-captions", tmp_path)
    assert [(question, answers) for _, question, answers in asked(plan)] == [
        (
            f"Which caption matches the video better?\nA. The book opens.\nB. The book closes.{best}",
            ("The book closes.",),
        ),
        (f"Which description is a more suitable match?\nA. Down.\nB. Up.{best}", ("Down.",)),
    ]
    result = run(brief(TASKS["tempcompass-yes-no"]), tmp_path, model)
    assert (result.status, result.num_items, result.scorer) == ("computed", 1, "yes-no-v1")
    assert result.items[0].question == "Is it fast?\nPlease answer yes or no:"
    assert "must be yes or no; got 'maybe'" in result.bad[0]["reason"]


def test_options_of_a_question_are_its_last_lines() -> None:
    assert options_in("Which?\nA. up\nB. down") == ("Which?", ["up", "down"])
    with pytest.raises(ValueError, match="lists no options"):
        options_in("Which?\nB. up\nA. down")


@pytest.mark.parametrize(
    ("name", "file", "content", "said"),
    [
        ("perception-test", "mc_question_valid.json", [], "must hold an object of objects"),
        ("perception-test", "mc_question_valid.json", {"v": {"mc_question": [3]}}, "must be a list of objects"),
        ("tempcompass", "multi-choice.json", {"v": {"action": {}}}, "must be a list of objects"),
        ("egoschema", "subset_answers.json", [], "must hold an object of answers"),
        ("mvbench-state-change", "state_change.json", {"a": 1}, "must hold a list of objects"),
        ("mvbench-state-change", "state_change.json", [], "the data has no rows"),
    ],
)
def test_files_of_another_form_are_named(
    model: OmniModel, tmp_path: Path, name: str, file: str, content: Any, said: str
) -> None:
    write_json(tmp_path / "questions.json", [])
    write_json(tmp_path / file, content)
    result = run(TASKS[name], tmp_path, model)
    assert result.status == "not computed"
    assert said in result.reason
