"""LibriSpeech, and the sets of SUPERB's probes, from official files to scores or labels."""

from pathlib import Path
from typing import Any

import pytest

from eval.data.opening import open_official
from eval.task import Generate
from eval.tasks import TASKS
from omni.model import OmniModel
from omni.samples.messages import Sample
from tests.eval.data.brief import asked, mirror, plan, run
from tests.eval.data.official import check, decoding_model, sound

LINES = {"61-70968-0000": "HE BEGAN A CONFUSED COMPLAINT", "61-70968-0001": "IT IS DR. SMITH'S"}


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return decoding_model(tiny_llm, "speech")


def librispeech(folder: Path, split: str = "test-clean") -> Path:
    for number, (chapter, lines) in enumerate((("61/70968", LINES), ("908/31957", {"908-31957-0000": "A FROG"}))):
        place = folder / "LibriSpeech" / split / chapter
        for index, name in enumerate(lines):
            sound(place / f"{name}.flac", 10 * number + index)
        text = "".join(f"{name} {said}\n" for name, said in lines.items())
        (place / f"{chapter.replace('/', '-')}.trans.txt").write_text(text)
    return folder


def speech_commands(folder: Path) -> Path:
    for number, name in enumerate(
        ("bed/a_nohash_0.wav", "bed/b_nohash_0.wav", "cat/a_nohash_0.wav", "cat/c_nohash_1.wav")
    ):
        sound(folder / name, number)
    sound(folder / "_background_noise_" / "pink_noise.wav")
    (folder / "testing_list.txt").write_text("bed/a_nohash_0.wav\n")
    (folder / "validation_list.txt").write_text("cat/a_nohash_0.wav\n")
    return folder


def voxceleb(folder: Path) -> Path:
    """Names of files repeat in all folders."""
    names = ["id10001/1zcIwhmdeo4/00001.wav", "id10003/na8-QEFmj44/00001.wav", "id10003/na8-QEFmj44/00002.wav"]
    for number, name in enumerate(names):
        sound(folder / "wav" / name, number)
    lines = [f"1 {names[0]}", f"3 {names[1]}", f"3 {names[2]}", "3 id10004/gone/00001.wav"]
    (folder / "iden_split.txt").write_text("\n".join(lines) + "\n")
    return folder


def iemocap(folder: Path) -> Path:
    """Votes of single annotators stand between the lines that count; frustrated is none of the four classes."""
    votes = folder / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt"
    votes.parent.mkdir(parents=True)
    labels = {"Ses01F_impro01_F000": "neu", "Ses01F_impro01_M001": "exc", "Ses01F_impro01_F002": "fru"}
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    for number, (name, label) in enumerate(labels.items()):
        lines += [f"[{number}.2901 - {number + 1}.2357]\t{name}\t{label}\t[2.5000, 2.5000, 2.5000]"]
        lines += ["C-E2:\tNeutral;\t()", "A-E3:\tval 3; act 2; dom  2;\t()", ""]
        sound(folder / "Session1" / "sentences" / "wav" / "Ses01F_impro01" / f"{name}.wav", number)
    votes.write_text("\n".join(lines))
    return folder


def labels_of(source: str, folder: Path) -> list[tuple[str, Any]]:
    rows = [*open_official(f"official:{source}", folder)]
    return [(row.id, row.meta["label"]) if isinstance(row, Sample) else (row.sample_id, row.reason) for row in rows]


@pytest.mark.parametrize("split", ["test-clean", "test-other", "dev-clean", "dev-other"])
def test_librispeech_reads_the_transcriptions_of_a_split(split: str, tmp_path: Path) -> None:
    folder = librispeech(librispeech(tmp_path, split), "train-clean-100")
    rows = [*open_official(f"official:librispeech/{split}", folder)]
    assert {row.id: row.meta["answer"] for row in rows if isinstance(row, Sample)} == {
        **LINES,
        "908-31957-0000": "A FROG",
    }
    assert [media.modality for row in rows for media in row.media] == ["speech"] * 3
    assert TASKS[f"librispeech-{split}"].data == f"official:librispeech/{split}"
    assert check(f"librispeech/{split}", folder).num_expected in (2_620, 2_939, 2_703, 2_864)


