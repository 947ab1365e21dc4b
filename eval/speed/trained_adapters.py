"""`python -m eval.speed adapters`: every adapter trained on the same data with the same budget, from cached features.

The held-out score is the share of pictures for which the model prefers their own caption to nine others that were never
seen in training: by log-likelihood with the picture minus that without any, or short and common captions would win.
"""

import argparse
import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from eval.speed.measuring import PeakMemory
from eval.statistics.intervals import wilson
from omni.config import LLMConfig, ModalityConfig
from omni.config.components import ComponentConfig
from omni.encoders.building import build_encoder
from omni.feature_cache import FeatureCache
from omni.llm.language_model import LanguageModel
from omni.llm.loading import load_llm
from omni.model import OmniModel
from omni.model.expert_balance import expert_balance, update_usage
from omni.model.expert_routing import log_routing
from omni.model.modality import Modality, build_adapter
from omni.readers import open_dataset
from omni.runtime.device import default_device
from omni.samples.messages import Media, Message, Sample, SampleError, Text

PROMPT = "Describe the picture in a few words."
NUM_CANDIDATES = 10
WARMUP_STEPS = 5

# Of like size where the kind allows it, for an LLM of some hundred million weights.
CONTENDERS: dict[str, dict[str, Any]] = {
    "Linear": {},
    "MLP": {"reduction": 2},
    "PooledMLP": {"num_tokens": 4, "hidden_dim": 512},
    "QFormer": {"num_queries": 16, "hidden_dim": 256, "num_layers": 4, "num_heads": 4, "intermediate_dim": 1024},
    "Resampler": {"num_queries": 16, "width": 256, "num_heads": 4},
    "GatedCrossAttention": {
        "every": 6,
        "num_queries": 16,
        "width": 256,
        "num_heads": 4,
        "feed_forward_ratio": 1.0,
    },
    "Experts": {
        "num_experts": 4,
        "top_k": 2,
        "route": "item",
        "expert": "adapters.PooledMLP",
        "expert_args": {"num_tokens": 4, "hidden_dim": 256},
    },
}


@dataclass(frozen=True)
class Budget:
    """How long each adapter trains: `steps`, or less where `seconds` are over before."""

    steps: int
    batch_size: int
    lr: float
    seconds: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class AdapterResult:
    """What one adapter did."""

    adapter: str
    parameters: int
    media_tokens: int  # of one item, in the LLM's sequence
    steps: int
    seconds: float  # of training
    peak_bytes: int  # of training, above what was taken before
    loss: float  # mean over the last quarter of the steps, nats per answer token
    correct: int
    num_items: int

    @property
    def interval(self) -> tuple[float, float]:
        """95 % (Wilson) of the held-out score."""
        return wilson(self.correct, self.num_items)


@dataclass(frozen=True)
class CaptionedItem:
    """One media item and its caption."""

    media: Media
    caption: str

    def sample(self, name: str) -> Sample:
        """The conversation that is trained on."""
        return Sample(name, (*question(self.media), Message("assistant", (Text(self.caption),))))


def question(media: Media | None) -> tuple[Message, ...]:
    """What the model is asked, with or without the item."""
    return (Message("user", (Text(PROMPT),) if media is None else (media, Text(PROMPT))),)


def measure_adapters(
    contenders: Mapping[str, Mapping[str, Any]],
    llm: LanguageModel,
    encoder: ComponentConfig,
    train: Sequence[CaptionedItem],
    held_out: Sequence[CaptionedItem],
    budget: Budget,
    progress: Callable[[str], None] = lambda text: None,
) -> list[AdapterResult]:
    """Train and score each adapter (class name -> its arguments) on one modality, that of the items.

    Raises:
        ValueError: too few different captions to choose from.
    """
    name = train[0].media.modality
    config = ModalityConfig(encoder, ComponentConfig("adapters.Linear"))
    network = build_encoder(config, name)
    choices = make_choices(held_out, budget.seed)
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(FeatureCache(folder)) as cache:
        results = []
        prior: dict[str, float] = {}
        for kind, arguments in contenders.items():
            torch.manual_seed(budget.seed)
            component = ComponentConfig(f"adapters.{kind}", dict(arguments))
            adapter = build_adapter(component, kind, network.dim, llm)
            model = OmniModel(llm, {name: Modality(network, adapter, f"{name}: ")}, system="").to(llm.device)
            model.feature_cache = cache
            if not results:
                progress("encoding")
                prior = caption_scores(model, sorted({one.caption for one in held_out}))
                for start in range(0, len(train) + len(held_out), budget.batch_size):
                    items = [*train, *held_out][start : start + budget.batch_size]
                    model.encode_media([model.prepare(one.sample("item")) for one in items])
            results.append(_train_and_score(kind, model, name, train, choices, prior, budget))
            progress(line(results[-1]))
    return results


