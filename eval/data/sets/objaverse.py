"""Objects of Objaverse: the categories of LVIS, and the captions of Cap3D and PointLLM."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.data.benchmark import Benchmark, Layout, Record, Row, Split
from eval.data.files import Files
from eval.data.labels import readable
from eval.data.rows import Part, question_row, text_of, value_of
from eval.data.tables import csv_records, json_list, read_json

_COLOURS = {"columns": "x y z r g b"}
_LVIS = ("lvis-annotations.json", "lvis-annotations.json.gz")
_POINTLLM_IDS = "val_object_ids_3000.txt"
_CAP3D = "Cap3D_automated_Objaverse_full.csv"


def _read_lvis(files: Files) -> Sequence[Record]:
    """Return the objects of `{category: [uid]}`, each with the names of all categories."""
    path = files.find(*_LVIS)
    content = _read_gzipped(path) if path.suffix == ".gz" else read_json(path)
    if not isinstance(content, Mapping) or not all(isinstance(uids, list) for uids in content.values()):
        raise ValueError(f"{path} must hold an object of categories, with a list of ids in each")
    classes = [readable(category) for category in content]
    return [
        {"id": f"{category}/{uid}", "uid": uid, "label": category, "classes": classes}
        for category, uids in content.items()
        for uid in uids
    ]


def _read_gzipped(path: Path) -> object:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return json.load(file)
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path} is no JSON in gzip ({error}); get it again") from error


def _lvis_row(record: Record, files: Files) -> Row:
    part = _objaverse(text_of(record, "uid"), files)
    return question_row(record["id"], [part], label=readable(record["label"]), options=record["classes"])


def _objaverse(uid: str, files: Files) -> Part:
    """Return an object of Objaverse: its model, or 8192 points with colours as PointLLM gives them."""
    path = files.find(f"{uid}.glb", f"{uid}_8192.npy")
    options = {"options": _COLOURS} if path.suffix == ".npy" else {}
    return {"type": "point_cloud", "path": str(path), **options}


def _captions(name: str, columns: Sequence[str], *, header: bool, only: str | None = None) -> Layout:
    """Return the layout of a table of ids and captions; `only` is a file of the ids that are items."""

    def read(files: Files) -> Sequence[Record]:
        records = csv_records(files.find(name), columns, header=header)
        kept = None if only is None else {*files.find(only).read_text(encoding="utf-8").split()}
        return [
            {"id": record[columns[0]], "caption": record[columns[1]]}
            for record in records
            if kept is None or record[columns[0]] in kept
        ]

    return Layout("official", (name,) if only is None else (name, only), read, _caption_row)


def _caption_row(record: Record, files: Files) -> Row:
    uid = text_of(record, "id").strip()
    return question_row(uid, [_objaverse(uid, files)], captions=[text_of(record, "caption").strip()])


def _conversation_row(record: Record, files: Files) -> Row:
    turns = value_of(record, "conversations")
    answers = [turn.get("value") for turn in turns if isinstance(turn, Mapping) and turn.get("from") == "gpt"]
    uid = text_of(record, "object_id")
    return question_row(
        uid, [_objaverse(uid, files)], captions=[text_of({"value": answers[0] if answers else None}, "value")]
    )


def _pointllm(name: str, number: int) -> Split:
    layout = Layout("official", (name,), lambda files: json_list(files.find(name)), _conversation_row)
    return Split((layout,), num_items=number)


BENCHMARKS = (
    Benchmark(
        name="objaverse-lvis",
        title="Objaverse-LVIS (Deitke et al. 2022, arXiv:2212.08051)",
        homepage="https://objaverse.allenai.org/objaverse-1.0",
        licence="ODC-BY 1.0; each object under its own Creative Commons licence",
        get="lvis-annotations.json(.gz) and the objects as UID.glb, or as UID_8192.npy (points with colours)",
        splits={
            "all": Split(
                (Layout("official", (_LVIS,), _read_lvis, _lvis_row),),
                note="1,156 categories; papers count 46,207 to 46,832 objects, since some could not be converted",
            )
        },
    ),
    Benchmark(
        name="cap3d",
        title="Cap3D (Luo et al. 2023, arXiv:2306.07279)",
        homepage="https://cap3d-um.github.io/",
        licence="captions ODC-BY 1.0; each object of Objaverse under its own licence",
        get=f"{_CAP3D}, and the objects as UID.glb, or as UID_8192.npy (points with colours)",
        splits={
            "pointllm-3000": Split(
                (_captions(_CAP3D, ("uid", "caption"), header=False, only=_POINTLLM_IDS),),
                num_items=3_000,
                note=f"the objects that PointLLM held out, {_POINTLLM_IDS}",
            ),
            "all": Split(
                (_captions(_CAP3D, ("uid", "caption"), header=False),), note="the number depends on the file's version"
            ),
            "val": Split(
                (_captions("cap3d_cap_final_val.csv", ("sample_id", "data"), header=True),),
                note="X-InstructBLIP's held-out part, cap3d_cap_final_val.csv",
            ),
        },
    ),
    Benchmark(
        name="pointllm",
        title="PointLLM's captions of Objaverse (Xu et al. 2023, arXiv:2308.16911)",
        homepage="https://github.com/OpenRobotLab/PointLLM",
        licence="CC BY-NC-SA 4.0",
        get="PointLLM_brief_description_val_200_GT.json (or 3000), and the points as UID_8192.npy",
        splits={
            "val-200": _pointllm("PointLLM_brief_description_val_200_GT.json", 200),
            "val-3000": _pointllm("PointLLM_brief_description_val_3000_GT.json", 3_000),
        },
    ),
)
