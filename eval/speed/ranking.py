"""`python -m eval.speed ranking`: likelihoods of many labels, next to a loop that repeats the prefix for each of them.

Both have the same model, read and encode the media once, and take turns, round by round; the medians of the ratios
within a round count, since other work on the machine slows both alike. On a CPU the time is that of the process on its
cores, which other work does not take part in. Their likelihoods must agree.
Shapes: B candidates of a batch, L length, S tokens of the longest candidate, V vocabulary.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from eval.speed.ranking_shapes import Case, RankingShape, build_ranking_shape
from eval.speed.work import synchronize
from omni.model import OmniModel
from omni.model.candidates import split_candidates
from omni.model.token_tree import Suffix, TokenTree
from omni.prompts.chat_layout import IGNORED_LABEL
from omni.runtime.memory import PeakMemory
from omni.samples.messages import Message

PLAIN_BATCH = 16  # candidates in one call of the plain loop: more were no faster, on CPU and GPU
# of log-likelihoods in nats, summed over a label's tokens; bfloat16 rounds each logit to one part in 256
LARGEST_DIFFERENCE = {torch.float32: 1e-3, torch.bfloat16: 1.0}
MANY = (1_000, 10_000)


@dataclass
class CaseSpeed:
    """How fast one case was."""

    name: str
    target: float
    num_candidates: int
    num_prefix_tokens: int
    num_candidate_tokens: int  # of all candidates, each for itself
    num_tree_tokens: int  # the same where common beginnings count once
    difference: float  # the largest between the log-likelihoods of both
    plain_seconds: list[float] = field(default_factory=list)  # of each round
    seconds: list[float] = field(default_factory=list)
    plain_peak_bytes: int = 0  # without the weights
    peak_bytes: int = 0

    @property
    def speedup(self) -> float:
        """The median over rounds of the ratio within a round."""
        return statistics.median(a / b for a, b in zip(self.plain_seconds, self.seconds, strict=True))


@dataclass
class ManySpeed:
    """How long many labels took, as in `CaseSpeed`, and the memory for it."""

    num_labels: int
    num_tree_tokens: int
    seconds: float
    peak_bytes: int  # without the weights


def run(options: argparse.Namespace) -> None:
    """Measure, write the figures and print the table.

    Raises:
        ValueError: a number out of range, or likelihoods that do not agree.
    """
    if options.rounds < 1:
        raise ValueError(f"--rounds is {options.rounds}, but must be at least 1")

    def progress(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    shape = build_ranking_shape(options.shape)
    with torch.no_grad():
        cases = [measure(shape, case, options.rounds, progress) for case in shape.cases]
        many = [measure_many(shape, count, progress) for count in MANY if count <= options.most]
    device = shape.model.device
    where = {
        "shape": shape.name,
        "description": shape.description,
        "dtype": str(shape.model.llm.dtype).removeprefix("torch."),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "threads": torch.get_num_threads(),
        "rounds": options.rounds,
    }
    print(markdown(where, cases, many))
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"ranking-{shape.name}.json"
    content = {
        **where,
        "cases": [{**asdict(one), "speedup": one.speedup} for one in cases],
        "many": [asdict(one) for one in many],
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(f"written: {path}")


def measure(shape: RankingShape, case: Case, rounds: int, progress: Callable[[str], None]) -> CaseSpeed:
    """Rank the labels of a case with both, in turn.

    Raises:
        ValueError: the likelihoods do not agree.
    """
    model, messages, labels = shape.model, shape.question(case), case.labels
    progress(f"{case.name}: warming up and measuring memory")
    with PeakMemory(model.device) as memory:
        scores = model.score(messages, labels)
    with PeakMemory(model.device) as plain_memory:
        expected = plain_scores(model, messages, labels)
    difference = float((scores - expected).abs().max())
    if difference > LARGEST_DIFFERENCE[model.llm.dtype]:
        raise ValueError(f"{case.name}: log-likelihoods differ by {difference:.2g} nats from those of the plain loop")
    length, suffixes = _split(model, messages, labels)
    found = CaseSpeed(
        case.name,
        case.target,
        len(labels),
        length,
        sum(map(len, suffixes)),
        _tree_tokens(suffixes),
        difference,
        plain_peak_bytes=plain_memory.bytes,
        peak_bytes=memory.bytes,
    )
    for number in range(rounds):
        found.plain_seconds.append(_seconds(model, lambda: plain_scores(model, messages, labels)))
        found.seconds.append(_seconds(model, lambda: model.score(messages, labels)))
        plain, ours = found.plain_seconds[-1], found.seconds[-1]
        progress(
            f"{case.name}: round {number + 1} of {rounds}: {plain:.3g} s / {ours:.3g} s = {plain / ours:.1f}; "
            f"difference {difference:.1g}"
        )
    return found


def measure_many(shape: RankingShape, count: int, progress: Callable[[str], None]) -> ManySpeed:
    """Rank the first `count` of the shape's many labels."""
    progress(f"{count} labels: measuring memory")
    labels = shape.many[:count]
    messages = shape.question(Case(f"{count} labels", 0, 1, labels))
    _, suffixes = _split(shape.model, messages, labels)  # lays the labels out, which is remembered as in an evaluation
    with PeakMemory(shape.model.device) as memory:
        seconds = _seconds(shape.model, lambda: shape.model.score(messages, labels))
    return ManySpeed(count, _tree_tokens(suffixes), seconds, memory.bytes)


