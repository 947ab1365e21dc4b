"""The benchmarks that omni reads, one file a group."""

from eval.data.benchmark import Benchmark
from eval.data.sets import (
    audio_visual,
    cross_modal,
    kinetics,
    mvbench,
    several_media,
    tempcompass,
    video_captions,
    video_choice,
    video_qa,
    vqa,
)

_MODULES = (
    vqa,
    video_captions,
    video_qa,
    video_choice,
    tempcompass,
    mvbench,
    kinetics,
    audio_visual,
    several_media,
    cross_modal,
)
BENCHMARKS: dict[str, Benchmark] = {one.name: one for module in _MODULES for one in module.BENCHMARKS}
