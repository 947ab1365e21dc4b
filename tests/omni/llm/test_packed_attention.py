"""The ways to keep samples of a pack apart: all equal to padded batches and to the written-out mask, gradients too."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig

from omni.llm import packed_attention_cpu
from omni.llm.packed_attention import SPLIT, PackAttention, block_diagonal_visibility, pack_arguments, register
from omni.llm.trials import honours_packing, honours_sharing
from omni.model import OmniModel, build_model
from omni.model.batch import Example, pack
from omni.samples.messages import Media, Message, Text
from tests.tiny import MLP, RESAMPLER, sensor, tiny_config, tiny_llm_dir, tiny_model

LORA = {"r": 2, "alpha": 4, "target_modules": ["q_proj", "v_proj"]}
WAYS: list[PackAttention] = ["reference", "mask", "split"]


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return tiny_model(tiny_llm, adapters={"image": RESAMPLER, "sound": MLP}, lora=LORA)


def example(model: OmniModel, *parts: Media | str, answer: str = "a frog") -> Example:
    content = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return model.prepare([Message("user", content), Message("assistant", (Text(answer),))], answer=True)


@pytest.fixture(scope="module")
def batch(model: OmniModel) -> list[Example]:
    """Media alone, text alone, several media in one sample, and items of 1 to 10 clips."""
    return [
        example(model, sensor("image", 1, 40), answer="a dog"),
        example(model, "what is a dog?", answer="a bell of the drum"),
        example(model, sensor("sound", 2, 1), "and", sensor("image", 3, 9), "the same?", answer="x"),
        example(model, sensor("sound", 4, 17), "what?"),
    ]


def loss_and_gradients(model: OmniModel, batch: list[Example], way: PackAttention | None) -> tuple[Tensor, Any]:
    if way is not None:
        model.llm.use_pack_attention(way)
    model.zero_grad()
    loss = model(batch, packed=way is not None)
    loss.backward()
    found = {name: p.grad.clone() for name, p in model.trainable_parameters().items() if p.grad is not None}
    return loss.detach(), found


@pytest.fixture(params=["all samples at once", "sample by sample"])
def split_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The two things that `split` does, for short and for long samples; the second is made to take short ones."""
    if request.param == "sample by sample":
        monkeypatch.setattr(packed_attention_cpu, "MAX_LENGTH", 0)
    return request.param


@pytest.mark.usefixtures("split_of")
@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_loss_and_the_gradients_of_padded_batches(
    model: OmniModel, batch: list[Example], way: PackAttention
) -> None:
    expected_loss, expected = loss_and_gradients(model, batch, None)
    loss, found = loss_and_gradients(model, batch, way)
    torch.testing.assert_close(loss, expected_loss, atol=1e-5, rtol=0)
    assert found.keys() == expected.keys()
    assert any("lora" in name for name in found)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], atol=1e-5, rtol=0, msg=name)


@pytest.mark.parametrize("way", WAYS)
def test_what_all_prompts_begin_with_is_computed_once_where_the_way_allows_it(
    model: OmniModel, batch: list[Example], way: PackAttention
) -> None:
    model.llm.use_pack_attention(way)
    inputs = model.batched(model.embed_examples(batch), packed=True)
    assert inputs.shared == (0 if way == "mask" else 20)
    apart = pack(model.embed_examples(batch), share=False)
    assert apart.inputs_embeds.shape[1] - inputs.inputs_embeds.shape[1] == 3 * inputs.shared


@pytest.mark.usefixtures("split_of")
def test_packs_in_half_precision_give_what_padded_batches_give_up_to_rounding(tiny_llm: Path) -> None:
    config = tiny_config(tiny_llm)
    config.llm.dtype = "bfloat16"
    model = build_model(config)
    assert model.llm.pack_attention == "split"
    assert model.llm.can_share
    batch = [example(model, sensor("image", i, 9), "what?", answer="a frog of the drum") for i in range(3)]
    with torch.no_grad():
        packed, padded = model(batch, packed=True), model(batch, packed=False)
    assert packed.item() == pytest.approx(padded.item(), rel=1e-2)


def test_nothing_is_shared_while_lora_drops_out(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm, lora=LORA | {"dropout": 0.1})
    assert model.llm.can_share
    assert not model.train().llm.can_share
    assert model.eval().llm.can_share


@pytest.mark.usefixtures("split_of")
@pytest.mark.parametrize("way", WAYS)
def test_changing_a_sample_changes_nothing_for_its_neighbours(model: OmniModel, way: PackAttention) -> None:
    model.llm.use_pack_attention(way)
    before, after = example(model, sensor("image", 1), "what?"), example(model, sensor("sound", 2), "what?")
    hidden = []
    for middle in (example(model, "what is a dog?"), example(model, "what is a bell?")):
        inputs = pack(model.embed_examples([before, middle, after]))
        assert inputs.lengths is not None
        found = model.run(inputs, 0, output_hidden_states=True).hidden_states[-1][0]
        hidden.append((found[: inputs.lengths[0]], found[-inputs.lengths[2] :], found))
    assert hidden[0][2].shape == hidden[1][2].shape  # else kernels may add in another order
    assert torch.equal(hidden[0][0], hidden[1][0])
    assert torch.equal(hidden[0][1], hidden[1][1])
    assert not torch.equal(hidden[0][2], hidden[1][2])