def plain_scores(model: OmniModel, messages: Sequence[Message], labels: Sequence[str]) -> Tensor:
    """Return the log-likelihood of each label as a script over transformers computes it.

    Media are encoded once. Prefix and label stand in one row for each label, the rows padded on the left to batches of
    labels of about the same length, and logits are made for the last S tokens only.
    """
    llm = model.llm
    example = model.prepare(messages)
    shared, suffixes = split_candidates(model.conversation, messages, example, labels, llm.context_length)
    prefix = model.embed_examples([shared])[0].embeds  # [L, D]
    order = sorted(range(len(suffixes)), key=lambda index: len(suffixes[index]))
    scores = torch.zeros(len(suffixes), device=model.device)
    for start in range(0, len(order), PLAIN_BATCH):
        rows = order[start : start + PLAIN_BATCH]
        scores[rows] = _plain_batch(model, prefix, [suffixes[index] for index in rows])
    return scores


def _plain_batch(model: OmniModel, prefix: Tensor, suffixes: Sequence[Suffix]) -> Tensor:
    embeds = [torch.cat([prefix, model.llm.embed(suffix.token_ids)]) for suffix in suffixes]
    ones = [torch.ones(len(row), dtype=torch.long, device=model.device) for row in embeds]
    mask = pad_sequence(ones, batch_first=True, padding_side="left")
    longest = max(map(len, suffixes))
    labels = pad_sequence(
        [suffix.labels for suffix in suffixes], batch_first=True, padding_value=IGNORED_LABEL, padding_side="left"
    ).to(model.device)
    logits = model.llm.causal_lm(
        inputs_embeds=pad_sequence(embeds, batch_first=True, padding_side="left"),
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
        logits_to_keep=longest + 1,
        use_cache=False,
    ).logits[:, :-1]
    values = logits.float().log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    return (values * (labels != IGNORED_LABEL)).sum(1)


def _split(model: OmniModel, messages: Sequence[Message], labels: Sequence[str]) -> tuple[int, list[Suffix]]:
    """The tokens of the prefix, media among them, and what each label adds."""
    example = model.prepare(messages)
    shared, suffixes = split_candidates(model.conversation, messages, example, labels, model.llm.context_length)
    return len(model.embed_examples([shared])[0].embeds), suffixes


def _tree_tokens(suffixes: Sequence[Suffix]) -> int:
    tree = TokenTree()
    for suffix in suffixes:
        tree.add(suffix)
    return len(tree)


def _seconds(model: OmniModel, call: Callable[[], object]) -> float:
    clock = time.process_time if model.device.type == "cpu" else time.perf_counter
    synchronize(model.device)
    started = clock()
    call()
    synchronize(model.device)
    return clock() - started


def markdown(where: dict[str, object], cases: Sequence[CaseSpeed], many: Sequence[ManySpeed]) -> str:
    """Return the conditions and two tables."""
    lines = [
        f"Shape `{where['shape']}`: {where['description']}.",
        f"{where['dtype']}, {where['device']}, {where['threads']} thread(s); medians of {where['rounds']} rounds.",
        "",
        "| | prefix tokens | tokens of candidates | of their tree | plain loop, s | shared prefix, s | times as fast "
        "| wanted | difference, nats | peak memory, MB | of the plain loop |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in cases:
        plain, ours = statistics.median(one.plain_seconds), statistics.median(one.seconds)
        lines.append(
            f"| {one.name} | {one.num_prefix_tokens} | {one.num_candidate_tokens} | {one.num_tree_tokens} | "
            f"{plain:.3g} | {ours:.3g} | **{one.speedup:.1f}** | {one.target:g} | {one.difference:.1g} | "
            f"{one.peak_bytes / 1e6:.0f} | {one.plain_peak_bytes / 1e6:.0f} |"
        )
    if many:
        lines += ["", "| labels | tokens of their tree | s | labels/s | peak memory, MB |", "|---|---|---|---|---|"]
        lines += [
            f"| {one.num_labels} | {one.num_tree_tokens} | {one.seconds:.3g} | {one.num_labels / one.seconds:.0f} | "
            f"{one.peak_bytes / 1e6:.0f} |"
            for one in many
        ]
    return "\n".join(lines)
