"""A user's own adapters: attended beside the sequence, or routed, they train, generate, score, save and load."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from adapters import RoutedAdapter
from omni.config import ModelConfig
from omni.model import OmniModel, build_model
from omni.model.expert_balance import expert_balance, update_usage
from omni.model.expert_routing import log_routing
from omni.samples.messages import Media, Message, Text
from tests.tiny import sensor, tiny_config, tiny_model

OWN = Path(__file__).with_name("own_adapters.py")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of the user's, in a folder of the user's."""
    return Path(shutil.copy(OWN, tmp_path / "my_adapters.py"))


def dialogue(*parts: Media | str, answer: str = "a frog") -> list[Message]:
    content = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return [Message("user", content), Message("assistant", (Text(answer),))]


BATCH = [
    dialogue(sensor("image", 1), "and", sensor("sound", 2, 17), sensor("image", 3, 1), "the same?"),
    dialogue("what is a dog?"),
    dialogue(sensor("image", 4, 30), "what?", answer="a bell of the drum"),
]


def config(llm: Path, file: Path, name: str, **init_args: Any) -> ModelConfig:
    """A model whose pictures and sounds share what adapters of the class `name` have in common."""
    adapter = {"class_path": f"{file}:{name}", "init_args": init_args}
    return tiny_config(llm, adapters={"image": adapter, "sound": adapter})


def train(model: OmniModel, steps: int = 4) -> tuple[list[float], dict[str, float]]:
    """Train on `BATCH` as a run does, the balance of experts included; returns losses and the last step's metrics."""
    optimizer = torch.optim.SGD(model.trainable_parameters().values(), lr=0.05)
    batch = [model.prepare(messages, answer=True) for messages in BATCH]
    count = sum(example.num_answer_tokens for example in batch)
    losses, numbers = [], {}
    for _ in range(steps):
        optimizer.zero_grad()
        with log_routing(model, only_trained=True) as log:
            loss = model(batch, packed=True)
            balance, metrics = expert_balance(log, count)
        (loss + balance).backward()
        optimizer.step()
        numbers = {name: float(value) for name, value in metrics.items()}
        update_usage(model, numbers)
        losses.append(float(loss.detach()))
    return losses, numbers


def assert_batched_is_single(model: OmniModel) -> None:
    """Packs, padded batches, generation with a cache and scores over a shared prefix all give what single runs give."""
    batch = [model.prepare(messages, answer=True) for messages in BATCH]
    with torch.no_grad():
        alone = torch.stack([model([example], num_answer_tokens=1) for example in batch])
        for packed in (False, True):
            together = model(batch, packed=packed, num_answer_tokens=1)
            torch.testing.assert_close(together, alone.sum(), atol=1e-4, rtol=0)
    prompts = [messages[:1] for messages in BATCH]
    answers = model.generate(prompts, max_new_tokens=4)
    assert answers == [model.generate(prompt, max_new_tokens=4, use_cache=False) for prompt in prompts]
    scores = model.score_batch(prompts, ["a frog", "a bell of the drum"])
    own = torch.stack([scores[0, 0], scores[1, 0], scores[2, 1]])
    torch.testing.assert_close(own, -alone, atol=1e-4, rtol=0)


def loss_of(model: OmniModel, *seeds: int) -> Tensor:
    with torch.no_grad():
        return torch.stack([model([model.prepare(dialogue(sensor("image", n), "?"), answer=True)]) for n in seeds])


def gradients_of(model: OmniModel) -> list[Tensor]:
    model.zero_grad()
    model([model.prepare(messages, answer=True) for messages in BATCH]).backward()
    weights = model.trainable_parameters().values()
    return [weight.grad.clone() for weight in weights if weight.grad is not None]


def assert_loads_the_same(model: OmniModel, folder: Path) -> OmniModel:
    model.save(folder / "first")
    loaded = OmniModel.load(folder / "first")
    assert torch.equal(loss_of(loaded, 1, 2), loss_of(model, 1, 2))
    loaded.save(folder / "second")
    for name in ("adapter.safetensors", "config.yaml"):
        assert (folder / "first" / name).read_bytes() == (folder / "second" / name).read_bytes()
    return loaded


