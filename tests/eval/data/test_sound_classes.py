"""ESC-50, UrbanSound8K, VGGSound and AudioSet, from official files to scores."""

from pathlib import Path

import datasets
import pytest

from eval.data.command import main
from eval.data.opening import open_official
from eval.tasks import TASKS
from omni.model import OmniModel
from tests.eval.data.brief import asked, bad, plan, run
from tests.eval.data.official import check, decoding_model, parquet, sound, video

ESC = [("1-1-A-0.wav", "0", "dog"), ("1-2-A-30.wav", "30", "door_wood_knock"), ("5-3-A-49.wav", "49", "hand_saw")]
URBAN = [("101415-3-0-2.wav", "1", "3", "dog_bark"), ("102305-6-0-0.wav", "10", "6", "gun_shot")]


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return decoding_model(tiny_llm, "sound", "video")


def esc50(folder: Path, rows: list[tuple[str, str, str]] = ESC) -> Path:
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for number, (name, target, category) in enumerate(rows):
        lines.append(f"{name},{name[0]},{target},{category},False,{number},A")
        sound(folder / "ESC-50-master" / "audio" / name, number)
    (folder / "ESC-50-master" / "meta").mkdir()
    (folder / "ESC-50-master" / "meta" / "esc50.csv").write_text("\n".join(lines))
    return folder


def urban_sound(folder: Path) -> Path:
    lines = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for number, (name, fold, target, category) in enumerate(URBAN):
        lines.append(f"{name},{number},0.0,0.2,1,{fold},{target},{category}")
        sound(folder / "audio" / f"fold{fold}" / name, number)
    (folder / "metadata").mkdir()
    (folder / "metadata" / "UrbanSound8K.csv").write_text("\n".join(lines))
    return folder


def vggsound(folder: Path) -> Path:
    """No header, commas in labels, an id that begins with a hyphen; one clip is a video, one a sound."""
    (folder / "vggsound.csv").parent.mkdir(parents=True, exist_ok=True)
    lines = ["---g-f_I2yQ,1,people marching,test", '0a_bC-d,20,"playing violin, fiddle",test', "zz,3,rain,train"]
    (folder / "vggsound.csv").write_text("\n".join(lines))
    video(folder / "video" / "---g-f_I2yQ_000001.mp4", audio=True)
    sound(folder / "audio" / "0a_bC-d_20.flac")
    return folder


def audioset(folder: Path) -> Path:
    """Three comments, blanks after commas, labels in one quoted cell; one file begins with Y, one video is whole."""
    lines = [
        "# Segments csv created Sun Mar  5 10:54:25 2017",
        "# num_ytids=2, num_segs=2, num_unique_labels=2, num_positive_labels=3",
        "# YTID, start_seconds, end_seconds, positive_labels",
        '--4gqARaEJE, 0.000, 10.000, "/m/068hy,/m/07q6cd_"',
        '-0BIyqJj9ZU, 3.000, 6.000, "/m/07q6cd_"',
    ]
    (folder / "eval_segments.csv").write_text("\n".join(lines))
    names = 'index,mid,display_name\n0,/m/068hy,"Domestic animals, pets"\n1,/m/07q6cd_,Squeak\n'
    (folder / "class_labels_indices.csv").write_text(names)
    sound(folder / "eval" / "Y--4gqARaEJE.wav", seconds=1)
    sound(folder / "eval" / "-0BIyqJj9ZU.wav", 1, seconds=7, rate=8000)
    return folder


@pytest.mark.parametrize(
    ("task", "form", "answer"),
    [
        ("esc50", "This is a sound of {}.", "door wood knock"),
        ("esc50-instructblip", "an audio of {}", "door wood knock"),
    ],
)
def test_esc_50_ranks_fifty_names(task: str, form: str, answer: str, model: OmniModel, tmp_path: Path) -> None:
    result = run(TASKS[task], esc50(tmp_path), model)
    assert (result.status, result.num_items, result.bad, result.chance) == ("computed", 3, [], pytest.approx(1 / 50))
    assert [item.target for item in result.items] == [form.format(name) for name in ("dog", answer, "hand saw")]
    assert result.scorer == TASKS[task].scorer
    assert {result.metric, "macro_f1", "top_5"} <= {*result.scores["own"]}
    assert (check("esc50/all", tmp_path).num_items, check("esc50/all", tmp_path).num_bad) == (3, 0)


