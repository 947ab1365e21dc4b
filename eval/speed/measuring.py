"""Run the contenders in turn, several rounds, and keep the medians: on a machine that others use, only ratios count."""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from eval.speed.contenders import CONTENDERS, Contender, Steps
from eval.speed.shapes import Shape
from eval.speed.work import matmul_peak, needed_flops, shared_tokens, synchronize
from omni.runtime.memory import PeakMemory
from omni.samples.messages import Sample

LOSS_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 5e-2}  # relative, of the first step


@dataclass(frozen=True)
class Settings:
    """How much is run."""

    steps: int
    rounds: int
    compile: bool
    profile: bool

    def __post_init__(self) -> None:
        for name in ("steps", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} is {getattr(self, name)}, but must be at least 1")


@dataclass
class Measured:
    """What a contender did; rates are medians over rounds."""

    key: str
    label: str
    first_loss: float = 0.0
    seconds: list[float] = field(default_factory=list)  # of each round
    samples_per_second: float = 0.0
    answer_tokens_per_second: float = 0.0
    speedup: float = 0.0  # median over rounds of the plain loop's time in that round / this one's
    peak_bytes: int = 0  # weights and everything a step needs beside them
    step_bytes: int = 0  # without the weights
    share_of_peak: float = 0.0


@dataclass
class SpeedResult:
    """A whole measurement, as it is written to JSON."""

    shape: str
    description: str
    dtype: str
    device: str
    threads: int
    batch_size: int
    steps: int
    rounds: int
    llm_tokens: list[int]  # of each sample, media tokens included
    answer_tokens: list[int]
    needed_flops: float  # of a round
    needed_flops_packed: float  # of a round, where a pack has what all its prompts begin with once
    matmul_flops_per_second: float
    contenders: list[Measured]
    profile: str | None = None


def measure(shape: Shape, settings: Settings, progress: Callable[[str], None]) -> SpeedResult:
    """Measure all contenders on `shape`.

    Raises:
        ValueError: contenders do not compute the same loss, so their times cannot be compared.
    """
    contenders = [one for one in CONTENDERS if settings.compile or not one.compiled]
    found = {one.key: Measured(one.key, one.label) for one in contenders}
    batches = [batch for batch in shape.batches if len(batch) == len(shape.batches[0])][: settings.steps]
    with tempfile.TemporaryDirectory() as folder:
        steps = Steps(shape.model, Path(folder), shape.dtype)
        for contender in contenders:
            progress(f"warming up and measuring memory: {contender.label}")
            _warm_up(steps, contender, batches, found[contender.key], shape)
        _check_same_loss(list(found.values()), shape.dtype)
        for number in range(settings.rounds):
            for contender in contenders:
                seconds = _round(steps, contender, batches, shape.device)
                found[contender.key].seconds.append(seconds)
                progress(f"round {number + 1} of {settings.rounds}: {contender.label}: {seconds:.2f} s")
        last = [one for one in contenders if not one.checkpointed][-1]
        where = _profile(steps, last, batches, shape.device) if settings.profile else None
    prepared = [[shape.model.prepare(sample, answer=True) for sample in batch] for batch in batches]
    examples = [example for batch in prepared for example in batch]
    result = SpeedResult(
        shape=shape.name,
        description=shape.description,
        dtype=str(shape.dtype).removeprefix("torch."),
        device=torch.cuda.get_device_name(shape.device) if shape.device.type == "cuda" else "CPU",
        threads=torch.get_num_threads(),
        batch_size=len(batches[0]),
        steps=len(batches),
        rounds=settings.rounds,
        llm_tokens=[example.length for example in examples],
        answer_tokens=[example.num_answer_tokens for example in examples],
        needed_flops=needed_flops(shape.model, examples),
        needed_flops_packed=sum(
            needed_flops(shape.model, batch, shared_tokens(shape.model, batch)) for batch in prepared
        ),
        matmul_flops_per_second=matmul_peak(shape.device, shape.dtype),
        contenders=list(found.values()),
        profile=where,
    )
    _summarize(result)
    return result


def _warm_up(
    steps: Steps, contender: Contender, batches: Sequence[Sequence[Sample]], found: Measured, shape: Shape
) -> None:
    """Fill caches and compile, then take one step whose memory is watched."""
    with steps.of(contender):
        found.first_loss = steps.run(contender, batches[0])
        for batch in batches[1:]:
            steps.run(contender, batch)
        longest = max(batches, key=lambda batch: max(len(str(sample.messages[-1])) for sample in batch))
        with PeakMemory(shape.device) as memory:
            steps.run(contender, longest)
    weights = [*shape.model.parameters(), *shape.model.buffers()]
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in weights}
    found.step_bytes = memory.bytes
    found.peak_bytes = memory.bytes + sum(storages.values())


def _round(steps: Steps, contender: Contender, batches: Sequence[Sequence[Sample]], device: torch.device) -> float:
    with steps.of(contender):
        synchronize(device)
        started = time.perf_counter()
        for batch in batches:
            steps.run(contender, batch)
        synchronize(device)
        return time.perf_counter() - started


def _check_same_loss(found: Sequence[Measured], dtype: torch.dtype) -> None:
    expected = found[0].first_loss
    for one in found:
        if abs(one.first_loss - expected) > LOSS_TOLERANCE[dtype] * abs(expected):
            raise ValueError(f"{one.label}: loss {one.first_loss} of the first step, but {found[0].label}: {expected}")


def _summarize(result: SpeedResult) -> None:
    plain = result.contenders[0]
    for one in result.contenders:
        seconds = statistics.median(one.seconds)
        one.samples_per_second = len(result.llm_tokens) / seconds
        one.answer_tokens_per_second = sum(result.answer_tokens) / seconds
        one.speedup = statistics.median(a / b for a, b in zip(plain.seconds, one.seconds, strict=True))
        packed = next(contender.packed for contender in CONTENDERS if contender.key == one.key)
        needed = result.needed_flops_packed if packed else result.needed_flops
        one.share_of_peak = needed / seconds / result.matmul_flops_per_second


def _profile(steps: Steps, contender: Contender, batches: Sequence[Sequence[Sample]], device: torch.device) -> str:
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    with profile(activities=activities) as profiler:
        _round(steps, contender, batches, device)
    order = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    return profiler.key_averages().table(sort_by=order, row_limit=25, max_name_column_width=60)
