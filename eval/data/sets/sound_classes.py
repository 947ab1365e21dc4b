"""Classes of sounds: an item has one of ESC-50, UrbanSound8K and VGGSound, and several of AudioSet."""

import csv
from collections.abc import Sequence
from functools import partial

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.clips import VIDEO_ENDINGS, clip_names, find_clip, window_options
from eval.data.files import Files
from eval.data.hub import hub_layout, part_of
from eval.data.labels import class_name, names_in
from eval.data.rows import Part, media_part, question_row, text_of, value_of
from eval.data.tables import csv_records

# In the order of the column `target` of esc50.csv.
ESC_50 = names_in(
    """dog rooster pig cow frog cat hen insects sheep crow rain sea_waves crackling_fire crickets chirping_birds
    water_drops wind pouring_water toilet_flush thunderstorm crying_baby sneezing clapping breathing coughing footsteps
    laughing brushing_teeth snoring drinking_sipping door_wood_knock mouse_click keyboard_typing door_wood_creaks
    can_opening washing_machine vacuum_cleaner clock_alarm clock_tick glass_breaking helicopter chainsaw siren car_horn
    engine train church_bells airplane fireworks hand_saw"""
)
# In the order of the column `classID` of UrbanSound8K.csv.
URBAN_SOUND = names_in(
    """air_conditioner car_horn children_playing dog_bark drilling engine_idling gun_shot jackhammer siren
    street_music"""
)
VGGSOUND_COLUMNS = ("youtube_id", "start_seconds", "label", "split")
_CLIP_SECONDS = 10


def _esc_row(record: Record, files: Files) -> Row:
    name = text_of(record, "filename")
    sound = media_part("sound", files, f"audio/{name}", name)
    return question_row(name, [sound], label=class_name(text_of(record, "category"), ESC_50), fold=record.get("fold"))


def _urban_row(record: Record, files: Files) -> Row:
    name, fold = text_of(record, "slice_file_name"), record.get("fold")
    sound = media_part("sound", files, f"fold{fold}/{name}", name)
    return question_row(name, [sound], label=class_name(text_of(record, "class"), URBAN_SOUND), fold=fold)


def _mirrored_esc_row(record: Record, files: Files) -> Row:
    name = class_name(record.get("category") or value_of(record, "target"), ESC_50)
    return question_row(record.get("filename"), [part_of("sound", value_of(record, "audio"), files)], label=name)


def _mirrored_urban_row(record: Record, files: Files) -> Row:
    name = class_name(value_of(record, "classID"), URBAN_SOUND)
    return question_row(record.get("slice_file_name"), [part_of("sound", value_of(record, "audio"), files)], label=name)


def _read_vggsound(files: Files, split: str = "test") -> Sequence[Record]:
    """Return the clips of a split, each with the names of all classes, which the whole file has."""
    records = csv_records(files.find("vggsound.csv"), VGGSOUND_COLUMNS, header=False)
    classes = sorted({record["label"].strip() for record in records})
    return [
        {"id": f"{record['youtube_id']}_{record['start_seconds']}", **record, "classes": classes}
        for record in records
        if record["split"].strip() == split
    ]


def _vggsound_row(record: Record, files: Files) -> Row:
    video, start = text_of(record, "youtube_id"), _seconds(record, "start_seconds")
    parts = _parts(files, clip_names(video, start, start + _CLIP_SECONDS), start, start + _CLIP_SECONDS)
    return question_row(record["id"], parts, label=text_of(record, "label").strip(), options=record["classes"])


def _mirrored_vggsound_row(record: Record, files: Files) -> Row:
    kinds = {"video": "video", "sound": "audio"}
    parts = [part_of(kind, record[column], files) for kind, column in kinds.items() if record.get(column) is not None]
    if not parts:
        raise ValueError("has neither a video nor a sound: their cells are empty")
    return question_row(None, parts, label=text_of(record, "label").strip(), options=record["classes"])


def _read_audioset(files: Files) -> Sequence[Record]:
    """Return the segments with the names of their classes; comments begin with #, and blanks follow the commas."""
    labels = csv_records(files.find("class_labels_indices.csv"), ("mid", "display_name"))
    names = {record["mid"]: record["display_name"] for record in labels}
    path = files.find("eval_segments.csv")
    found = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        for cells in csv.reader((line for line in file if not line.startswith("#")), skipinitialspace=True):
            if len(cells) != 4:
                raise ValueError(f"{path} has a line of {len(cells)} cells, where 4 must be: {cells[:5]}")
            video, start, end, classes = (cell.strip() for cell in cells)
            found.append({"id": video, "start": start, "end": end, "mids": classes.split(","), "names": names})
    return found


