"""Official files of benchmarks: which they are, whether they are all there, and their items as conversations."""

from eval.data.benchmark import Benchmark, Hub, Layout, Split
from eval.data.opening import get_benchmark, open_official
from eval.data.sets import BENCHMARKS

__all__ = ["BENCHMARKS", "Benchmark", "Hub", "Layout", "Split", "get_benchmark", "open_official"]
