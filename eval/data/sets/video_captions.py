"""Videos with captions: MSVD, MSR-VTT and VATEX, in their own files and in those of LAVIS (X-InstructBLIP)."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.files import Files
from eval.data.hub import part_of, table_layouts
from eval.data.rows import Part, question_row, text_of, texts_of, value_of
from eval.data.tables import csv_records, json_list
from eval.data.videos import sound_part, video_part

Reader = Callable[[Files], Sequence[Record]]


def _row(record: Record, files: Files) -> Row:
    """Return the row of a video with its sound, which a task may leave out; it says what is asked."""
    video = text_of(record, "video")
    captions = texts_of(record, "captions")
    return question_row(record.get("id", video), _seen_and_heard(files, video), captions=captions)


def _seen_and_heard(files: Files, video: str) -> list[Part]:
    return [video_part(files, video), sound_part(files, video)]


def grouped(pairs: Sequence[tuple[str, Any]]) -> list[Record]:
    """Return one record for each video, in the order of its first caption, with all its captions."""
    captions: dict[str, list[Any]] = defaultdict(list)
    for video, caption in pairs:
        captions[video] += caption if isinstance(caption, list | tuple) else [caption]
    return [{"video": video, "captions": found} for video, found in captions.items()]


def _lavis_layout(*names: str) -> Layout:
    """Return LAVIS's form: a list of `{video, caption}`, a record for each caption or a list of them in one."""

    def read(files: Files) -> Sequence[Record]:
        path = files.find(*names)
        return grouped([(text_of(one, "video"), value_of(one, "caption")) for one in json_list(path)])

    return Layout("LAVIS (X-InstructBLIP)", (names,), read, _row)


MSVD_CAPTIONS = "AllVideoDescriptions.txt"


def _read_msvd(*lists: str) -> Reader:
    def read(files: Files) -> Sequence[Record]:
        wanted = [line.split()[0] for line in _lines(files, *lists) if line.strip()]
        captions: dict[str, list[str]] = defaultdict(list)
        for line in _lines(files, MSVD_CAPTIONS):
            video, _, caption = line.partition(" ")
            if caption.strip() and not line.startswith("#"):
                captions[video].append(caption.strip())
        names = [name.removesuffix(".avi") for name in wanted]
        return [{"video": name, "captions": captions[name]} for name in names]

    return read


def _lines(files: Files, *names: str) -> list[str]:
    return files.find(*names).read_text(encoding="utf-8-sig", errors="replace").split("\n")


def _msvd_split(name: str, number: int) -> Split:
    lists = (f"{name}_list.txt", f"{name}list.txt", f"{name}.txt")
    official = Layout("official", (MSVD_CAPTIONS, lists), _read_msvd(*lists), _row)
    mirrors = table_layouts(Hub("mteb/MSVD", "test"), ("video", "caption"), _mirrored_row) if name == "test" else ()
    return Split((official, _lavis_layout(f"cap_{name}.json"), *mirrors), number)


def _mirrored_row(record: Record, files: Files) -> Row:
    """Return the row of a table that has the video itself; its place in the table is its id where it has none."""
    caption = value_of(record, "caption")
    captions = texts_of({"caption": [caption] if isinstance(caption, str) else caption}, "caption")
    parts = [part_of("video", value_of(record, "video"), files)]
    parts += [part_of("sound", record["audio"], files)] if record.get("audio") else []
    row = question_row("", parts, captions=captions)
    return {**row, "id": record.get("video_id")}


MSRVTT = {
    "train": ("train_val_videodatainfo.json", "MSRVTT_data.json"),
    "validate": ("train_val_videodatainfo.json", "MSRVTT_data.json"),
    "test": ("test_videodatainfo.json", "MSRVTT_data.json"),
}


def _read_msrvtt(split: str) -> Reader:
    def read(files: Files) -> Sequence[Record]:
        path = files.find(*MSRVTT[split])
        videos = [text_of(one, "video_id") for one in json_list(path, "videos") if one.get("split", split) == split]
        captions: dict[str, list[str]] = defaultdict(list)
        for sentence in json_list(path, "sentences"):
            captions[text_of(sentence, "video_id")].append(text_of(sentence, "caption"))
        return [{"video": video, "captions": captions[video]} for video in videos]

    return read