def _audioset_row(record: Record, files: Files) -> Row:
    names = record["names"]
    unknown = [mid for mid in record["mids"] if mid not in names]
    if unknown:
        raise ValueError(f"has the class {unknown[0]!r}, which class_labels_indices.csv does not name")
    start, end = _seconds(record, "start"), _seconds(record, "end")
    parts = _parts(files, clip_names(record["id"], start, end), start, end)
    return question_row(f"{record['id']}_{start:g}", parts, labels=[names[mid] for mid in record["mids"]])


def _parts(files: Files, names: list[str], start: float, end: float) -> list[Part]:
    """Return the sound of a clip and, if its file is a video, the pictures too; a task shows what it names."""
    path = find_clip(files, names)
    details = {"path": str(path), **window_options(path, start, end)}
    kinds = ("video", "sound") if path.suffix.lower() in VIDEO_ENDINGS else ("sound",)
    return [{"type": kind, **details} for kind in kinds]


def _seconds(record: Record, key: str) -> float:
    text = text_of(record, key)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{key!r} must be a number of seconds; got {text!r}") from None


BENCHMARKS = (
    Benchmark(
        name="esc50",
        title="ESC-50 (Piczak 2015, doi:10.1145/2733373.2806390)",
        homepage="https://github.com/karolpiczak/ESC-50",
        licence="CC BY-NC 3.0",
        get="the repository's archive: meta/esc50.csv and audio/*.wav",
        splits={
            "all": Split(
                (
                    Layout(
                        "official",
                        ("esc50.csv",),
                        lambda files: csv_records(files.find("esc50.csv"), ("filename", "category")),
                        _esc_row,
                    ),
                    hub_layout(Hub("mteb/esc50", "train"), ("audio", "target"), _mirrored_esc_row),
                ),
                num_items=2_000,
                note="all five folds, since none is trained on",
            )
        },
    ),
    Benchmark(
        name="urbansound8k",
        title="UrbanSound8K (Salamon et al. 2014, doi:10.1145/2647868.2655045)",
        homepage="https://urbansounddataset.weebly.com/urbansound8k.html",
        licence="CC BY-NC 4.0",
        get="UrbanSound8K.tar.gz: metadata/UrbanSound8K.csv and audio/fold1..fold10",
        splits={
            "all": Split(
                (
                    Layout(
                        "official",
                        ("UrbanSound8K.csv",),
                        lambda files: csv_records(files.find("UrbanSound8K.csv"), ("slice_file_name", "fold", "class")),
                        _urban_row,
                    ),
                    hub_layout(Hub("mteb/urbansound8K", "train"), ("audio", "classID"), _mirrored_urban_row),
                ),
                num_items=8_732,
                note="all ten folds, since none is trained on",
            )
        },
    ),
    Benchmark(
        name="vggsound",
        title="VGGSound (Chen et al. 2020, arXiv:2004.14368)",
        homepage="https://www.robots.ox.ac.uk/~vgg/data/vggsound/",
        licence="annotations CC BY 4.0; videos of YouTube under the terms of their owners",
        get="vggsound.csv, and the clips of its test split as ID_STARTSE.mp4 (start in six digits) or as sounds",
        splits={
            "test": Split(
                (
                    Layout("official", ("vggsound.csv",), _read_vggsound, _vggsound_row),
                    hub_layout(Hub("mteb/VGGSound", "test"), ("label",), _mirrored_vggsound_row, classes="label"),
                ),
                note="how many clips can still be downloaded changes; the mirror has at most 32 of each class",
            ),
            "train": Split(
                (Layout("official", ("vggsound.csv",), partial(_read_vggsound, split="train"), _vggsound_row),),
                note="how many clips can still be downloaded changes",
            ),
        },
    ),
    Benchmark(
        name="audioset",
        title="AudioSet (Gemmeke et al. 2017, doi:10.1109/ICASSP.2017.7952261)",
        homepage="https://research.google.com/audioset/download.html",
        licence="annotations CC BY 4.0; videos of YouTube under the terms of their owners",
        get="eval_segments.csv, class_labels_indices.csv, and the clips of 10 s, as sounds or as videos",
        splits={
            "eval": Split(
                (Layout("official", ("eval_segments.csv", "class_labels_indices.csv"), _read_audioset, _audioset_row),),
                num_items=20_371,
                note="many videos are gone; say how many of the 20,371 a figure is of",
            )
        },
    ),
)
