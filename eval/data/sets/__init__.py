"""The benchmarks that omni reads, one file a group."""

from eval.data.benchmark import Benchmark
from eval.data.sets import (
    imagenet,
    mmbench,
    mmmu,
    picture_captions,
    picture_choice,
    picture_pairs,
    picture_yes_no,
    raven,
    scienceqa,
    short_answers,
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
)
BENCHMARKS: dict[str, Benchmark] = {one.name: one for module in _MODULES for one in module.BENCHMARKS}
