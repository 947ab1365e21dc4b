"""Captions, open questions and classes of videos, from official files to the score."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval.data.sets.kinetics_labels import K400_LABELS
from eval.task import Choose
from eval.tasks import TASKS
from omni.model import OmniModel
from tests.eval.data.official import (
    asked,
    brief,
    check,
    large_decoding_model,
    named,
    parquet,
    plan_of,
    run,
    video,
    write_json,
)

CAPTION = "Provide a one-sentence caption for the provided video."
SHORT = "\nAnswer the question using a single word or phrase."


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> OmniModel:
    return large_decoding_model(tmp_path_factory.mktemp("llm"), "video")


def lines(path: Path, *texts: str) -> None:
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")


def table(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def msvd(folder: Path, form: str) -> None:
    """Two videos of the test split, and one of another."""
    for seed, name in enumerate(("-4wsuPCjDBc_5_15", "mv89psg6zh4_33_46", "train_1_2")):
        video(folder / "YouTubeClips" / f"{name}.avi", seed)
    if form == "official":
        captions = ["-4wsuPCjDBc_5_15 a squirrel eats", "-4wsuPCjDBc_5_15 a nut goes", "train_1_2 not of the test"]
        lines(folder / "AllVideoDescriptions.txt", "# a comment", "", *captions, "mv89psg6zh4_33_46 a bird bathes")
        lines(folder / "test_list.txt", "-4wsuPCjDBc_5_15.avi", "mv89psg6zh4_33_46")
    else:
        pairs = [
            ("-4wsuPCjDBc_5_15.avi", ["a squirrel eats", "a nut goes"]),
            ("mv89psg6zh4_33_46.avi", ["a bird bathes"]),
        ]
        flat = [{"video": name, "caption": text} for name, texts in pairs for text in texts]
        write_json(
            folder / "cap_test.json", flat if form == "lavis" else [{"video": n, "caption": t} for n, t in pairs]
        )


@pytest.mark.parametrize("form", ["official", "lavis", "lavis-lists"])
def test_msvd_captions_in_each_form(tmp_path: Path, form: str) -> None:
    msvd(tmp_path, form)
    plan = plan_of("msvd-caption", tmp_path)
    assert [(question, references) for _, question, references in asked(plan)] == [
        (CAPTION, ("a squirrel eats", "a nut goes")),
        (CAPTION, ("a bird bathes",)),
    ]
    found = check("msvd/test", tmp_path)
    assert (found.num_items, found.num_expected, found.num_bad) == (2, 670, 0)


def test_msvd_captions_are_scored_with_five_frames_as_x_instructblip_does(model: OmniModel, tmp_path: Path) -> None:
    msvd(tmp_path, "official")
    result = run(brief(TASKS["msvd-caption"]), tmp_path, model)
    assert (result.status, result.num_items, result.bad, result.metric) == ("computed", 2, [], "cider_d")
    plan = plan_of("msvd-caption-instructblip", tmp_path)
    assert [item.media[0].options for item in plan.items] == [{"num_frames": 5}] * 2
    assert plan.settings["generation"] == {
        **{"num_beams": 5, "repetition_penalty": 1.5, "length_penalty": 1.0},
        **{"min_new_tokens": 10, "max_new_tokens": 80},
    }
    assert asked(plan)[0][1] == "a short description"


def msrvtt(folder: Path) -> None:
    """The test split's own file, and the one with all splits."""
    for number in (7010, 7011, 1):
        video(folder / "TestVideo" / f"video{number}.mp4", number)
    sentences = [
        {"caption": f"{what} {number}", "video_id": f"video{number}", "sen_id": number}
        for what in ("a cat", "the pet")
        for number in (7010, 7011, 1)
    ]
    of_test = [{"video_id": f"video{number}", "split": "test"} for number in (7010, 7011)]
    write_json(folder / "test_videodatainfo.json", {"videos": of_test, "sentences": sentences})
    every = [*of_test, {"video_id": "video1", "split": "train"}]
    write_json(folder / "MSRVTT_data.json", {"videos": every, "sentences": sentences})


