"""ImageNet-1k validation and its variants: which of up to 1,000 classes is on the picture."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.files import Files
from eval.data.hub import ChosenRecords, ParquetRecords, part_of
from eval.data.rows import Part, media_part, question_row, value_of
from eval.data.tables import csv_records, read_json

# A file with the names of the 1,000 classes; the first that is there is taken.
NAMES = ("classnames.txt", "LOC_synset_mapping.txt", "imagenet_class_index.json")
_NUM_CLASSES = 1_000
_ENDINGS = (".JPEG", ".jpeg", ".jpg", ".JPG", ".png")
_SOLUTION = "LOC_val_solution.csv"
_TRUTH, _META = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"
_VALIDATION = "validation-*.parquet"


def class_names(files: Files) -> dict[str, str]:
    """Return WordNet id -> name of the 1,000 classes, sorted by id, which is the order of their numbers.

    `classnames.txt` has `n01440764 tench` in each line, such as the names that CLIP was evaluated with;
    `LOC_synset_mapping.txt` has all words of a synset, of which the first is taken, or all where two classes share it
    (`maillot`); `imagenet_class_index.json` has `{"0": ["n01440764", "tench"], ...}`.

    Raises:
        FileNotFoundError: none of the files is there.
        ValueError: the file has another form, or another number of classes.
    """
    path = files.find(*NAMES)
    if path.suffix == ".json":
        found = _class_index(path)
    else:
        lines = [line.split(None, 1) for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        wrong = next((line for line in lines if len(line) != 2), None)
        if wrong:
            raise ValueError(f"{path} must have an id and a name in each line, got {wrong}")
        found = {wnid: name.strip() for wnid, name in lines}
    if len(found) != _NUM_CLASSES:
        raise ValueError(f"{path} has {len(found):,} classes, and ImageNet has {_NUM_CLASSES:,}")
    found = dict(sorted(found.items()))
    return found if path.name == NAMES[0] else first_words(found)


def _class_index(path: Path) -> dict[str, str]:
    value = read_json(path)
    if not isinstance(value, Mapping) or not all(
        isinstance(one, list) and len(one) == 2 and all(isinstance(text, str) for text in one) for one in value.values()
    ):
        raise ValueError(f"{path} must have [id, name] for each number, as Keras and torchvision have it")
    return {wnid: name.replace("_", " ") for wnid, name in value.values()}


def first_words(names: Mapping[str, str]) -> dict[str, str]:
    """Return the first of the words of each class; where two classes share it all words, and else the class's key."""
    short = {key: name.partition(",")[0].strip() for key, name in names.items()}
    times, times_whole = Counter(short.values()), Counter(names.values())
    found = {}
    for key, name in short.items():
        whole = names[key] if times_whole[names[key]] == 1 else f"{name} ({key})"
        found[key] = name if times[name] == 1 else whole
    return found


def _read_folders(num_classes: int, numbered: bool = False) -> Callable[[Files], Sequence[Record]]:
    def read(files: Files) -> Sequence[Record]:
        """Return the pictures in folders that are named by class: by WordNet id, or by its number from 0 on."""
        names = class_names(files)
        # Numbers sort as texts (0, 1, 10, 100, ...) in another order than as numbers, which is theirs.
        of_folder = {str(number): id for number, id in enumerate(names)} if numbered else {id: id for id in names}
        found = {path for ending in _ENDINGS for path in files.matching(f"*{ending}") if path.parent.name in of_folder}
        # A folder with all of ImageNet has the pictures of training too.
        validation = {path for path in found if "val" in path.relative_to(files.folder).parts[:-2]}
        pictures = [(of_folder[path.parent.name], path) for path in validation or found]
        there = {id for id, _ in pictures}
        if len(there) != num_classes:
            kind = "numbered from 0 to 999" if numbered else "named by WordNet id"
            raise ValueError(
                f"{files.folder} has pictures in {len(there):,} folders {kind}, where {num_classes:,} classes are "
                "asked about; fewer would make the choice easier"
            )
        classes = _Classes({id: name for id, name in names.items() if id in there})
        return [
            {"id": f"{path.parent.name}/{path.name}", "wnid": id, "path": str(path), "classes": classes}
            for id, path in sorted(pictures)
        ]

    return read


