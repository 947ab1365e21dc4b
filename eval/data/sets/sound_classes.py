"""Classes of sounds in folds: ESC-50 and UrbanSound8K."""

from collections.abc import Callable, Sequence

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.files import Files
from eval.data.hub import hub_layout, part_of
from eval.data.labels import class_name, names_in
from eval.data.rows import media_part, question_row, text_of, value_of
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


def _folds(table: str, columns: Sequence[str], row: Callable[[Record, Files], Row], folds: range) -> Layout:
    """Return the official layout of some of the folds."""
    numbers = {str(fold) for fold in folds}

    def read(files: Files) -> Sequence[Record]:
        return [one for one in csv_records(files.find(table), ("fold", *columns)) if one["fold"].strip() in numbers]

    return Layout("official", (table,), read, row)


_ESC = ("esc50.csv", ("filename", "category"), _esc_row)
_URBAN = ("UrbanSound8K.csv", ("slice_file_name", "class"), _urban_row)

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
                    _folds(*_ESC, range(1, 6)),
                    hub_layout(Hub("mteb/esc50", "train"), ("audio", "target"), _mirrored_esc_row),
                ),
                num_items=2_000,
                note="all five folds, since zero-shot figures train on none",
            ),
            "test": Split((_folds(*_ESC, range(5, 6)),), num_items=400, note="fold 5"),
            "train": Split((_folds(*_ESC, range(1, 5)),), num_items=1_600, note="folds 1 to 4, for probes"),
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
                    _folds(*_URBAN, range(1, 11)),
                    hub_layout(Hub("mteb/urbansound8K", "train"), ("audio", "classID"), _mirrored_urban_row),
                ),
                num_items=8_732,
                note="all ten folds, since zero-shot figures train on none",
            ),
            "test": Split((_folds(*_URBAN, range(10, 11)),), num_items=837, note="fold 10"),
            "train": Split((_folds(*_URBAN, range(1, 10)),), num_items=7_895, note="folds 1 to 9, for probes"),
        },
    ),
)