def test_msrvtt_has_its_splits_and_the_one_of_retrieval(model: OmniModel, tmp_path: Path) -> None:
    msrvtt(tmp_path)
    expected = [("video7010", ("a cat 7010", "the pet 7010")), ("video7011", ("a cat 7011", "the pet 7011"))]
    assert [(id, answers) for id, _, answers in asked(plan_of("msrvtt-caption", tmp_path))] == expected
    (tmp_path / "test_videodatainfo.json").unlink()  # the file of all splits gives the same
    result = run(brief(TASKS["msrvtt-caption"]), tmp_path, model)
    assert (result.num_items, result.status) == (2, "computed")
    assert [item.id for item in result.items] == [id for id, _ in expected]
    rows = [
        {"key": f"ret{n}", "vid_key": f"msr{n}", "video_id": f"video{n}", "sentence": f"one, {n}"} for n in (7010, 1)
    ]
    table(tmp_path / "MSRVTT_JSFUSION_test.csv", rows)
    found = check("msrvtt/test-1k-a", tmp_path)
    assert (found.num_items, found.num_bad) == (2, 0)
    assert check("msrvtt/train", tmp_path).num_items == 1


def test_vatex_in_its_file_and_in_a_mirror(tmp_path: Path) -> None:
    rows = [
        {"videoID": f"{name}_000010_000020", "enCap": [f"one {name}", f"two {name}"], "chCap": ["一"]}
        for name in ("Ptf_2VRj-V0", "gone")
    ]
    write_json(tmp_path / "own" / "vatex_public_test_english_v1.1.json", rows)
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    parquet(tmp_path / "mirror" / "vatex_test" / "test-00000-of-00001.parquet", columns)
    for folder in ("own", "mirror"):
        video(tmp_path / folder / "videos" / "Ptf_2VRj-V0_000010_000020.mp4")
        plan = plan_of("vatex-caption", tmp_path / folder)
        assert asked(plan) == [("Ptf_2VRj-V0_000010_000020", CAPTION, ("one Ptf_2VRj-V0", "two Ptf_2VRj-V0"))]
        assert "no video gone_000010_000020 (.mp4" in named(plan)["gone_000010_000020"]
        (item,) = plan_of("vatex-caption-instructblip-joint", tmp_path / folder).items
        assert [(part.modality, part.options) for part in item.media] == [("video", {"num_frames": 5}), ("sound", {})]
    found = check("vatex/test", tmp_path / "own")
    assert (found.num_items, found.num_missing, found.is_complete) == (1, 1, False)


@pytest.mark.parametrize("form", ["official", "lavis"])
@pytest.mark.parametrize(("name", "file"), [("msvd-qa", "YouTubeClips/{}.avi"), ("msrvtt-qa", "video{}.mp4")])
def test_questions_of_msvd_and_msrvtt(tmp_path: Path, name: str, file: str, form: str) -> None:
    videos = {7: "abc_1_2", 9: "def_3_4"} if name == "msvd-qa" else {7: "7", 9: "9"}
    for number, video_name in videos.items():
        video(tmp_path / file.format(video_name), number)
    lines(tmp_path / "youtube_mapping.txt", *(f"{video_name} vid{number}" for number, video_name in videos.items()))
    texts = [(0, 7, "what is a cat doing?", "play"), (1, 9, "who sings?", "man"), (2, 99, "who is gone?", "woman")]
    if form == "official":
        rows: list[dict[str, Any]] = [{"id": i, "video_id": v, "question": q, "answer": a} for i, v, q, a in texts]
        write_json(tmp_path / "test_qa.json", rows)
    else:
        names = {number: Path(file.format(video_name)).name for number, video_name in videos.items()}
        rows = [{"question_id": i, "video": names.get(v, "x.mp4"), "question": q, "answer": a} for i, v, q, a in texts]
        write_json(tmp_path / "qa_test.json", rows)
    plan = plan_of(name, tmp_path)
    assert asked(plan) == [
        ("0", f"what is a cat doing?{SHORT}", ("play",)),
        ("1", f"who sings?{SHORT}", ("man",)),
    ]
    assert list(named(plan)) == ["2"]
    theirs = plan_of(f"{name}-instructblip", tmp_path)
    prompt = {"msvd-qa": "Question: {} Answer:", "msrvtt-qa": "based on the given video respond to {}"}[name]
    assert asked(theirs)[1][1] == prompt.format("who sings?")
    assert theirs.items[0].media[0].options == {"num_frames": 5}


