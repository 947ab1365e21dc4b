"""Experts in a model: the balance loss is a sum over samples, and use is reported by modality."""

from pathlib import Path
from typing import Any

import pytest
import torch

from adapters import Experts
from omni.config import ModelConfig
from omni.model import OmniModel, build_model
from omni.model.expert_balance import expert_balance, update_usage, with_shares
from omni.model.expert_routing import log_routing
from omni.samples.messages import Media, Message, Text
from tests.tiny import MLP, sensor, tiny_config, tiny_model
from tests.train.runs import REPOSITORY, metrics, row, weights, write_manifest, write_recipe
from train.objectives import LanguageModelObjective
from train.recipe import load_recipe
from train.run.loop import Trainer
from train.run.step import TrainingStep

EXPERTS: dict[str, Any] = {
    "class_path": "adapters.Experts",
    "init_args": {"num_experts": 3, "top_k": 1, "width": 10, "balance_weight": 0.5},
}


def dialogue(*parts: Media | str, answer: str = "a frog") -> list[Message]:
    content = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return [Message("user", content), Message("assistant", (Text(answer),))]


BATCH = [
    dialogue(sensor("image", 1), sensor("sound", 2, 17), sensor("image", 3, 1), "the same?"),
    dialogue("what is a dog?"),
    dialogue(sensor("sound", 4, 30), "what?", answer="a bell of the drum"),
]


def config(llm: Path) -> ModelConfig:
    found = tiny_config(llm, adapters={"image": EXPERTS, "sound": EXPERTS, "imu": MLP})
    found.modalities["sound"].join_clips = False
    for name in ("image", "sound"):
        found.modalities[name].share_adapter = "all"
    return found


def experts_of(model: OmniModel, name: str) -> Experts:
    adapter = model.modality(name).adapter
    assert isinstance(adapter, Experts)
    return adapter


@pytest.fixture
def model(tiny_llm: Path) -> OmniModel:
    torch.manual_seed(0)
    built = build_model(config(tiny_llm))
    experts_of(built, "image").shared.update_usage(torch.tensor([1.0, 0.0, 0.0]))
    return built


def test_loss_and_gradients_of_a_step_do_not_depend_on_how_the_batch_is_cut(model: OmniModel) -> None:
    step = TrainingStep(model, LanguageModelObjective(), packed=False)
    batch = [model.prepare(messages, answer=True) for messages in BATCH]
    count = sum(example.num_answer_tokens for example in batch)
    found = []
    for cuts in ([batch], [batch[:1], batch[1:]], [batch[2:], batch[:2]], [[one] for one in batch]):
        model.zero_grad()
        parts = [step(cut, count) for cut in cuts]
        loss = torch.stack([part for part, _ in parts]).sum()
        loss.backward()
        names = {name for _, metrics in parts for name in metrics}
        metrics = {name: sum(float(metrics.get(name, 0.0)) for _, metrics in parts) for name in sorted(names)}
        router = experts_of(model, "image").shared.router.weight
        assert router.grad is not None
        found.append((loss.detach(), router.grad.clone(), metrics))
    for loss, gradient, metrics in found[1:]:
        torch.testing.assert_close(loss, found[0][0], atol=1e-5, rtol=0)
        torch.testing.assert_close(gradient, found[0][1], atol=1e-6, rtol=1e-4)
        assert metrics == pytest.approx(found[0][2], abs=1e-6)


def test_the_weighted_balance_loss_is_added_to_the_objectives(model: OmniModel) -> None:
    batch = [model.prepare(messages, answer=True) for messages in BATCH]
    count = sum(example.num_answer_tokens for example in batch)
    loss, metrics = TrainingStep(model, LanguageModelObjective(), packed=False)(batch, count)
    assert float(metrics["balance_loss"]) > 0.1
    torch.testing.assert_close(loss, model(batch) + 0.5 * metrics["balance_loss"], atol=1e-5, rtol=0)
    assert experts_of(model, "image").routing is None  # nothing of the graph is kept


