"""Questions about pictures with the answer yes or no: POPE, MME, HallusionBench and VSR."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.choices import filled
from eval.data.files import Files
from eval.data.hub import ChosenRecords, ParquetRecords, parquet_layout, part_of
from eval.data.rows import Part, media_part, question_row, text_of, value_of
from eval.data.tables import json_lines, json_list
from omni.media.item import shorten

YES_NO = {"yes": "yes", "no": "no"}
_HALLUSION = "HallusionBench.json"
_HALLUSION_KEYS: tuple[str, ...] = ("category", "subcategory", "set_id", "figure_id", "question_id")
_MME_QUESTION = " Please answer yes or no."


def _label(value: object, names: dict[str, str]) -> str:
    """Return yes or no, or whatever `names` calls a label."""
    said = str(value).strip().rstrip(".").lower()
    if isinstance(value, bool) or said not in names:
        raise ValueError(f"the right answer must be {' or '.join(names)}; got {shorten(value)}")
    return names[said]


def _pope_row(record: Record, files: Files) -> Row:
    return question_row(
        value_of(record, "question_id"),
        [media_part("image", files, text_of(record, "image"))],
        text_of(record, "text").strip(),
        answer=_label(value_of(record, "label"), YES_NO),
    )


def _mirrored_pope_row(record: Record, files: Files) -> Row:
    return question_row(
        value_of(record, "question_id"),
        [part_of("image", value_of(record, "image"), files)],
        text_of(record, "question").strip(),
        answer=_label(value_of(record, "answer"), YES_NO),
    )


def _pope(split: str, note: str = "") -> Split:
    name = f"coco_pope_{split}.json"
    columns = ("question_id", "question", "answer", "image")
    hub = Hub("lmms-lab-encoder/POPE", split, "Full")
    return Split(
        (
            Layout("official", (name,), lambda files: json_lines(files.find(name)), _pope_row),
            parquet_layout(hub, f"{split}-*.parquet", columns, _mirrored_pope_row),
        ),
        num_items=3_000,
        note=note,
    )


def _read_mme(files: Files) -> Sequence[Record]:
    """Return the questions of all categories: for each picture a text file with two lines, question TAB answer.

    In some categories the text files lie next to the pictures, in others in folders of their own.
    """
    found: list[Record] = []
    for path in files.matching("*.txt"):
        inner = path.parent.name == "questions_answers_YN"
        category = (path.parent.parent if inner else path.parent).name
        folder = path.parent.parent / "images" if inner else path.parent
        if path.parent == files.folder or path.parent.name == "eval_tool":
            continue
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        for number, line in enumerate(lines, 1):
            question, _, answer = line.rpartition("\t")
            found.append(
                {
                    "id": f"{category}/{path.stem}/{number}",
                    "question_id": f"{category}/{path.stem}",
                    "category": category,
                    "question": question,
                    "answer": answer,
                    "picture": str(folder / path.stem),
                }
            )
    if not found:
        raise ValueError(f"{files.folder} has no category with text files of questions")
    return [{**record, **sizes} for record, sizes in zip(found, _sizes(map(_mme_group, found)), strict=True)]


def _mme_group(record: Record) -> str:
    id, category = str(record.get("question_id")), record.get("category")
    return id if id.startswith(f"{category}/") else f"{category}/{id}"


def _read_mirrored_mme(files: Files) -> Sequence[Record]:
    records = ParquetRecords(files, "test-*.parquet", ("question_id", "image", "question", "answer", "category"))
    names = zip(records.column("question_id"), records.column("category"), strict=True)
    sizes = _sizes(_mme_group({"question_id": id, "category": category}) for id, category in names)
    return ChosenRecords(records, [*enumerate(sizes)])


def _mme_row(record: Record, files: Files) -> Row:
    stem = Path(record["picture"])
    named = [stem.with_name(stem.name + ending) for ending in (".jpg", ".png", ".jpeg")]
    picture = next((path for path in named if path.is_file()), None)
    if picture is None:
        raise FileNotFoundError(f"{stem.name}.jpg or .png is not in {stem.parent}")
    return _mme_item(record, {"type": "image", "path": str(picture)})


def _mirrored_mme_row(record: Record, files: Files) -> Row:
    return _mme_item({**record, "id": None}, part_of("image", value_of(record, "image"), files))


def _mme_item(record: Record, picture: Part) -> Row:
    question = text_of(record, "question").strip()
    return question_row(
        record["id"],
        [picture],
        question,
        bare_question=question.replace(_MME_QUESTION, ""),  # lmms-eval's post-prompt stands in its place
        answer=_label(value_of(record, "answer"), YES_NO),
        category=record.get("category"),
        group=record["group"],
        group_size=record["group_size"],
    )


def _sizes(groups: Iterable[str]) -> list[Record]:
    """Return for each item its group and the number of items that the group has."""
    names = [*groups]
    sizes = Counter(names)
    return [{"group": name, "group_size": sizes[name]} for name in names]


def _hallusion_places(records: Sequence[Record], by: str) -> list[Record]:
    """Return the id of each question, its group (by question or by figure) and the size of that."""

    def joined(record: Record, keys: Sequence[str]) -> str:
        return "/".join(str(record.get(key)) for key in keys)

    sizes = _sizes(joined(record, (*_HALLUSION_KEYS[:3], by)) for record in records)
    return [{"id": joined(record, _HALLUSION_KEYS), **size} for record, size in zip(records, sizes, strict=True)]


def _hallusion_row(record: Record, files: Files) -> Row:
    name = filled(record.get("filename")).removeprefix("./")
    within = "/".join(name.split("/")[-3:])  # the folder may be `hallusion_bench` itself
    return _hallusion_item(record, [media_part("image", files, name, within)] if name else [])


def _mirrored_hallusion_row(record: Record, files: Files) -> Row:
    picture = record.get("image")
    return _hallusion_item(record, [] if picture is None else [part_of("image", picture, files)])


def _hallusion_item(record: Record, media: Sequence[Part]) -> Row:
    return question_row(
        record["id"],
        media,
        text_of(record, "question"),
        answer=_label(value_of(record, "gt_answer"), {"1": "yes", "0": "no"}),
        category=record.get("category"),
        group=record["group"],
        group_size=record["group_size"],
    )


def _read_hallusion(by: str, with_picture: bool) -> Callable[[Files], Sequence[Record]]:
    def read(files: Files) -> Sequence[Record]:
        records = json_list(files.find(_HALLUSION))
        kept = [one for one in records if not with_picture or filled(one.get("filename"))]
        return [{**record, **further} for record, further in zip(kept, _hallusion_places(kept, by), strict=True)]

    return read


def _read_mirrored_hallusion(by: str) -> Callable[[Files], Sequence[Record]]:
    def read(files: Files) -> Sequence[Record]:
        records = ParquetRecords(files, "image-*.parquet", ("image", *_HALLUSION_KEYS, "question", "gt_answer"))
        columns = zip(*map(records.column, _HALLUSION_KEYS), strict=True)
        keys: list[Record] = [dict(zip(_HALLUSION_KEYS, one, strict=True)) for one in columns]
        return ChosenRecords(records, [*enumerate(_hallusion_places(keys, by))])

    return read


def _hallusion_split(by: str, num_items: int, with_picture: bool, note: str) -> Split:
    layouts = [Layout("official", (_HALLUSION,), _read_hallusion(by, with_picture), _hallusion_row)]
    if with_picture:
        hub = Hub("lmms-lab-encoder/HallusionBench", "image")
        read = _read_mirrored_hallusion(by)
        layouts.append(Layout("mirrored table", ("image-*.parquet",), read, _mirrored_hallusion_row, hub))
    return Split(tuple(layouts), num_items, note)


def _vsr_row(record: Record, files: Files) -> Row:
    name = text_of(record, "image")
    caption = text_of(record, "caption")
    return question_row(
        f"{name}/{record.get('relation')}/{caption}",
        [media_part("image", files, name)],
        caption,
        label=_label(value_of(record, "label"), {"1": "true", "0": "false"}),
        relation=record.get("relation"),
    )


def _vsr(split: str, num_items: int) -> Split:
    names = (f"{split}/test.jsonl", f"{split}_test.jsonl")
    hub = Hub(f"cambridgeltl/vsr_{split}", "test")
    return Split(
        (Layout("official", (names,), lambda files: json_lines(files.find(*names)), _vsr_row, hub),), num_items
    )


BENCHMARKS = (
    Benchmark(
        name="pope",
        title="POPE, COCO (Li et al. 2023, arXiv:2305.10355)",
        homepage="https://github.com/RUCAIBox/POPE",
        licence="MIT (questions); pictures of COCO under the terms of Flickr",
        get="output/coco/coco_pope_{random,popular,adversarial}.json, and the pictures val2014 of COCO",
        splits={
            "random": _pope("random", "an earlier file of the authors had 2,910"),
            "popular": _pope("popular"),
            "adversarial": _pope("adversarial"),
        },
    ),
    Benchmark(
        name="mme",
        title="MME (Fu et al. 2023, arXiv:2306.13394)",
        homepage="https://github.com/BradyFU/Awesome-Multimodal-Large-Language-Models/tree/Evaluation",
        licence="research only; ask the authors",
        get="MME_Benchmark_release_version with the folders of its 14 categories",
        splits={
            "test": Split(
                (
                    Layout(
                        "mirrored table",
                        ("test-*.parquet",),
                        _read_mirrored_mme,
                        _mirrored_mme_row,
                        Hub("lmms-lab-encoder/MME", "test"),
                    ),
                    Layout("official", ("*.txt",), _read_mme, _mme_row),
                ),
                num_items=2_374,
                note="two questions about each picture",
            )
        },
    ),
    Benchmark(
        name="hallusionbench",
        title="HallusionBench (Guan et al. 2023, arXiv:2310.14566)",
        homepage="https://github.com/tianyi-lab/HallusionBench",
        licence="BSD-3-Clause",
        get="HallusionBench.json, and the folder hallusion_bench with the pictures",
        splits={
            "image": _hallusion_split("question_id", 951, True, "with a picture; grouped by question (qAcc)"),
            "image-by-figure": _hallusion_split("figure_id", 951, True, "with a picture; grouped by figure (fAcc)"),
            "all": _hallusion_split("question_id", 1_129, False, "178 without a picture; grouped by question (qAcc)"),
        },
    ),
    Benchmark(
        name="vsr",
        title="Visual Spatial Reasoning (Liu et al. 2022, arXiv:2205.00363)",
        homepage="https://github.com/cambridgeltl/visual-spatial-reasoning",
        licence="Apache-2.0 (annotations); pictures of COCO under the terms of Flickr",
        get="data/splits/{random,zeroshot}/test.jsonl, and the pictures train2017 and val2017 of COCO",
        splits={"random": _vsr("random", 2_195), "zeroshot": _vsr("zeroshot", 1_222)},
    ),
)
