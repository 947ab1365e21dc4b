"""The benchmarks that omni reads, one file a group."""

from eval.data.benchmark import Benchmark
from eval.data.sets import vqa

_MODULES = (vqa,)
BENCHMARKS: dict[str, Benchmark] = {one.name: one for module in _MODULES for one in module.BENCHMARKS}