def test_librispeech_is_scored_by_word_error_rate(model: OmniModel, tmp_path: Path) -> None:
    task = TASKS["librispeech-test-clean"]
    assert task.kind == Generate({"max_new_tokens": 256})
    official = librispeech(tmp_path / "official")
    result = run(task, official, model)
    assert (result.status, result.num_items, result.scorer) == ("computed", 3, "transcription-english-v1")
    assert result.items[0].question == "Please recognize the speech and only output the recognized content:"
    assert {"wer", "cer"} <= {*result.scores["own"]}
    content = [{"bytes": path.read_bytes()} for path in sorted(official.rglob("*.flac"))]
    columns = {"audio": content, "gt": [*LINES.values(), "A FROG"], "source": ["x"] * 3, "task": ["asr"] * 3}
    name = "librispeech_test_clean"
    mirror(tmp_path / "mirror", name, name, columns)
    assert asked(plan(task.name, tmp_path / "mirror")) == asked(plan(task.name, official))


def test_librispeech_names_what_is_missing(model: OmniModel, tmp_path: Path) -> None:
    folder = librispeech(tmp_path)
    next(folder.rglob("61-70968-0001.flac")).unlink()
    (folder / "LibriSpeech" / "test-clean" / "908/31957" / "908-31957.trans.txt").write_text("908-31957-0000\n")
    found = check("librispeech/test-clean", folder)
    assert (found.num_items, found.num_bad, found.num_missing) == (1, 2, 1)
    assert [error.sample_id for error in found.bad] == ["61-70968-0001", "908-31957-0000"]
    assert found.bad[1].reason.startswith("'text' must be a text")
    assert "no dev-clean/*/*/*.trans.txt" in run(TASKS["librispeech-dev-clean"], folder, model).reason


def test_speech_commands_are_split_by_their_lists(tmp_path: Path) -> None:
    folder = speech_commands(tmp_path)
    for version in ("v1", "v2"):
        assert labels_of(f"speech-commands-{version}/test", folder) == [("bed/a_nohash_0.wav", "bed")]
        assert labels_of(f"speech-commands-{version}/val", folder) == [("cat/a_nohash_0.wav", "cat")]
        train = [("bed/b_nohash_0.wav", "bed"), ("cat/c_nohash_1.wav", "cat")]
        assert labels_of(f"speech-commands-{version}/train", folder) == train
    (folder / "bed/a_nohash_0.wav").unlink()
    found = check("speech-commands-v2/test", folder)
    assert (found.num_items, found.num_missing, found.num_expected) == (0, 1, 11_005)


def test_voxceleb_names_its_speakers(tmp_path: Path) -> None:
    folder = voxceleb(tmp_path)
    assert labels_of("voxceleb1/test", folder) == [
        ("id10003/na8-QEFmj44/00001.wav", "id10003"),
        ("id10003/na8-QEFmj44/00002.wav", "id10003"),
        ("id10004/gone/00001.wav", f"id10004/gone/00001.wav is not in {folder}"),
    ]
    assert labels_of("voxceleb1/train", folder) == [("id10001/1zcIwhmdeo4/00001.wav", "id10001")]
    assert labels_of("voxceleb1/val", folder) == []


def test_iemocap_has_four_emotions(tmp_path: Path) -> None:
    folder = iemocap(tmp_path)
    four = [("Ses01F_impro01_F000", "neutral"), ("Ses01F_impro01_M001", "happy")]
    assert labels_of("iemocap/all", folder) == labels_of("iemocap/session1", folder) == four
    assert labels_of("iemocap/session1-train", folder) == []
    for path in folder.rglob("*.txt"):
        path.unlink()
    lines = ["session,method,gender,emotion,n_annotators,agreement,path"]
    for name, emotion in (("F000", "neu"), ("M001", "exc"), ("F002", "fru")):
        lines.append(f"1,impro,F,{emotion},3,3,Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_{name}.wav")
    (folder / "iemocap_full_dataset.csv").write_text("\n".join(lines))
    assert labels_of("iemocap/all", folder) == four
    (first, *_) = open_official("official:iemocap/all", folder)
    assert first.meta["session"] == "1"
