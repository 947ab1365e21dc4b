"""Checkpointed, compiled and offloaded steps are the plain step, with less memory; what cannot be had is an error."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from omni.llm.activation_offload import OffloadActivations
from omni.llm.language_model import LanguageModel
from omni.model import OmniModel
from omni.recipe.schema import TrainConfig
from tests.memory import SavedSizes
from tests.omni.llm.test_language_model import CONVERSATIONS, with_random_lora
from tests.tiny import tiny_model
from train.run.efficiency import choose_pack_attention, llm_of, prepare_llm


def loss_and_gradients(
    model: OmniModel, context: Any = nullcontext, packed: bool = True
) -> tuple[Tensor, dict[str, Tensor]]:
    model.train()
    model.zero_grad()
    torch.manual_seed(0)
    with context():
        loss = model([model.prepare(messages, answer=True) for messages in CONVERSATIONS], packed=packed)
    loss.backward()
    found = {name: p.grad.clone() for name, p in model.trainable_parameters().items() if p.grad is not None}
    assert found.keys() == model.trainable_parameters().keys()
    return loss.detach(), found


@pytest.mark.parametrize("mode", ["shared", "per_modality"])
def test_checkpointed_layers_give_the_very_same_loss_and_gradients(tiny_llm: Path, mode: str) -> None:
    model = with_random_lora(tiny_llm, mode, dropout=0.2)  # the same random numbers must come again
    expected = loss_and_gradients(model, packed=mode == "shared")
    model.llm.checkpoint_layers()
    found = loss_and_gradients(model, packed=mode == "shared")
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_checkpointed_layers_keep_their_inputs_only(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    batch = [model.prepare(messages, answer=True) for messages in CONVERSATIONS]
    embedded = model.embed_examples(batch)
    sizes = []
    for change in (lambda _: None, LanguageModel.checkpoint_layers):
        change(model.llm)
        with SavedSizes() as saved:
            model.answer_nll(batch, embedded, packed=True)
        sizes.append(saved.total)
    assert sizes[1] < 0.5 * sizes[0]


def test_a_model_with_checkpointed_layers_still_generates_and_scores(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    question, candidates = CONVERSATIONS[0][:1], ["a frog", "a frog in a drum"]
    before = model.generate(question, max_new_tokens=4), model.score(question, candidates)
    model.llm.checkpoint_layers()
    assert model.generate(question, max_new_tokens=4) == before[0]
    assert torch.equal(model.score(question, candidates), before[1])


@pytest.mark.slow
def test_compiled_layers_give_the_loss_and_gradients_of_plain_ones_padded_and_packed(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    expected = {packed: loss_and_gradients(model, packed=packed) for packed in (True, False)}
    model.llm.compile_layers()
    model.llm.checkpoint_layers()
    for packed in (True, False):
        found = loss_and_gradients(model, packed=packed)
        torch.testing.assert_close(found, expected[packed], rtol=1e-4, atol=1e-5)


def test_offloaded_activations_give_the_very_same_gradients_and_weights_stay(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    expected = loss_and_gradients(model)
    copied: list[Tensor] = []

    class Recorded(OffloadActivations):
        def _pack(self, tensor: Tensor) -> Any:
            packed = super()._pack(tensor)
            if packed[0] is not None:
                copied.append(tensor)
            return packed

    torch.testing.assert_close(loss_and_gradients(model, lambda: Recorded(min_bytes=1)), expected, rtol=0, atol=0)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    assert copied
    assert not any(tensor.untyped_storage().data_ptr() in weights for tensor in copied)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_offloaded_activations_wait_on_the_cpu(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm).cuda()
    expected = loss_and_gradients(model)
    torch.testing.assert_close(loss_and_gradients(model, lambda: OffloadActivations(1)), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("key", "reason"),
    [("offload_activations", "its activations are there already"), ("fused_loss", "needs liger-kernel|runs on CUDA")],
)
def test_what_this_machine_cannot_do_is_an_error_that_names_the_key(tiny_llm: Path, key: str, reason: str) -> None:
    config = TrainConfig("runs/x", steps=1, **{key: True})
    with pytest.raises(ValueError, match=rf"train\.{key}.*({reason})"):
        prepare_llm(tiny_model(tiny_llm).llm, config)


def test_the_way_of_packing_fits_the_device_and_is_tried_without_dropout(tiny_llm: Path) -> None:
    llm = with_random_lora(tiny_llm, "shared", dropout=0.5).llm
    llm.train()
    before = torch.random.get_rng_state()
    cpu = torch.device("cpu")
    choose_pack_attention(llm, TrainConfig("runs/x", steps=1, packing=True), cpu)
    assert llm.pack_attention == "split"
    choose_pack_attention(llm, TrainConfig("runs/x", steps=1, packing=True, pack_attention="reference"), cpu)
    assert llm.pack_attention == "reference"
    for device, way in ((cpu, "split"), (torch.device("cuda"), "mask")):
        llm.use_pack_attention("split")
        choose_pack_attention(llm, TrainConfig("runs/x", steps=1, packing=True, compile=True), device)
        assert llm.pack_attention == way
    assert torch.equal(torch.random.get_rng_state(), before)
    with pytest.raises(ValueError, match="'varlen' does not keep samples apart"):
        choose_pack_attention(llm, TrainConfig("runs/x", steps=1, packing=True, pack_attention="varlen"), cpu)


def test_an_llm_in_float16_is_not_trained_over(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    model.llm.half()
    with pytest.raises(ValueError, match=r"float16 overflows .*save"):
        llm_of(model, TrainConfig(output_dir="", steps=1))
    assert isinstance(model.generate(CONVERSATIONS[2][:1], max_new_tokens=2), str)