JSFUSION = "MSRVTT_JSFUSION_test.csv"


def _read_1k(files: Files) -> Sequence[Record]:
    rows = csv_records(files.find(JSFUSION), ("key", "vid_key", "video_id", "sentence"))
    return [{"id": row["key"], "video": row["video_id"], "captions": [row["sentence"]]} for row in rows]


def _msrvtt_split(name: str, number: int, lavis: str) -> Split:
    official = Layout("official", (MSRVTT[name],), _read_msrvtt(name), _row)
    mirrors = table_layouts(Hub("mteb/MSR-VTT", "test"), ("video", "caption"), _mirrored_row) if name == "test" else ()
    return Split((official, _lavis_layout(lavis), *mirrors), number)


def _read_vatex(*names: str) -> Reader:
    def read(files: Files) -> Sequence[Record]:
        return json_list(files.find(*names))

    return read


def _vatex_row(record: Record, files: Files) -> Row:
    video = text_of(record, "videoID")
    chinese: dict[str, Any] = {"chinese": [*record["chCap"]]} if isinstance(record.get("chCap"), list) else {}
    return question_row(video, _seen_and_heard(files, video), captions=texts_of(record, "enCap"), **chinese)


VATEX_MIRROR = table_layouts(
    Hub("lmms-eval/VATEX", "test", "vatex_test"), ("videoID", "enCap"), _vatex_row, "vatex_test/test-*.parquet"
)


def _vatex_split(number: int, names: tuple[str, ...], lavis: str, mirrors: tuple[Layout, ...] = ()) -> Split:
    official = Layout("official", (names,), _read_vatex(*names), _vatex_row)
    note = "videos that are no longer on YouTube are missing in most copies; they are counted and named"
    return Split((official, _lavis_layout(lavis), *mirrors), number, note)


BENCHMARKS = (
    Benchmark(
        name="msvd",
        title="MSVD (Chen and Dolan 2011)",
        homepage="https://www.cs.utexas.edu/users/ml/clamp/videoDescription/",
        licence="not stated; videos of YouTube",
        get="AllVideoDescriptions.txt and YouTubeClips.tar, with lists of the videos of each split (test_list.txt)",
        splits={"test": _msvd_split("test", 670), "val": _msvd_split("val", 100), "train": _msvd_split("train", 1200)},
    ),
    Benchmark(
        name="msrvtt",
        title="MSR-VTT (Xu et al. 2016)",
        homepage="https://cove.thecvf.com/datasets/839",
        licence="not stated; videos of YouTube",
        get="test_videodatainfo.json and train_val_videodatainfo.json (or MSRVTT_data.json), and the videos video0.mp4 "
        f"...; for the split test-1k-a {JSFUSION} (Yu et al. 2018)",
        splits={
            "test": _msrvtt_split("test", 2990, "cap_test.json"),
            "test-1k-a": Split(
                (Layout("official", (JSFUSION,), _read_1k, _row),), 1000, "one caption a video; used for retrieval"
            ),
            "val": _msrvtt_split("validate", 497, "cap_val.json"),
            "train": _msrvtt_split("train", 6513, "cap_train.json"),
        },
    ),
    Benchmark(
        name="vatex",
        title="VATEX (Wang et al. 2019, arXiv:1904.03493)",
        homepage="https://eric-xw.github.io/vatex-website/download.html",
        licence="annotations CC BY 4.0; videos of YouTube",
        get="vatex_public_test_english_v1.1.json or vatex_validation_v1.0.json, and the videos ID_START_END.mp4",
        splits={
            "test": _vatex_split(6000, ("vatex_public_test_english_v1.1.json",), "cap_public_test.json", VATEX_MIRROR),
            "val": _vatex_split(3000, ("vatex_validation_v1.0.json",), "cap_val.json"),
            "private-test": Split(
                (_lavis_layout("cap_private_test.json"),), note="LAVIS's own captions; the official ones are not public"
            ),
        },
    ),
)
