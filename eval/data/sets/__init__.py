"""The benchmarks that omni reads, one file a group."""

from eval.data.benchmark import Benchmark
from eval.data.sets import (
    clotho_aqa,
    depth_thermal,
    ego4d,
    objaverse,
    sound_captions,
    sound_classes,
    sound_questions,
    speech,
    three_d,
    vqa,
    youtube_sounds,
)

_MODULES = (
    vqa,
    sound_classes,
    youtube_sounds,
    sound_captions,
    clotho_aqa,
    sound_questions,
    speech,
    three_d,
    objaverse,
    depth_thermal,
    ego4d,
)
BENCHMARKS: dict[str, Benchmark] = {one.name: one for module in _MODULES for one in module.BENCHMARKS}