def test_esc_50_of_a_mirror_has_the_same_labels(tmp_path: Path) -> None:
    esc50(tmp_path / "official")
    content = [{"bytes": file.read_bytes()} for file in sorted((tmp_path / "official").rglob("*.wav"))]
    columns = {"audio": content, "target": [int(target) for _, target, _ in ESC]}
    parquet(tmp_path / "mirror" / "data" / "train-0.parquet", columns, {"audio": datasets.Audio(decode=False)})
    one, other = (plan("esc50", tmp_path / form) for form in ("official", "mirror"))
    assert asked(one) == asked(other)
    assert [item.media[0].data for item in other.items] == [file["bytes"] for file in content]


def test_esc_50_names_a_missing_sound_and_a_class_that_it_does_not_have(tmp_path: Path) -> None:
    folder = esc50(tmp_path, [*ESC, ("1-4-A-9.wav", "9", "crown")])
    next(folder.rglob(ESC[0][0])).unlink()
    found = plan("esc50", folder)
    assert len(found.items) == 2
    assert [(id, reason.split(";")[0]) for id, reason in bad(found)] == [
        (ESC[0][0], f"audio/{ESC[0][0]} or {ESC[0][0]} is not in {folder}"),
        ("1-4-A-9.wav", "there is no class 'crown'"),
    ]


def test_folds_are_test_and_training_splits(tmp_path: Path) -> None:
    esc50(tmp_path / "esc")
    assert [check(f"esc50/{split}", tmp_path / "esc").num_items for split in ("all", "test", "train")] == [3, 1, 2]
    urban_sound(tmp_path / "urban")
    splits = ("all", "test", "train")
    assert [check(f"urbansound8k/{split}", tmp_path / "urban").num_items for split in splits] == [2, 1, 1]


def test_a_split_without_any_medium_is_not_fetched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = vggsound(tmp_path)
    assert main(["vggsound", str(folder)]) == 0
    assert "vggsound/train (official): 0 items can be used\n  media missing: 1" in capsys.readouterr().out
    assert main(["vggsound/train", str(folder)]) == 1


def test_a_wrong_column_is_named(model: OmniModel, tmp_path: Path) -> None:
    folder = esc50(tmp_path)
    table = next(folder.rglob("esc50.csv"))
    table.write_text(table.read_text().replace("category", "kind", 1))
    result = run(TASKS["esc50"], folder, model)
    assert result.status == "not computed"
    assert "has no column 'category'; found 'filename', 'fold', 'target', 'kind'" in result.reason
    table.write_text("")
    assert "has no column" in run(TASKS["esc50"], folder, model).reason


def test_urban_sound_has_its_folds(model: OmniModel, tmp_path: Path) -> None:
    result = run(TASKS["urbansound8k"], urban_sound(tmp_path / "official"), model)
    assert [item.target for item in result.items] == ["This is a sound of dog bark.", "This is a sound of gun shot."]
    assert result.chance == 1 / 10
    content = [{"bytes": (tmp_path / "official/audio" / f"fold{fold}" / name).read_bytes()} for name, fold, *_ in URBAN]
    columns = {"audio": content, "classID": [int(target) for _, _, target, _ in URBAN]}
    parquet(tmp_path / "mirror" / "train-0.parquet", columns)
    assert asked(plan("urbansound8k", tmp_path / "mirror")) == asked(plan("urbansound8k", tmp_path / "official"))


