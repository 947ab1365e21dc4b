"""Speech: LibriSpeech with its transcriptions, and the labelled sets that SUPERB's probes are trained on."""

import re
from collections.abc import Callable, Sequence

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.files import Files
from eval.data.hub import hub_layout, part_of
from eval.data.labels import readable
from eval.data.rows import question_row, text_of, value_of
from eval.data.tables import csv_records

_LIBRISPEECH = {"test-clean": 2_620, "test-other": 2_939, "dev-clean": 2_703, "dev-other": 2_864}
_COMMANDS = {
    "v1": ("speech_commands_v0.01", {"test": 6_835, "val": 6_798, "train": 51_088}),
    "v2": ("speech_commands_v0.02", {"test": 11_005, "val": 9_981, "train": 84_843}),
}
_LISTS = {"test": "testing_list.txt", "val": "validation_list.txt"}
_VOXCELEB = {"test": ("3", 8_251), "val": ("2", 6_904), "train": ("1", 138_361)}
_EMOTIONS = {"neu": "neutral", "hap": "happy", "exc": "happy", "sad": "sad", "ang": "angry"}  # SUPERB's four classes
_EMOTION_LINE = re.compile(r"^\[[\d.]+ - [\d.]+\]\t(\S+)\t(\S+)\t")


def _librispeech(split: str, number: int) -> Split:
    def read(files: Files) -> Sequence[Record]:
        found = []
        for path in files.matching(f"{split}/*/*/*.trans.txt"):
            for line in path.read_text(encoding="utf-8").splitlines():
                id, _, text = line.strip().partition(" ")
                if id:
                    found.append({"id": id, "text": text.strip(), "path": path.parent / f"{id}.flac"})
        return found

    hub = Hub("lmms-lab-audio/librispeech", split_name := f"librispeech_{split.replace('-', '_')}", split_name)
    return Split(
        (
            Layout("official", (f"{split}/*/*/*.trans.txt",), read, _transcribed_row),
            hub_layout(hub, ("audio", "gt"), _mirrored_librispeech_row),
        ),
        num_items=number,
    )


def _transcribed_row(record: Record, files: Files) -> Row:
    return question_row(record["id"], [_speech(record, files)], answer=text_of(record, "text"))


def _mirrored_librispeech_row(record: Record, files: Files) -> Row:
    speech = part_of("speech", value_of(record, "audio"), files)
    return question_row(record.get("id"), [speech], answer=text_of(record, "gt"))


def _commands(split: str) -> Callable[[Files], Sequence[Record]]:
    def read(files: Files) -> Sequence[Record]:
        lists = {name: {*files.find(list).read_text().split()} for name, list in _LISTS.items()}
        folder = files.find(_LISTS["test"]).parent
        if split in lists:
            names = sorted(lists[split])
        else:
            names = [
                f"{path.parent.name}/{path.name}" for path in files.matching("*/*.wav") if path.parent.parent == folder
            ]
            names = [
                name for name in names if not name.startswith("_") and not any(name in one for one in lists.values())
            ]
        return [{"id": name, "path": folder / name, "label": name.partition("/")[0]} for name in names]

    return read


def _voxceleb(number: str) -> Callable[[Files], Sequence[Record]]:
    def read(files: Files) -> Sequence[Record]:
        lines = [line.split() for line in files.find("iden_split.txt").read_text().splitlines() if line.strip()]
        names = [cells[1] for cells in lines if len(cells) == 2 and cells[0] == number]
        there = {"/".join(path.parts[-3:]): path for path in files.matching("*/*/*.wav")}
        return [{"id": name, "path": there.get(name), "label": name.partition("/")[0]} for name in names]

    return read


def _sessions(numbers: str, count: int | None, note: str) -> Split:
    def only(read: Callable[[Files], Sequence[Record]]) -> Callable[[Files], Sequence[Record]]:
        return lambda files: [record for record in read(files) if record["session"] in {*numbers}]

    return Split(
        (
            Layout("official", ("dialog/EmoEvaluation/*.txt",), only(_iemocap), _labelled_row),
            Layout("table", ("iemocap*.csv",), only(_emotion_table), _labelled_row),
        ),
        num_items=count,
        note=note,
    )