def test_the_settings_of_x_instructblip_are_those_that_generation_takes(model: OmniModel, tmp_path: Path) -> None:
    for number in (7, 9):
        video(tmp_path / f"video{number}.mp4", number)
    rows = [{"id": n, "video_id": n, "question": f"who is {n}?", "answer": ("man", "cat")[n % 2]} for n in (7, 9)]
    write_json(tmp_path / "test_qa.json", rows)
    result = run(TASKS["msrvtt-qa-instructblip"], tmp_path, model)
    assert (result.status, result.num_items, result.bad) == ("computed", 2, [])
    assert result.settings["media_options"] == {"video": {"num_frames": 5}}


def activitynet(folder: Path) -> None:
    video(folder / "all_test" / "v_1QIUV7WYKXg.webm", 1)
    video(folder / "all_test" / "v_abc.mkv", 2)
    questions = [
        {"video_name": "1QIUV7WYKXg", "question": "does the athlete wear trousers", "question_id": "v_1QIUV7WYKXg_3"},
        {"video_name": "abc", "question": "what is the person doing?", "question_id": "v_abc_1"},
        {"video_name": "abc", "question": "what has no answer", "question_id": "v_abc_2"},
    ]
    answers = [
        {"question_id": "v_abc_1", "answer": "dancing", "type": 0},
        {"question_id": "v_1QIUV7WYKXg_3", "answer": "yes", "type": 3},
    ]
    write_json(folder / "test_q.json", questions)
    write_json(folder / "test_a.json", answers)


def test_activitynet_qa(model: OmniModel, tmp_path: Path) -> None:
    activitynet(tmp_path)
    result = run(brief(TASKS["activitynet-qa"]), tmp_path, model)
    assert (result.status, result.scorer, result.num_items) == ("computed", "exact-match-v2", 2)
    assert [(item.question, item.target) for item in result.items] == [
        ("does the athlete wear trousers? Answer the question using a single word or phrase.", "yes"),
        ("what is the person doing? Answer the question using a single word or phrase.", "dancing"),
    ]
    assert [item["id"] for item in result.bad] == ["v_abc_2"]
    (tmp_path / "test_a.json").write_text("[]")
    result = run(brief(TASKS["activitynet-qa"]), tmp_path, model)
    assert result.status == "not computed"
    assert "has no 'answer'" in result.reason


NEXT = {
    **{"video": "4010069381", "frame_count": 369, "width": 640, "height": 480, "qid": 6, "type": "CW"},
    **{"question": "how do the two man play the instrument", "answer": 4},
    **{"a0": "roll the handle", "a1": "tap their feet", "a2": "strum the string", "a3": "hit", "a4": "pat with hand"},
}


@pytest.mark.parametrize("form", ["official", "mapped", "mirror"])
def test_next_qa_multiple_choice(tmp_path: Path, form: str) -> None:
    rows = [NEXT, {**NEXT, "qid": 7, "answer": 5}, {**NEXT, "qid": 8, "a1": ""}, {**NEXT, "qid": 9, "answer": 0}]
    place = "1164/4010069381" if form == "mapped" else "4010069381"
    video(tmp_path / "NExTVideo" / f"{place}.mp4")
    if form == "mirror":
        parquet(tmp_path / "MC" / "test-00000-of-00001.parquet", {key: [row[key] for row in rows] for key in NEXT})
    else:
        table(tmp_path / "mc" / "test.csv", rows)
        table(
            tmp_path / "oe" / "test.csv", [{key: NEXT[key] for key in ("video", "question", "answer", "qid", "type")}]
        )
        write_json(tmp_path / "map_vid_vidorID.json", {"4010069381": "1164/4010069381"})
    plan = plan_of("next-qa", tmp_path)
    assert [(item.id, item.options[item.right]) for item in plan.items] == [
        ("4010069381_6", "pat with hand"),
        ("4010069381_9", "roll the handle"),
    ]
    assert plan.items[0].prompt == (
        "How do the two man play the instrument?\nA. roll the handle\nB. tap their feet\nC. strum the string\nD. hit\n"
        "E. pat with hand\nAnswer with the option's letter from the given choices directly."
    )
    assert plan.chance == 0.2
    assert len(plan.bad) == 2
    assert "none of the options" in plan.bad[0].reason
    assert plan_of("next-qa-likelihood", tmp_path).items[0].prompt == "How do the two man play the instrument?"


