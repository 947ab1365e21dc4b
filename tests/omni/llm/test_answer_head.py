"""The loss in chunks: that of the LLM's own logits in value and gradient, with little kept for the backward pass."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from omni.llm import answer_head
from omni.llm.answer_head import AnswerHead, LogitTransform, check_fused_loss, find_answer_head
from omni.losses import token_log_likelihoods
from tests.memory import SavedSizes
from tests.omni.llm.test_language_model import CONVERSATIONS, with_random_lora
from tests.tiny import tiny_model

_SIZES = {"vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8}
_LLAMA_LIKE = _SIZES | {"intermediate_size": 64, "num_key_value_heads": 2}
FAMILIES: dict[str, tuple[dict[str, Any], LogitTransform | None]] = {
    "Llama": (_LLAMA_LIKE, LogitTransform()),
    "Gemma2": (_LLAMA_LIKE | {"final_logit_softcapping": 3.0}, LogitTransform(softcap=3.0)),
    "Cohere": (_LLAMA_LIKE | {"logit_scale": 0.25}, LogitTransform(scale=0.25)),
    "Granite": (_LLAMA_LIKE | {"logits_scaling": 8.0}, LogitTransform(scale=0.125)),
    "Phi": (_LLAMA_LIKE, LogitTransform()),  # its head has a bias
    "MiniCPM3": (_LLAMA_LIKE, None),  # divides what its head reads, which the decoder alone does not show
}


def causal_lm(family: str) -> nn.Module:
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**FAMILIES[family][0], initializer_range=0.5)
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval().requires_grad_(False)
    if model.lm_head.bias is not None:
        nn.init.normal_(model.lm_head.bias)
    return model


def embeddings(length: int) -> Tensor:
    return torch.randn(2, length, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_head, "CHUNK_ELEMENTS", 3 * 400)  # three positions at a time


@pytest.mark.parametrize("family", FAMILIES)
def test_what_an_architecture_does_to_its_logits_is_found_by_trying(family: str) -> None:
    found = find_answer_head(causal_lm(family), embeddings(12)[0])
    assert (found and found.transform) == FAMILIES[family][1]


def loss_and_gradient(loss: Callable[[Tensor], Tensor], embeds: Tensor) -> tuple[Tensor, Tensor]:
    embeds = embeds.clone().requires_grad_()
    value = loss(embeds)
    (value * 0.3).backward()
    assert embeds.grad is not None
    return value.detach(), embeds.grad


def weighted(log_likelihoods: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A loss in which every token counts differently."""

    def loss(embeds: Tensor) -> Tensor:
        found = log_likelihoods(embeds)
        return (found * torch.linspace(-1, 2, len(found))).sum()

    return loss


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("precision", ["float32", "autocast"])
@pytest.mark.parametrize("family", [name for name, (_, transform) in FAMILIES.items() if transform])
def test_chunked_loss_and_gradient_equal_those_of_all_logits(family: str, precision: str) -> None:
    model = causal_lm(family)
    embeds, keep = embeddings(11), torch.rand(2, 11, generator=torch.Generator().manual_seed(2)) < 0.5
    targets = torch.randint(400, (int(keep.sum()),), generator=torch.Generator().manual_seed(3))
    head = find_answer_head(model, embeds[0])
    assert head is not None
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
        found = loss_and_gradient(
            weighted(lambda x: head.log_likelihoods(head.hidden_states(x, use_cache=False)[keep], targets)), embeds
        )
        all_logits = weighted(lambda x: token_log_likelihoods(model(inputs_embeds=x).logits[keep], targets))
        expected = loss_and_gradient(all_logits, embeds)
    tolerance = 1e-5 if precision == "float32" else 2e-2
    torch.testing.assert_close(found[0], expected[0], rtol=tolerance, atol=tolerance)
    assert found[1].any()
    difference = (found[1] - expected[1]).float().norm() / expected[1].float().norm()
    assert difference < tolerance


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("mode", ["shared", "per_modality"])
def test_loras_of_body_and_head_get_the_gradients_of_all_logits(tiny_llm: Path, mode: str) -> None:
    model = with_random_lora(tiny_llm, mode, target_modules=["q_proj", "lm_head"])
    model.train()
    batch = [model.prepare(messages, answer=True) for messages in CONVERSATIONS]

    def gradients() -> dict[str, Tensor]:
        model.zero_grad()
        model(batch).backward()
        return {name: p.grad.clone() for name, p in model.trainable_parameters().items() if p.grad is not None}

    assert model.llm.answer_head is not None
    found = gradients()
    model.llm.capabilities.answer_head = None  # the LLM's own logits
    expected = gradients()
    assert found.keys() == expected.keys()
    assert any("lm_head" in name for name in found)
    assert any("q_proj" in name for name in found)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen head", "trained head"])