def test_use_is_reported_as_shares_of_each_modality_and_taken_into_the_running_mean(model: OmniModel) -> None:
    batch = [model.prepare(messages, answer=True) for messages in BATCH]
    with log_routing(model, only_trained=True) as log:
        model(batch)
        _, metrics = expert_balance(log, 10)
    numbers = {name: float(value) for name, value in metrics.items()}
    shares = with_shares(numbers | {"gradient_norm": 3.0})
    assert shares["gradient_norm"] == 3.0
    for name in ("image", "sound"):
        assert sum(shares[f"expert_use/{name}/{index}"] for index in range(3)) == pytest.approx(1)
    pool = experts_of(model, "image").shared
    use = [numbers[f"expert_use/image/{i}"] + numbers[f"expert_use/sound/{i}"] for i in range(3)]
    expected = [0.9 * old + 0.1 * new / sum(use) for old, new in zip(pool.usage.tolist(), use, strict=True)]
    update_usage(model, numbers)
    assert pool.usage.tolist() == pytest.approx(expected)
    update_usage(model, {})  # a step without routed media
    assert pool.usage.tolist() == pytest.approx(expected)


def test_text_only_batches_and_models_without_experts_have_no_balance_loss(model: OmniModel, tiny_llm: Path) -> None:
    plain = tiny_model(tiny_llm, adapters={"image": MLP})
    for one, messages in ((model, BATCH[1]), (plain, dialogue(sensor("image", 1), "what?"))):
        batch = [one.prepare(messages, answer=True)]
        loss, metrics = TrainingStep(one, LanguageModelObjective(), packed=False)(batch, 5)
        assert metrics == {}
        torch.testing.assert_close(loss, one(batch, num_answer_tokens=5), atol=1e-6, rtol=0)


def test_experts_shared_by_modalities_are_saved_and_loaded_with_their_use(model: OmniModel, tmp_path: Path) -> None:
    model.save(tmp_path / "first")
    loaded = OmniModel.load(tmp_path / "first")
    assert experts_of(loaded, "image").shared is experts_of(loaded, "sound").shared
    assert torch.equal(experts_of(loaded, "image").shared.usage, experts_of(model, "image").shared.usage)
    loaded.save(tmp_path / "second")
    for file in ("adapter.safetensors", "config.yaml", "README.md"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_modalities_that_share_must_be_configured_alike(tiny_llm: Path) -> None:
    wrong = config(tiny_llm)
    wrong.modalities["imu"].share_adapter = "all"
    with pytest.raises(ValueError, match=r"modalities\.imu\.share_adapter: 'all' is also that of 'image'"):
        build_model(wrong)


OWN: dict[str, Any] = {"class_path": f"{REPOSITORY}/tests/omni/model/own_adapters.py:Pair"}


@pytest.mark.parametrize(
    ("adapter", "usage_key", "num_experts"),
    [(EXPERTS, "shared.usage", 3), (OWN, "experts.usage", 2)],
    ids=["Experts", "a user's own"],
)
def test_metrics_tell_the_use_of_experts_in_training_and_evaluation(
    tmp_path: Path, tiny_llm: Path, adapter: dict[str, Any], usage_key: str, num_experts: int
) -> None:
    rows = [row(str(i), ["image:0.npy", "sound:1.npy"], "a frog", "what is this") for i in range(4)]
    data = write_manifest(tmp_path / "data", rows)
    encoder = {"class_path": "tests.tiny.SensorEncoder"}
    modalities = {name: {"encoder": encoder, "adapter": adapter, "share_adapter": "all"} for name in ("image", "sound")}
    recipe = write_recipe(
        tmp_path,
        tiny_llm,
        data,
        model={"llm": {"name": str(tiny_llm)}, "modalities": modalities},
        evaluation=[{"path": str(data)}],
        steps=2,
    )
    Trainer(load_recipe(recipe, ["--train.output_dir", str(tmp_path / "out")])).run()
    for prefix in ("", "evaluation_"):
        for name in ("image", "sound"):
            found = [metrics(tmp_path / "out", f"{prefix}expert_use/{name}/{index}")[2] for index in range(num_experts)]
            assert sum(found) == pytest.approx(1)
    assert metrics(tmp_path / "out", "balance_loss")[2] > 0
    usage = weights(tmp_path / "out/last")[f"modalities.image.adapter.{usage_key}"]
    assert float(usage.sum()) == pytest.approx(1)
    assert not (usage == usage[0]).all()