def make_choices(items: Sequence[CaptionedItem], seed: int) -> list[tuple[CaptionedItem, list[str]]]:
    """For each item the captions to choose from, its own first.

    Raises:
        ValueError: there are fewer than ten different captions.
    """
    captions = sorted({item.caption for item in items})
    if len(captions) < NUM_CANDIDATES:
        raise ValueError(
            f"the held-out items have {len(captions)} different captions, but {NUM_CANDIDATES} are needed: give more "
            "with --items"
        )
    generator = random.Random(seed)
    choices = []
    for item in items:
        others = [caption for caption in captions if caption != item.caption]
        choices.append((item, [item.caption, *generator.sample(others, NUM_CANDIDATES - 1)]))
    return choices


def caption_scores(model: OmniModel, captions: Sequence[str]) -> dict[str, float]:
    """Log-likelihood in nats of each caption without any media."""
    return dict(zip(captions, model.score(question(None), captions).tolist(), strict=True))


def _train_and_score(
    kind: str,
    model: OmniModel,
    modality: str,
    train: Sequence[CaptionedItem],
    choices: Sequence[tuple[CaptionedItem, list[str]]],
    prior: Mapping[str, float],
    budget: Budget,
) -> AdapterResult:
    adapter = model.modality(modality).adapter
    tokens = model.modality(modality).num_tokens(model.prepare(train[0].sample("first")).media[0])
    with PeakMemory(model.device) as memory:
        losses, seconds = _train(model, train, budget)
    model.eval()
    correct = 0
    for start in range(0, len(choices), budget.batch_size):
        part = choices[start : start + budget.batch_size]
        scores = model.score_batch([question(item.media) for item, _ in part], [found for _, found in part])
        scores = scores.cpu() - torch.tensor([[prior[caption] for caption in found] for _, found in part])
        correct += int((scores.argmax(1) == 0).sum())
    last = losses[-max(1, len(losses) // 4) :]
    parameters = sum(weight.numel() for weight in adapter.parameters())
    return AdapterResult(
        kind, parameters, tokens, len(losses), seconds, memory.bytes, sum(last) / len(last), correct, len(choices)
    )


def _train(model: OmniModel, items: Sequence[CaptionedItem], budget: Budget) -> tuple[list[float], float]:
    """The losses of all steps, and the seconds they took."""
    generator = random.Random(budget.seed)
    weights = [*model.trainable_parameters().values()]
    optimizer = torch.optim.AdamW(weights, lr=budget.lr, weight_decay=0.01)
    model.train()
    losses: list[float] = []
    order: list[int] = []
    started = time.perf_counter()
    while len(losses) < budget.steps and (budget.seconds is None or time.perf_counter() - started < budget.seconds):
        while len(order) < budget.batch_size:
            order += generator.sample(range(len(items)), len(items))
        chosen, order = order[: budget.batch_size], order[budget.batch_size :]
        batch = [model.prepare(items[i].sample(str(i)), answer=True) for i in chosen]
        count = sum(example.num_answer_tokens for example in batch)
        with log_routing(model, only_trained=True) as log:
            loss = model(batch, packed=True, num_answer_tokens=count)
            balance, metrics = expert_balance(log, count)
        (loss + balance).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = budget.lr * min(1.0, (len(losses) + 1) / WARMUP_STEPS)
        optimizer.step()
        optimizer.zero_grad()
        update_usage(model, {key: float(value) for key, value in metrics.items()})
        losses.append(float(loss.detach()))
    return losses, time.perf_counter() - started


HEADER = (
    "| adapter | parameters | media tokens | steps | training, s | peak memory, MB | loss | held-out choice of 10 |\n"
    "|---|---|---|---|---|---|---|---|"
)


def line(one: AdapterResult) -> str:
    """A row of the table."""
    low, high = one.interval
    score = f"{one.correct / one.num_items:.0%} ({low:.0%} to {high:.0%})"
    return (
        f"| {one.adapter} | {one.parameters / 1e6:.2f} M | {one.media_tokens} | {one.steps} | {one.seconds:.0f} | "
        f"{one.peak_bytes / 1e6:.0f} | {one.loss:.2f} | {score} |"
    )


def markdown(results: Sequence[AdapterResult], budget: Budget, num_train: int, threads: int) -> str:
    """What was measured, and the table."""
    until = "" if budget.seconds is None else f" or {budget.seconds:g} s"
    text = (
        f"{num_train} pictures, batches of {budget.batch_size}, {budget.steps} steps{until}, learning rate "
        f"{budget.lr:g}, {threads} thread(s); {results[0].num_items} held-out pictures, chance 10 %, 95 % intervals."
    )
    return "\n".join([text, "", HEADER, *map(line, results)])


def captioned_items(source: str, limit: int | None) -> list[CaptionedItem]:
    """The first items of a data set of pictures with captions."""
    found: list[CaptionedItem] = []
    for sample in open_dataset(source):
        if isinstance(sample, SampleError):
            continue
        media = [part for message in sample.messages for part in message.content if isinstance(part, Media)]
        answers = [message for message in sample.messages if message.role == "assistant"]
        texts = [part.text for part in answers[-1].content if isinstance(part, Text)] if answers else []
        if len(media) == 1 and texts:
            found.append(CaptionedItem(media[0], texts[0]))
        if limit is not None and len(found) == limit:
            break
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument(
        "--adapters", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS), help="default: all"
    )
    parser.add_argument("--steps", type=int, default=24, help="of each adapter (default: 24)")
    parser.add_argument("--seconds", type=float, help="of training, at most, of each adapter (default: no limit)")
    parser.add_argument("--batch_size", type=int, default=8, help="pictures of a step (default: 8)")
    parser.add_argument("--lr", type=float, default=1e-3, help="learning rate (default: 1e-3)")
    parser.add_argument("--pictures", type=int, help="to train on (default: all)")
    parser.add_argument("--items", type=int, default=60, help="held-out pictures (default: 60)")
    parser.add_argument("--output", type=Path, default=Path("runs/speed"), help="folder (default: runs/speed)")


def run(options: argparse.Namespace) -> None:
    """Train all adapters on the starter pictures, write the results and print the table."""
    for name in ("steps", "batch_size", "items", "lr"):
        if not getattr(options, name) > 0:
            raise ValueError(f"--{name} is {getattr(options, name)}, but must be above 0")
    budget = Budget(options.steps, options.batch_size, options.lr, options.seconds)
    train = captioned_items("starter:stamps/image-train.jsonl", options.pictures)
    held_out = captioned_items("starter:stamps/image-test.jsonl", options.items)
    llm = load_llm(LLMConfig("starter:smollm2"), default_device())
    encoder = ComponentConfig("omni.encoders.EfficientNetLite", {"weights": "starter:efficientnet-lite0"})
    contenders = {name: CONTENDERS[name] for name in options.adapters}
    results = measure_adapters(
        contenders, llm, encoder, train, held_out, budget, lambda text: print(text, file=sys.stderr, flush=True)
    )
    text = markdown(results, budget, len(train), torch.get_num_threads())
    options.output.mkdir(parents=True, exist_ok=True)
    values = {"budget": asdict(budget), "pictures": len(train), "adapters": [asdict(one) for one in results]}
    (options.output / "adapters.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    (options.output / "adapters.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    print(f"written: {options.output / 'adapters.json'}, {options.output / 'adapters.md'}")