def _iemocap(files: Files) -> Sequence[Record]:
    """Return the utterances of the four classes, in the sessions' files of votes; the others are no items."""
    there = {path.stem: path for path in files.matching("sentences/wav/*/*.wav")}
    found = []
    for path in files.matching("dialog/EmoEvaluation/*.txt"):
        for line in path.read_text(encoding="latin-1").splitlines():
            match = _EMOTION_LINE.match(line)
            if match and match[2] in _EMOTIONS:
                found.append(_utterance(match[1], there.get(match[1]), match[2], match[1][3:5].lstrip("0")))
    return found


def _emotion_table(files: Files) -> Sequence[Record]:
    there = {path.stem: path for path in files.matching("*.wav")}
    rows = csv_records(files.find("iemocap*.csv"), ("session", "emotion", "path"))
    names = [row["path"].rpartition("/")[2].removesuffix(".wav") for row in rows]
    return [
        _utterance(name, there.get(name), row["emotion"], row["session"])
        for name, row in zip(names, rows, strict=True)
        if row["emotion"] in _EMOTIONS
    ]


def _utterance(id: str, path: object, emotion: str, session: str) -> Record:
    return {"id": id, "path": path, "label": _EMOTIONS[emotion], "session": session}


def _labelled_row(record: Record, files: Files) -> Row:
    meta = {"session": record["session"]} if "session" in record else {}
    return question_row(record["id"], [_speech(record, files)], label=readable(record["label"]), **meta)


def _speech(record: Record, files: Files) -> dict[str, str]:
    path = record["path"]
    if path is None or not path.is_file():
        raise FileNotFoundError(f"{path or record['id']} is not in {files.folder}")
    return {"type": "speech", "path": str(path)}


def _speech_commands(version: str) -> Benchmark:
    archive, numbers = _COMMANDS[version]
    return Benchmark(
        name=f"speech-commands-{version}",
        title=f"Speech Commands, {version} (Warden 2018, arXiv:1804.03209)",
        homepage="https://huggingface.co/datasets/google/speech_commands",
        licence="CC BY 4.0",
        get=f"{archive}.tar.gz: a folder for each word, testing_list.txt and validation_list.txt",
        splits={
            split: Split(
                (Layout("official", (*_LISTS.values(), "*/*.wav"), _commands(split), _labelled_row),),
                num_items=number,
                note="all words are classes; SUPERB joins most of them to `unknown`, and adds silence",
            )
            for split, number in numbers.items()
        },
    )


_FOLD = "{}session {}, as SUPERB's folds leave one out each"

BENCHMARKS = (
    Benchmark(
        name="librispeech",
        title="LibriSpeech (Panayotov et al. 2015, doi:10.1109/ICASSP.2015.7178964)",
        homepage="https://www.openslr.org/12",
        licence="CC BY 4.0",
        get="test-clean.tar.gz, test-other.tar.gz, dev-clean.tar.gz, dev-other.tar.gz, or some of them",
        splits={split: _librispeech(split, number) for split, number in _LIBRISPEECH.items()},
    ),
    _speech_commands("v1"),
    _speech_commands("v2"),
    Benchmark(
        name="voxceleb1",
        title="VoxCeleb1, identification of speakers (Nagrani et al. 2017, arXiv:1706.08612)",
        homepage="https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox1.html",
        licence="CC BY 4.0 (metadata); speech of YouTube under the terms of its owners",
        get="iden_split.txt, and the folders idNNNNN/VIDEO/NNNNN.wav of both archives",
        splits={
            split: Split((Layout("official", ("iden_split.txt",), _voxceleb(digit), _labelled_row),), num_items=number)
            for split, (digit, number) in _VOXCELEB.items()
        },
    ),
    Benchmark(
        name="iemocap",
        title="IEMOCAP, four emotions (Busso et al. 2008, doi:10.1007/s10579-008-9076-6)",
        homepage="https://sail.usc.edu/iemocap/",
        licence="for research, by a signed agreement",
        get="the folders Session1 to Session5, with dialog/EmoEvaluation and sentences/wav",
        splits={
            "all": _sessions("12345", 5_531, "SUPERB's four classes, excited being happy"),
            **{
                f"session{number}{'' if is_test else '-train'}": _sessions(
                    number if is_test else "12345".replace(number, ""),
                    None,
                    _FOLD.format("" if is_test else "all but ", number),
                )
                for number in "12345"
                for is_test in (True, False)
            },
        },
    ),
)
