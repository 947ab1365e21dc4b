"""MVBench: twenty kinds of questions about videos of a dozen other data sets, some about a part of the video only."""

from collections.abc import Callable, Sequence
from typing import Any

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.files import Files
from eval.data.lettered import choice_row
from eval.data.letters import LETTERS
from eval.data.rows import text_of
from eval.data.tables import json_list
from eval.data.videos import video_part
from omni.media.item import shorten

# The folders of a kind's videos, as the archives unpack: names such as video_10009.mp4 are in several of them. A first
# one that is called ..._segment has the parts that the questions are about, cut out already.
_FOLDERS = {
    "action_antonym": ("ssv2_video_mp4", "ssv2_video"),
    "action_count": ("perception/videos",),
    "action_localization": ("sta/sta_video_segment", "sta/sta_video"),
    "action_prediction": ("star/Charades_segment", "star/Charades_v1_480"),
    "action_sequence": ("star/Charades_segment", "star/Charades_v1_480"),
    "character_order": ("perception/videos",),
    "counterfactual_inference": ("clevrer/video_validation",),
    "egocentric_navigation": ("vlnqa",),
    "episodic_reasoning": ("tvqa/video_fps3_hq_segment", "tvqa/frames_fps3_hq"),
    "fine_grained_action": ("Moments_in_Time_Raw/videos",),
    "fine_grained_pose": ("nturgbd_convert", "nturgbd"),
    "moving_attribute": ("clevrer/video_validation",),
    "moving_count": ("clevrer/video_validation",),
    "moving_direction": ("clevrer/video_validation",),
    "object_existence": ("clevrer/video_validation",),
    "object_interaction": ("star/Charades_segment", "star/Charades_v1_480"),
    "object_shuffle": ("perception/videos",),
    "scene_transition": ("scene_qa/video",),
    "state_change": ("perception/videos",),
    "unexpected_action": ("FunQA_test/test",),
}
KINDS = tuple(_FOLDERS)
_FRAMES_PER_SECOND = 3.0  # of the episodes that come as folders of frames


def _read(*kinds: str) -> Callable[[Files], Sequence[Record]]:
    def read(files: Files) -> Sequence[Record]:
        return [
            {**one, "id": f"{kind}-{number}", "kind": kind}
            for kind in kinds
            for number, one in enumerate(json_list(files.find(f"{kind}.json")))
        ]

    return read


def _row(record: Record, files: Files) -> Row:
    kind, video = record["kind"], text_of(record, "video")
    part = video_part(files, *(f"{folder}/{video}" for folder in _FOLDERS[kind]), video)
    options = _window(record)
    first = part["path"] if isinstance(part["path"], str) else part["path"][0]
    if any(folder.endswith("_segment") and f"/{folder}/" in first for folder in _FOLDERS[kind]):
        options = {}
    if not isinstance(part["path"], str):
        options = {**options, "frames_per_second": _FRAMES_PER_SECOND}
    part = {**part, "options": options} if options else part
    row = choice_row(
        record["id"],
        [part],
        text_of(record, "question"),
        record.get("candidates"),
        text_of(record, "answer"),
        kind=kind,
    )
    marked = "\n".join(f"({letter}) {text}" for letter, text in zip(LETTERS, row["meta"]["options"], strict=False))
    return {**row, "meta": {**row["meta"], "marked_options": marked}}


def _window(record: Record) -> dict[str, Any]:
    """Return the part of the video that the question is about, in seconds."""
    found = {key: record[key] for key in ("start", "end") if record.get(key) is not None}
    for key, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{key!r} must be a number of seconds; got {shorten(value)}")
    return found


def _split(*kinds: str) -> Split:
    hub = Hub("OpenGVLab/MVBench", "train", kinds[0] if len(kinds) == 1 else None)
    layout = Layout("official", tuple(f"{kind}.json" for kind in kinds), _read(*kinds), _row, hub)
    note = "its videos are given by NTU RGB+D on request only" if kinds == ("fine_grained_pose",) else ""
    return Split((layout,), 200 * len(kinds), note)


BENCHMARKS = (
    Benchmark(
        name="mvbench",
        title="MVBench (Li et al. 2023, arXiv:2311.17005)",
        homepage="https://github.com/OpenGVLab/Ask-Anything/tree/main/video_chat2",
        licence="annotations MIT; videos under the licences of the data sets that they are from",
        get="the twenty files json/KIND.json, and the archives of videos, each in the folder that it unpacks to",
        splits={"all": _split(*KINDS), **{kind: _split(kind) for kind in KINDS}},
    ),
)
