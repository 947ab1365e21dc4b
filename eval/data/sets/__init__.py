"""The benchmarks that omni reads, one file a group."""

from eval.data.benchmark import Benchmark
from eval.data.sets import (
    audio_visual,
    cross_modal,
    imagenet,
    kinetics,
    mmbench,
    mmmu,
    mvbench,
    picture_captions,
    picture_choice,
    picture_pairs,
    picture_yes_no,
    raven,
    scienceqa,
    several_media,
    short_answers,
    video_captions,
    video_choice,
    video_qa,
    vqa,
)

_MODULES = (
    vqa,
    short_answers,
    picture_captions,
    scienceqa,
    mmmu,
    mmbench,
    picture_choice,
    picture_yes_no,
    picture_pairs,
    imagenet,
    raven,
    video_captions,
    video_qa,
    video_choice,
    mvbench,
    kinetics,
    audio_visual,
    several_media,
    cross_modal,
)
BENCHMARKS: dict[str, Benchmark] = {one.name: one for module in _MODULES for one in module.BENCHMARKS}