def test_no_logits_are_kept_for_the_backward_pass(monkeypatch: pytest.MonkeyPatch, frozen: bool) -> None:
    vocabulary, width, count = 5000, 16, 400
    monkeypatch.setattr(answer_head, "CHUNK_ELEMENTS", 8 * vocabulary)
    largest = 0

    def measured(logits: Tensor, targets: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, logits.numel())
        return token_log_likelihoods(logits, targets)

    monkeypatch.setattr(answer_head, "token_log_likelihoods", measured)
    config = transformers.LlamaConfig(**_LLAMA_LIKE | {"vocab_size": vocabulary, "hidden_size": width})
    model = transformers.LlamaForCausalLM(config).requires_grad_(False)
    cast_head: Any = model.lm_head
    cast_head.weight.requires_grad_(not frozen)
    hidden = torch.randn(count, width, requires_grad=True)
    targets = torch.randint(vocabulary, (count,))
    with SavedSizes() as all_logits:
        plain = F.cross_entropy(model.lm_head(hidden), targets, reduction="sum")
    with SavedSizes() as chunked:
        loss = -AnswerHead(model, LogitTransform()).log_likelihoods(hidden, targets).sum()
    assert all_logits.total >= count * vocabulary
    assert chunked.total <= 3 * count * width
    loss.backward()
    assert largest <= 8 * vocabulary
    torch.testing.assert_close(loss, plain)


def test_no_frozen_weight_gets_a_gradient_and_no_encoder_takes_part_in_it(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm).train()
    batch = [model.prepare(messages, answer=True) for messages in CONVERSATIONS]
    features = [item.features for example in model.encode_media(batch) for item in example.media]
    assert features
    assert all(found is not None and not found.values.requires_grad for found in features)
    model(batch).backward()
    with_gradient = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert with_gradient == set(model.trainable_parameters())
    assert all(".adapter." in name for name in with_gradient)


def test_an_evaluation_without_gradients_has_the_same_loss(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    batch = [model.prepare(messages, answer=True) for messages in CONVERSATIONS]
    with torch.no_grad():
        without = model(batch)
    assert not without.requires_grad
    assert torch.equal(without, model(batch).detach())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_fused_loss_and_gradient_equal_the_chunked_ones() -> None:
    pytest.importorskip("liger_kernel")
    head = AnswerHead(causal_lm("Gemma2").cuda(), LogitTransform(softcap=3.0))
    targets = torch.randint(400, (50,), device="cuda")
    hidden = torch.randn(50, 32, device="cuda")
    found = loss_and_gradient(lambda x: head.fused_nll(x, targets), hidden)
    expected = loss_and_gradient(lambda x: -head.log_likelihoods(x, targets).sum(), hidden)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_batch_without_answers_has_a_fused_loss_of_zero() -> None:
    head = AnswerHead(causal_lm("Llama"), LogitTransform())
    hidden = torch.zeros(0, 32, requires_grad=True)
    loss = head.fused_nll(hidden, torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0
    assert hidden.grad is not None


def test_asking_for_the_fused_loss_without_its_package_names_the_extra() -> None:
    with pytest.raises(
        ValueError, match=r"train\.fused_loss (needs liger-kernel: pip install 'omni\[flash\]'|runs on CUDA)"
    ):
        check_fused_loss(torch.device("cpu"))


class OwnHead(nn.Linear):
    """A class of linear layers that leaves the product as it is."""


class DoublingHead(nn.Linear):
    """A class of linear layers that does more than the product."""

    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


@pytest.mark.parametrize("head_class", [OwnHead, DoublingHead])
def test_a_linear_head_of_ones_own_class_is_taken_for_what_it_computes(head_class: type[nn.Linear]) -> None:
    model: Any = causal_lm("Llama")
    model.lm_head.__class__ = head_class
    embeds, targets = embeddings(5), torch.arange(10)
    found = AnswerHead(model, LogitTransform())
    with SavedSizes() as saved:
        values = found.log_likelihoods(embeds.flatten(0, 1).requires_grad_(), targets)
    expected = token_log_likelihoods(model.lm_head(embeds.flatten(0, 1)), targets)
    torch.testing.assert_close(values, expected)
    hooked: list[int] = []
    handle = model.lm_head.register_forward_hook(lambda *_: hooked.append(1))
    torch.testing.assert_close(found.log_likelihoods(embeds.flatten(0, 1), targets), expected)
    handle.remove()
    assert hooked  # who looks at the head sees it called
    assert saved.total < 10 * 400