def test_next_qa_open_has_one_or_two_right_answers(model: OmniModel, tmp_path: Path) -> None:
    video(tmp_path / "4010069381.mp4")
    open_row = {
        key: NEXT[key] for key in ("video", "frame_count", "width", "height", "question", "answer", "qid", "type")
    }
    table(tmp_path / "oe" / "test.csv", [{**open_row, "answer": "pat"}, {**open_row, "answer": "yes", "qid": 7}])
    write_json(tmp_path / "add_reference_answer_test.json", {"4010069381": {"6": "with hands", "7": None}})
    plan = plan_of("next-qa-open", tmp_path)
    assert [references for _, _, references in asked(plan)] == [("pat", "with hands"), ("yes",)]
    result = run(brief(TASKS["next-qa-open"]), tmp_path, model)
    assert (result.status, result.scorer, result.metric) == ("computed", "wups-v1", "exact_match")
    assert {"wups_at_0", "wups_at_0.9"} <= {*result.not_computed, *result.scores["own"]}  # by whether WordNet is there
    result = run(brief(TASKS["next-qa"]), tmp_path, model)  # the other form's file has the same name
    assert result.status == "not computed"
    assert "oe/test.csv has no column 'a0'" in result.reason


@pytest.mark.parametrize("form", ["official", "folders"])
def test_kinetics_400(model: OmniModel, tmp_path: Path, form: str) -> None:
    assert len({*K400_LABELS}) == 400
    clips = [("passing American football (in game)", "abc", 1), ("air drumming", "-D-x", 20)]
    for seed, (label, id, start) in enumerate(clips):
        folder = label.replace(" ", "_") if form == "folders" else "clips"
        video(tmp_path / "val" / folder / f"{id}_{start:06d}_{start + 10:06d}.mp4", seed)
    if form == "official":
        rows = [{"label": a, "youtube_id": b, "time_start": c, "time_end": c + 10, "split": "val"} for a, b, c in clips]
        rows += [{**rows[0], "youtube_id": "gone"}, {**rows[0], "label": "flying"}]
        table(tmp_path / "val.csv", rows)
    else:
        video(tmp_path / "val" / "flying" / "x.mp4")
    plan = plan_of("k400", tmp_path)
    assert (plan.chance, plan.items[0].options) == (1 / 400, K400_LABELS)
    few = Choose("labels", labels={label: label for label, _, _ in clips})  # 400 take too long here
    result = run(TASKS["k400"].changed(kind=few), tmp_path, model)
    assert (result.status, result.num_items, result.scorer) == ("computed", 2, "classification-sum-v1")
    assert {item.target for item in result.items} == {label for label, _, _ in clips}
    reasons = " | ".join(named(plan).values())
    assert "'flying' is none of the 400 actions" in reasons
    assert ("no video gone_000001_000011" in reasons) == (form == "official")


def broken_list(folder: Path) -> None:
    (folder / "test_list.txt").write_text("\n")


def broken_captions(folder: Path) -> None:
    lines(folder / "AllVideoDescriptions.txt", "-4wsuPCjDBc_5_15 a squirrel eats")


@pytest.mark.parametrize(
    ("breaking", "status", "said"),
    [
        (broken_list, "not computed", "the data has no rows"),
        (broken_captions, "computed", "must be a list that is not empty"),
    ],
)
def test_broken_files_are_named(
    model: OmniModel, tmp_path: Path, breaking: Callable[[Path], None], status: str, said: str
) -> None:
    msvd(tmp_path, "official")
    breaking(tmp_path)
    result = run(brief(TASKS["msvd-caption"]), tmp_path, model)
    assert result.status == status
    assert said in result.reason + " ".join(item["reason"] for item in result.bad)