def test_vggsound_takes_its_test_split_and_the_classes_of_the_whole_file(model: OmniModel, tmp_path: Path) -> None:
    folder = vggsound(tmp_path)
    rows = [*open_official("official:vggsound/test", folder)]
    assert [row.id for row in rows] == ["---g-f_I2yQ_1", "0a_bC-d_20"]
    assert [[media.modality for media in row.media] for row in rows] == [["video", "sound"], ["sound"]]
    assert rows[0].meta["options"] == ["people marching", "playing violin, fiddle", "rain"]
    result = run(TASKS["vggsound"], folder, model)
    assert (result.num_items, result.chance) == (2, 1 / 3)
    assert result.items[1].target == "This is a sound of playing violin, fiddle."
    assert [part["type"] for item in result.items for part in item.media] == ["sound", "sound"]


def test_vggsound_is_asked_by_video_and_sound_together_and_alone(model: OmniModel, tmp_path: Path) -> None:
    result = run(TASKS["vggsound-video-sound"], vggsound(tmp_path), model)
    assert (result.num_items, [part["type"] for part in result.items[0].media]) == (1, ["video", "sound"])
    assert {"own", "blank", "only-video", "only-sound"} <= {*result.scores}
    assert [(one["id"], one["reason"].split(",")[0]) for one in result.bad] == [("0a_bC-d_20", "has no video")]


def test_the_sound_of_a_clip_may_lie_next_to_its_video(tmp_path: Path) -> None:
    folder = vggsound(tmp_path)
    own = sound(folder / "wav" / "---g-f_I2yQ_1.wav")
    first, _ = open_official("official:vggsound/test", folder)
    assert [(media.modality, media.path) for media in first.media] == [
        ("video", str(folder / "video" / "---g-f_I2yQ_000001.mp4")),
        ("sound", str(own)),
    ]


def test_vggsound_of_a_mirror_has_all_classes(tmp_path: Path) -> None:
    names = ["people marching", "playing violin, fiddle", "rain"]
    content = {"bytes": sound(tmp_path / "a.wav").read_bytes()}
    (tmp_path / "mirror").mkdir()
    columns = {"audio": [content, content], "label": [0, 2]}
    parquet(tmp_path / "mirror" / "test-0.parquet", columns, {"label": datasets.ClassLabel(names=names)})
    found = plan("vggsound", tmp_path / "mirror")
    assert [right for _, right in asked(found)] == [f"This is a sound of {names[index]}." for index in (0, 2)]
    assert found.chance == pytest.approx(1 / 3)
    columns["label"] = ["rain", "people marching"]
    parquet(tmp_path / "texts" / "test-0.parquet", columns)
    assert plan("vggsound", tmp_path / "texts").chance == 1 / 2


def test_audioset_has_several_labels_and_cuts_whole_videos(tmp_path: Path) -> None:
    folder = audioset(tmp_path)
    first, second = open_official("official:audioset/eval", folder)
    assert (first.id, first.meta["labels"]) == ("--4gqARaEJE_0", ["Domestic animals, pets", "Squeak"])
    assert (first.media[0].options, second.media[0].options) == ({}, {"start": 3.0, "end": 6.0})
    found = check("audioset/eval", folder)
    assert (found.num_items, found.num_bad, found.num_expected) == (2, 0, 20_371)
    with (folder / "eval_segments.csv").open("a") as file:
        file.write("\n\n")
    assert check("audioset/eval", folder).num_items == 2
    (folder / "eval_segments.csv").rename(folder / "balanced_train_segments.csv")
    assert check("audioset/balanced-train", folder).num_items == 2


def test_audioset_names_what_is_wrong(tmp_path: Path) -> None:
    folder = audioset(tmp_path)
    (folder / "eval" / "Y--4gqARaEJE.wav").unlink()
    table = folder / "class_labels_indices.csv"
    found = check("audioset/eval", folder)
    assert (found.num_items, found.num_missing) == (1, 1)
    assert found.missing[0].startswith("--4gqARaEJE_0, Y--4gqARaEJE_0, ")
    table.write_text("index,mid,display_name\n0,/m/068hy,Pets\n")
    found = check("audioset/eval", folder)
    assert found.bad[1].reason == "has the class '/m/07q6cd_', which class_labels_indices.csv does not name"
    (folder / "eval_segments.csv").write_text("a, 0, 10\n")
    assert "has a line of 3 cells, where 4 must be" in check("audioset/eval", folder).problem