def test_the_written_out_mask_is_causal_within_samples_and_closed_between_them() -> None:
    found = block_diagonal_visibility([2, 1, 3], torch.device("cpu"))[0, 0].int().tolist()
    assert found == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],
        [0, 0, 0, 1, 0, 0],
        [0, 0, 0, 1, 1, 0],
        [0, 0, 0, 1, 1, 1],
    ]


def test_the_written_out_mask_lets_all_samples_see_what_they_share() -> None:
    found = block_diagonal_visibility([2, 1], torch.device("cpu"), shared=2)[0, 0].int().tolist()
    assert found == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1],
    ]


@pytest.mark.usefixtures("split_of")
def test_split_keeps_sliding_windows_of_long_samples() -> None:
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=5,
    )
    llm = AutoModelForCausalLM.from_config(config).eval()
    lengths = [9, 4, 14]
    embeds = torch.randn(1, sum(lengths), 32)
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    alone = [llm(inputs_embeds=part).logits[0] for part in embeds.split(lengths, 1)]
    register()
    llm.set_attn_implementation(SPLIT)
    arguments = pack_arguments("split", lengths, embeds.device, embeds.dtype)
    packed = llm(inputs_embeds=embeds, position_ids=positions, use_cache=False, **arguments).logits[0]
    torch.testing.assert_close(packed, torch.cat(alone), atol=1e-5, rtol=0)
    positions = torch.tensor([[*range(6), *range(6, 9), *range(6, 14)]])  # the last two begin with the same 6 tokens
    row = torch.cat([embeds[:, :9], embeds[:, 19:]], 1)
    inputs = pack_arguments("split", [3, 8], embeds.device, embeds.dtype, shared=6)
    shared = llm(inputs_embeds=row, position_ids=positions, use_cache=False, **inputs).logits[0]
    other = torch.cat([embeds[:, :6], embeds[:, 19:]], 1)
    torch.testing.assert_close(shared[9:], llm(inputs_embeds=other).logits[0, 6:], atol=1e-5, rtol=0)
    torch.testing.assert_close(llm(inputs_embeds=embeds[:, :9]).logits[0], alone[0], atol=1e-5, rtol=0)


def test_a_pack_that_the_llm_is_not_told_of_is_noticed() -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
    }
    llm = AutoModelForCausalLM.from_config(LlamaConfig(vocab_size=50, initializer_range=0.2, **sizes)).eval()
    embeds = torch.randn(12, 32)
    told = lambda lengths: pack_arguments("mask", lengths, embeds.device, embeds.dtype)  # noqa: E731
    assert honours_packing(llm, embeds, told)
    assert not honours_packing(llm, embeds, lambda lengths: {"attention_mask": torch.ones(1, sum(lengths))})
    sharing = lambda lengths, shared: pack_arguments(  # noqa: E731
        "reference", lengths, embeds.device, embeds.dtype, shared
    )
    assert honours_sharing(llm, embeds, sharing)
    assert not honours_sharing(llm, embeds, lambda lengths, shared: told([shared, *lengths]))


def test_split_is_what_auto_takes_on_a_cpu_and_generating_is_as_before(tmp_path: Path) -> None:
    model = tiny_model(tiny_llm_dir(tmp_path))
    messages = [{"role": "user", "content": "what is this"}]
    before = model.generate(messages), model.score(messages, ["a frog", "the dog of the frog"])
    assert model.llm.pack_attention == "split"
    assert model.generate(messages) == before[0]
    torch.testing.assert_close(model.score(messages, ["a frog", "the dog of the frog"]), before[1], atol=1e-5, rtol=0)


def test_a_way_that_the_llm_cannot_take_is_an_error(model: OmniModel) -> None:
    model.llm.use_pack_attention("split")
    with pytest.raises(ValueError, match=r"'varlen' does not keep samples apart.*attention: sdpa"):
        model.llm.use_pack_attention("varlen")
    assert model.llm.pack_attention == "split"
    assert model.llm.can_share


def test_measured_lengths_are_those_of_prepared_examples(model: OmniModel) -> None:
    for parts in ([sensor("image", 1, 40), "what?"], [sensor("sound", 1, 17)], ["the"], [sensor("sound", 2, 3), "of"]):
        content = tuple(Text(part) if isinstance(part, str) else part for part in parts)
        messages = [Message("user", content), Message("assistant", (Text("a frog"),))]
        assert model.measure(messages) == model.prepare(messages, answer=True).length


def test_items_of_queries_are_measured_without_being_read(model: OmniModel) -> None:
    missing = Media("image", path="/nowhere/missing.npy")
    messages = [Message("user", (missing,)), Message("assistant", (Text("a frog"),))]
    present = [Message("user", (sensor("image", 1, 40),)), Message("assistant", (Text("a frog"),))]
    assert model.measure(messages) == model.measure(present)