class _Classes:
    """The classes that are asked about: one list of names, which all rows share."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names
        self.options = [*names.values()]

        self._digest = hashlib.sha256("\n".join(self.options).encode()).hexdigest()

    def __repr__(self) -> str:
        return f"{len(self.options)} classes, {self._digest}"  # of each row of 50,000, in its fingerprint


def _row(record: Record, files: Files) -> Row:
    return _item(record, {"type": "image", "path": record["path"]}, record["wnid"])


def _item(record: Record, picture: Part, key: str) -> Row:
    classes: _Classes = record["classes"]
    if key not in classes.names:
        raise ValueError(f"the class {key!r} is none of the {len(classes.names):,} that have a name")
    return question_row(record["id"], [picture], options=classes.options, label=classes.names[key], wnid=key)


def _read_kaggle(files: Files) -> Sequence[Record]:
    """Return the flat pictures of validation, whose classes stand in a file: the id, then boxes that do not matter."""
    classes = _Classes(class_names(files))
    records = csv_records(files.find(_SOLUTION), ("ImageId", "PredictionString"))
    return [
        {"id": record["ImageId"], "wnid": record["PredictionString"].partition(" ")[0], "classes": classes}
        for record in records
    ]


def _read_devkit(files: Files) -> Sequence[Record]:
    """Return the flat pictures of validation by the development kit: a class number for each, in the order of names.

    The numbers are the kit's own (`ILSVRC2012_ID` in meta.mat), not those of the sorted ids.
    """
    from scipy.io import loadmat  # takes long to import

    classes = _Classes(class_names(files))
    path = files.find(_META)
    try:
        synsets = loadmat(path, squeeze_me=True)["synsets"]
        wnids = {int(id): str(wnid) for id, wnid in zip(synsets["ILSVRC2012_ID"], synsets["WNID"], strict=True)}
    except Exception as error:  # damaged files raise almost anything
        raise ValueError(f"{path} cannot be read as the synsets of ImageNet's development kit ({error})") from error
    numbers = files.find(_TRUTH).read_text(encoding="utf-8").split()
    return [
        {"id": f"ILSVRC2012_val_{place:08d}", "wnid": _wnid(number, wnids), "classes": classes}
        for place, number in enumerate(numbers, 1)
    ]


def _wnid(number: str, wnids: Mapping[int, str]) -> str:
    return wnids.get(int(number), number) if number.isdecimal() else number


def _flat_row(record: Record, files: Files) -> Row:
    return _item(record, media_part("image", files, f"{record['id']}.JPEG", f"{record['id']}.jpg"), record["wnid"])


def _read_mirror(files: Files) -> Sequence[Record]:
    records = ParquetRecords(files, _VALIDATION, ("image", "label"))
    names = records.tables[0].class_names.get("label", [])
    if len(names) != _NUM_CLASSES:
        raise ValueError(f"the column 'label' has the names of {len(names):,} classes, not of {_NUM_CLASSES:,}")
    classes = _Classes(
        dict(zip(names, first_words({str(n): name for n, name in enumerate(names)}).values(), strict=True))
    )
    return ChosenRecords(records, [(index, {"classes": classes}) for index in range(len(records))])


def _mirrored_row(record: Record, files: Files) -> Row:
    picture = part_of("image", value_of(record, "image"), files)
    return _item({**record, "id": None}, picture, str(value_of(record, "label")))


def _folders(num_classes: int, numbered: bool = False) -> Layout:
    pictures = tuple(f"*{ending}" for ending in _ENDINGS)
    return Layout("folders", (NAMES, pictures), _read_folders(num_classes, numbered), _row)


_HELP = (
    f"a file with the names of the classes, one of {', '.join(NAMES)} (the second comes with Kaggle's archive; the "
    "names that CLIP was evaluated with give the usual figures)"
)
_IMAGENET = "https://image-net.org/download.php"
_TERMS = "the terms of access of ImageNet: research only"


def _variant(name: str, title: str, homepage: str, licence: str, get: str, layout: Layout, num_items: int) -> Benchmark:
    return Benchmark(name, title, homepage, licence, f"{get}; and {_HELP}", {"test": Split((layout,), num_items)})


BENCHMARKS = (
    Benchmark(
        name="imagenet",
        title="ImageNet-1k, validation of 2012 (Russakovsky et al. 2015, arXiv:1409.0575)",
        homepage=_IMAGENET,
        licence=_TERMS,
        get=f"ILSVRC2012_img_val.tar in folders by WordNet id, or flat with {_SOLUTION}, or "
        f"with {_TRUTH} and {_META} of the development kit; and {_HELP}",
        splits={
            "val": Split(
                (
                    Layout("flat", (NAMES, _SOLUTION), _read_kaggle, _flat_row),
                    Layout("development kit", (NAMES, _TRUTH, _META), _read_devkit, _flat_row),
                    _folders(_NUM_CLASSES),
                    Layout(
                        "mirrored table",
                        (_VALIDATION,),
                        _read_mirror,
                        _mirrored_row,
                        Hub("ILSVRC/imagenet-1k", "validation"),
                    ),
                ),
                num_items=50_000,
            )
        },
    ),
    _variant(
        "imagenet-v2",
        "ImageNet-V2, matched frequency (Recht et al. 2019, arXiv:1902.10811)",
        "https://github.com/modestyachts/ImageNetV2",
        "MIT (code); pictures under the terms of Flickr",
        "imagenetv2-matched-frequency-format-val, with folders from 0 to 999",
        _folders(_NUM_CLASSES, numbered=True),
        10_000,
    ),
    _variant(
        "imagenet-a",
        "ImageNet-A (Hendrycks et al. 2019, arXiv:1907.07174)",
        "https://github.com/hendrycks/natural-adv-examples",
        "MIT (code); pictures of several owners",
        "the folder imagenet-a with 200 classes, among which alone is chosen",
        _folders(200),
        7_500,
    ),
    _variant(
        "imagenet-r",
        "ImageNet-R (Hendrycks et al. 2020, arXiv:2006.16241)",
        "https://github.com/hendrycks/imagenet-r",
        "MIT (code); pictures of several owners",
        "the folder imagenet-r with 200 classes, among which alone is chosen",
        _folders(200),
        30_000,
    ),
    _variant(
        "imagenet-sketch",
        "ImageNet-Sketch (Wang et al. 2019, arXiv:1905.13549)",
        "https://github.com/HaohanWang/ImageNet-Sketch",
        "MIT (code); pictures of several owners",
        "the folder sketch",
        _folders(_NUM_CLASSES),
        50_889,
    ),
)