def test_an_attended_adapter_of_ones_own_trains_generates_scores_and_loads(tiny_llm: Path, file: Path) -> None:
    torch.manual_seed(0)
    model = build_model(config(tiny_llm, file, "MeanAdded"))
    text_only = [model.prepare(BATCH[1], answer=True)]
    before = model(text_only).item()
    assert before == tiny_model(tiny_llm, adapters={})(text_only).item()
    first = loss_of(model, 1, 2)
    assert first[0] == first[1]  # the gate is shut
    losses, _ = train(model)
    assert losses[-1] < losses[0]
    trained = loss_of(model, 1, 2)
    assert trained[0] != trained[1]
    assert model(text_only).item() == before
    example = model.prepare(BATCH[0], answer=True)
    assert len(model.embed_examples([example])[0].embeds) == len(example.token_ids) - 3  # media take no place
    assert_batched_is_single(model)
    gradients = [gradients_of(model)]
    model.llm.checkpoint_layers()
    gradients.append(gradients_of(model))
    model.llm.restore_layers()
    assert all(value.any() for value in gradients[0])
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))
    assert_loads_the_same(model, file.parent)


def test_a_routed_adapter_of_ones_own_is_balanced_and_loads_with_its_usage(tiny_llm: Path, file: Path) -> None:
    own = config(tiny_llm, file, "Pair")
    for modality in own.modalities.values():
        modality.share_adapter = "experts"
    torch.manual_seed(0)
    model = build_model(own)
    adapters = [model.modality(name).adapter for name in ("image", "sound")]
    routed = [adapter for adapter in adapters if isinstance(adapter, RoutedAdapter)]
    assert len(routed) == 2
    assert routed[0].expert_usage is routed[1].expert_usage
    assert adapters[0].get_parameter("router.weight") is not adapters[1].get_parameter("router.weight")
    losses, metrics = train(model)
    assert losses[-1] < losses[0]
    for adapter in adapters:
        assert adapter.get_parameter("router.weight").grad is not None
    assert metrics["balance_loss"] > 0
    for name in ("image", "sound"):
        assert metrics[f"expert_use/{name}/0"] + metrics[f"expert_use/{name}/1"] > 0
    usage = routed[0].expert_usage.usage
    assert float(usage.sum()) == pytest.approx(1)
    assert usage[0] != usage[1]
    assert [adapter.take_routing() for adapter in routed] == [None, None]  # nothing of the graph is kept
    assert_batched_is_single(model)
    loaded = assert_loads_the_same(model, file.parent)
    again = [model_part.get_buffer("experts.usage") for model_part in (adapters[0], loaded.modality("sound").adapter)]
    assert torch.equal(*again)


def test_the_balance_loss_reaches_the_router_of_ones_own_adapter(tiny_llm: Path, file: Path) -> None:
    torch.manual_seed(0)
    model = build_model(config(tiny_llm, file, "Pair"))
    batch = [model.prepare(messages, answer=True) for messages in BATCH]
    adapter = model.modality("image").adapter
    assert isinstance(adapter, RoutedAdapter)
    adapter.expert_usage.update_usage(torch.tensor([1.0, 0.0]))  # with even use the loss does not depend on the router
    with log_routing(model, only_trained=True) as log:
        model(batch)
        balance, metrics = expert_balance(log, 10)
    torch.testing.assert_close(balance, 0.5 * metrics["balance_loss"])
    balance.backward()
    gradient = adapter.get_parameter("router.bias").grad
    assert gradient is not None
    assert gradient[0] > 0 > gradient[1]  # away from the expert that is used


def test_what_cannot_work_is_refused_when_the_model_is_built(tiny_llm: Path, file: Path) -> None:
    with pytest.raises(ValueError, match=r"attends before the layers \[7\]: it must name some of the layers 0 to 1"):
        build_model(config(tiny_llm, file, "MeanAdded", layer=7))
    with pytest.raises(ValueError, match=r"OutOfSequence says in_sequence = False, but is no adapters.AttendedAdapter"):
        build_model(config(tiny_llm, file, "OutOfSequence"))
    experts = {"class_path": "adapters.Experts", "init_args": {"expert": "tests.omni.model.own_adapters.MeanAdded"}}
    with pytest.raises(ValueError, match=r"own_adapters.MeanAdded stands beside the sequence"):
        build_model(tiny_config(tiny_llm, adapters={"image": experts}))
