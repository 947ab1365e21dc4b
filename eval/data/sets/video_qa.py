"""Open and multiple-choice questions about videos: MSVD-QA, MSRVTT-QA, ActivityNet-QA and NExT-QA."""

from collections.abc import Callable, Mapping, Sequence

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.files import Files
from eval.data.hub import table_layouts
from eval.data.lettered import choice_row
from eval.data.rows import by_key, question_row, text_of, value_of
from eval.data.tables import csv_records, json_list, read_json
from eval.data.videos import video_part
from omni.media.item import shorten

Reader = Callable[[Files], Sequence[Record]]


def _qa_row(record: Record, files: Files) -> Row:
    return question_row(
        value_of(record, "question_id"),
        [video_part(files, *record["videos"])],
        text_of(record, "question"),
        answer=text_of(record, "answer"),
    )


def _read_xu(name: str, names_of: Callable[[Files], Callable[[str], tuple[str, ...]]]) -> Reader:
    """Return a reader of Xu et al.'s form: a list of `{id, video_id (a number), question, answer}`."""

    def read(files: Files) -> Sequence[Record]:
        videos = names_of(files)
        return [
            {**one, "question_id": value_of(one, "id"), "videos": videos(text_of(one, "video_id"))}
            for one in json_list(files.find(name))
        ]

    return read


def _read_lavis(name: str) -> Reader:
    """Return a reader of LAVIS's form: a list of `{question_id, video (a file), question, answer}`."""

    def read(files: Files) -> Sequence[Record]:
        return [{**one, "videos": (text_of(one, "video"),)} for one in json_list(files.find(name))]

    return read


def _msrvtt_names(files: Files) -> Callable[[str], tuple[str, ...]]:
    return lambda number: (f"video{number}",)


