"""The benchmarks that omni reads, one file a group."""

from eval.data.benchmark import Benchmark
from eval.data.sets import (
    depth_thermal,
    ego4d,
    sound_captions,
    sound_classes,
    sound_questions,
    speech,
    three_d,
    vqa,
)

_MODULES = (vqa, sound_classes, sound_captions, sound_questions, speech, three_d, depth_thermal, ego4d)
BENCHMARKS: dict[str, Benchmark] = {one.name: one for module in _MODULES for one in module.BENCHMARKS}
