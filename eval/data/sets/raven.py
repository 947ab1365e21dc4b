"""Raven-style matrices: which picture completes them, in a layout of omni's own, since the items of Kosmos-1 have none.

`matrices.json` is a list of objects:

    {"id": "m1", "images": ["m1/1.png", ...], "candidates": ["m1/a.png", ...], "answer": 0}

`images` are the three cells of a matrix of 2 x 2, or the eight of one of 3 x 3, line by line, without the last one;
`candidates` are the pictures to choose from (six in Kosmos-1), and `answer` is the index of the right one from 0 on.
Paths start from the folder.
"""

from collections.abc import Sequence

from eval.data.benchmark import Benchmark, Layout, Record, Row, Split
from eval.data.choices import right_by_index
from eval.data.files import Files
from eval.data.rows import media_part, text_of, texts_of, value_of
from eval.data.tables import json_list

MATRICES = "matrices.json"
_WORDS = {3: "three", 8: "eight"}


def _read(files: Files) -> Sequence[Record]:
    """Return one row for each candidate of each matrix; a matrix without candidates stays one row, which is bad."""
    found: list[Record] = []
    for record in json_list(files.find(MATRICES)):
        candidates = record.get("candidates")
        number = len(candidates) if isinstance(candidates, list) else 0
        found += [{**record, "candidate": index} for index in range(number or 1)]
    return found


def _row(record: Record, files: Files) -> Row:
    """Return the question whether a candidate is the next picture, in the words of Kosmos-1 (arXiv:2302.14045, 4.3)."""
    id = text_of(record, "id")
    cells, candidates = texts_of(record, "images"), texts_of(record, "candidates")
    if len(cells) not in _WORDS:
        raise ValueError(f"'images' must hold 3 pictures (2 x 2) or 8 (3 x 3), without the last one; got {len(cells)}")
    right = right_by_index(value_of(record, "answer"), candidates)
    index = record["candidate"]
    content = [
        {"type": "text", "text": f"Here are {_WORDS[len(cells)]} images:"},
        *(media_part("image", files, cell) for cell in cells),
        {"type": "text", "text": "The following image is:"},
        media_part("image", files, candidates[index]),
        {"type": "text", "text": "Is it correct?"},
    ]
    meta = {"answer": "yes" if index == right else "no", "group": id}
    return {"id": f"{id}/{index}", "messages": [{"role": "user", "content": content}], "meta": meta}


BENCHMARKS = (
    Benchmark(
        name="raven-iq",
        title="Raven-style matrices, as in Kosmos-1 (Huang et al. 2023, arXiv:2302.14045)",
        homepage="https://arxiv.org/abs/2302.14045",
        licence="that of your matrices; the 50 of Kosmos-1 are not public in a layout of their own",
        get="matrices.json: a list of {id, images (3 or 8 cells), candidates (6 pictures), answer (from 0 on)}, and "
        "the pictures that it names",
        splits={
            "test": Split(
                (Layout("omni", (MATRICES,), _read, _row),),
                note="one row for each candidate; Kosmos-1 has 50 matrices, which makes 300 rows",
            )
        },
    ),
)