def _msvd_names(files: Files) -> Callable[[str], tuple[str, ...]]:
    """Return the names of MSVD's videos: the mapping has lines `NAME vid7`."""
    path = files.find("youtube_mapping.txt")
    pairs = [line.split() for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
    wrong = next((pair for pair in pairs if len(pair) != 2), None)
    if wrong:
        raise ValueError(f"{path} must have lines such as `-4wsuPCjDBc_5_15 vid1`; got {shorten(' '.join(wrong))}")
    named = {number: name for name, number in pairs}
    return lambda number: tuple(one for one in (named.get(f"vid{number}"), f"vid{number}") if one)


def _xu_split(split: str, number: int, names: Callable[[Files], Callable[[str], tuple[str, ...]]], *more: str) -> Split:
    official, lavis = f"{split}_qa.json", f"qa_{split}.json"
    return Split(
        (
            Layout("official", (official, *more), _read_xu(official, names), _qa_row),
            Layout("LAVIS (X-InstructBLIP)", (lavis,), _read_lavis(lavis), _qa_row),
        ),
        number,
    )


def _read_activitynet(split: str) -> Reader:
    def read(files: Files) -> Sequence[Record]:
        path = files.find(f"{split}_a.json")
        answers = by_key(json_list(path), "question_id", path.name)
        questions = json_list(files.find(f"{split}_q.json"))
        return [{**answers.get(question.get("question_id"), {}), **question} for question in questions]

    return read


def _activitynet_row(record: Record, files: Files) -> Row:
    video = text_of(record, "video_name")
    question = text_of(record, "question").strip()
    return question_row(
        value_of(record, "question_id"),
        [video_part(files, f"v_{video}", video)],
        question if question.endswith("?") else f"{question}?",  # the files have none
        answer=text_of(record, "answer"),
        type=str(record.get("type", "")),
    )


def _activitynet_split(name: str, number: int) -> Split:
    needs = (f"{name}_q.json", f"{name}_a.json")
    columns = ("video_name", "question", "question_id", "answer")
    hub = Hub("lmms-eval/ActivityNetQA", "test")
    mirrors = table_layouts(hub, columns, _activitynet_row) if name == "test" else ()
    return Split((Layout("official", needs, _read_activitynet(name), _activitynet_row), *mirrors), number)


NEXT_OPTIONS = ("a0", "a1", "a2", "a3", "a4")


def _next_files(form: str, split: str) -> tuple[str, ...]:
    return (f"{form}/{split}.csv", f"*{form}*/{split}.csv", f"nextqa/{split}.csv", f"{split}.csv")


def _read_next(form: str, split: str, columns: Sequence[str]) -> Reader:
    def read(files: Files) -> Sequence[Record]:
        rows = csv_records(files.find(*_next_files(form, split)), ("video", "question", "answer", "qid", *columns))
        places, more = _mapping(files, "map_vid_vidorID.json"), {}
        if form == "oe":
            more = _mapping(files, f"add_reference_answer_{split}.json")
        return [{**row, "place": places.get(row["video"]), "more": _more(more, row)} for row in rows]

    return read


def _mapping(files: Files, name: str) -> Mapping[str, object]:
    if not files.matching(name):
        return {}
    found = read_json(files.find(name))
    if not isinstance(found, Mapping):
        raise ValueError(f"{files.find(name)} must hold an object, got {shorten(found)}")
    return found


def _more(answers: Mapping[str, object], row: Mapping[str, str]) -> object:
    of_video = answers.get(row["video"])
    return of_video.get(row["qid"]) if isinstance(of_video, Mapping) else None


def _next_parts(record: Record, files: Files) -> tuple[str, list[dict[str, object]], str]:
    video = text_of(record, "video")
    names = (str(record["place"]), video) if record.get("place") else (video,)
    question = text_of(record, "question").strip()
    id = f"{video}_{value_of(record, 'qid')}"
    return (
        id,
        [video_part(files, *names)],
        question[:1].upper() + question[1:] + ("" if question.endswith("?") else "?"),
    )


def _next_choice_row(record: Record, files: Files) -> Row:
    options = [text_of(record, column) for column in NEXT_OPTIONS]
    answer = value_of(record, "answer")
    right = int(answer) if isinstance(answer, str) and answer.strip().isdecimal() else answer
    return choice_row(*_next_parts(record, files), options, right, type=str(record.get("type", "")))


def _next_open_row(record: Record, files: Files) -> Row:
    more = record.get("additional_ref_answer", record.get("more"))
    answers = [text_of(record, "answer"), *([more.strip()] if isinstance(more, str) and more.strip() else [])]
    return question_row(*_next_parts(record, files), answers=answers, type=str(record.get("type", "")))


def _next_split(form: str, split: str, number: int) -> Split:
    columns = NEXT_OPTIONS if form == "mc" else ("type",)
    row = _next_choice_row if form == "mc" else _next_open_row
    layouts = [Layout("official", (_next_files(form, split),), _read_next(form, split, columns), row)]
    names = {"val": "validation"}.get(split, split)
    if form == "oe" or split == "test":
        hub = Hub("lmms-eval/NExTQA", names, form.upper())
        needed = ("video", "question", "answer", "qid", *columns)
        layouts += table_layouts(hub, needed, row, f"{hub.config}/{hub.split}-*.parquet")
    return Split(tuple(layouts), number)


BENCHMARKS = (
    Benchmark(
        name="msvd-qa",
        title="MSVD-QA (Xu et al. 2017)",
        homepage="https://github.com/xudejing/video-question-answering",
        licence="not stated; videos of MSVD (YouTube)",
        get="test_qa.json with youtube_mapping.txt, and the videos of MSVD; or LAVIS's qa_test.json",
        splits={
            "test": _xu_split("test", 13_157, _msvd_names, "youtube_mapping.txt"),
            "val": _xu_split("val", 6_415, _msvd_names, "youtube_mapping.txt"),
        },
    ),
    Benchmark(
        name="msrvtt-qa",
        title="MSRVTT-QA (Xu et al. 2017)",
        homepage="https://github.com/xudejing/video-question-answering",
        licence="not stated; videos of MSR-VTT (YouTube)",
        get="test_qa.json, and the videos of MSR-VTT (video7010.mp4 ...); or LAVIS's qa_test.json",
        splits={
            "test": _xu_split("test", 72_821, _msrvtt_names),
            "val": _xu_split("val", 12_278, _msrvtt_names),
        },
    ),
    Benchmark(
        name="activitynet-qa",
        title="ActivityNet-QA (Yu et al. 2019, arXiv:1906.02467)",
        homepage="https://github.com/MILVLG/activitynet-qa",
        licence="annotations Apache-2.0; videos of ActivityNet (YouTube)",
        get="test_q.json and test_a.json, and the videos of ActivityNet's validation split (v_NAME.mp4, .webm or .mkv)",
        splits={"test": _activitynet_split("test", 8_000), "val": _activitynet_split("val", 18_000)},
    ),
    Benchmark(
        name="next-qa",
        title="NExT-QA (Xiao et al. 2021, arXiv:2105.08276)",
        homepage="https://github.com/doc-doc/NExT-QA",
        licence="MIT (annotations); videos of VidOR (YFCC100M)",
        get="the CSV files of multiple choice in a folder mc/, those of open questions (doc-doc/NExT-OE, with "
        "add_reference_answer_test.json) in a folder oe/, as both are named test.csv; map_vid_vidorID.json; the videos",
        splits={
            "mc-test": _next_split("mc", "test", 8_564),
            "mc-val": _next_split("mc", "val", 4_996),
            "oe-test": _next_split("oe", "test", 9_178),
            "oe-val": _next_split("oe", "val", 5_343),
        },
    ),
)
