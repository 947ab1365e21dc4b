"""Gated cross-attention: the LLM is unchanged at first, and batches, packs, caches and scores are as single runs."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from adapters import GatedCrossAttention
from omni.config import LLMConfig
from omni.llm.cross_attention import attending
from omni.llm.language_model import LanguageModel
from omni.model import OmniModel, build_model
from omni.model.batch import pad
from omni.model.checkpoint import save_model
from omni.samples.messages import Media, Message, Text
from tests.tiny import RESAMPLER, sensor, tiny_config, tiny_model, tiny_tokenizer

INSERTED: dict[str, Any] = {
    "class_path": "adapters.GatedCrossAttention",
    "init_args": {"every": 1, "num_queries": 3, "width": 16, "num_heads": 2, "resampler_layers": 1},
}
LAST: dict[str, Any] = {**INSERTED, "init_args": {**INSERTED["init_args"], "attend_to": "last"}}
MIXED = {"image": INSERTED, "sound": LAST, "imu": RESAMPLER}


def open_gates(model: OmniModel, value: float = 0.7) -> OmniModel:
    """As after training."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("_gate"):
                weight.fill_(value)
    return model


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return open_gates(tiny_model(tiny_llm, adapters=MIXED))


def dialogue(*parts: Media | str, answer: str = "a frog") -> list[Message]:
    content = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return [Message("user", content), Message("assistant", (Text(answer),))]


BATCH = [
    dialogue(sensor("image", 1), "and", sensor("sound", 2, 17), sensor("image", 3, 1), "the same?"),
    dialogue("what is a dog?"),
    dialogue(sensor("sound", 4), sensor("sound", 5), "what?", answer="a bell of the drum"),
    dialogue("of", sensor("imu", 5, 40), sensor("image", 6), answer="the dog of the frog"),
]


def gradients(model: OmniModel, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {
        name: weight.grad.clone() for name, weight in model.trainable_parameters().items() if weight.grad is not None
    }


def logits(model: OmniModel, messages: list[Message]) -> Tensor:
    example = model.prepare(messages, answer=True)
    inputs = pad(model.embed_examples([example]))
    return model.run(inputs, torch.ones_like(inputs.targets, dtype=torch.bool)).logits


def test_before_training_the_llm_is_unchanged(tiny_llm: Path) -> None:
    fresh = tiny_model(tiny_llm, adapters={"image": INSERTED, "sound": LAST})
    for messages in BATCH[:3]:
        example = fresh.prepare(messages, answer=True)
        inputs = pad(fresh.embed_examples([example]))
        assert inputs.attended or messages is BATCH[1]
        keep = torch.ones_like(inputs.targets, dtype=torch.bool)
        with attending(None):
            plain = fresh.llm(inputs.inputs_embeds, keep, use_cache=False, **fresh.attention_inputs(inputs)).logits
        assert torch.equal(fresh.run(inputs, keep).logits, plain)


def test_media_take_no_place_in_the_sequence(model: OmniModel) -> None:
    example = model.prepare(BATCH[2], answer=True)
    assert example.length == len(example.token_ids) - 2 == model.measure(BATCH[2])
    (embedded,) = model.embed_examples([example])
    assert len(embedded.embeds) == example.length
    assert [item.states.shape for item in embedded.attended] == [(3, 16), (3, 16)]


def test_trained_gates_make_media_matter_and_leave_text_only_rows_as_they_are(model: OmniModel, tiny_llm: Path) -> None:
    first, second = (logits(model, dialogue(sensor("image", seed), "what?")) for seed in (1, 2))
    assert float((first - second).detach().abs().max()) > 1e-2
    plain = tiny_model(tiny_llm, adapters={})
    assert torch.equal(logits(model, BATCH[1]), logits(plain, BATCH[1]))


def test_a_text_sees_the_media_before_it_and_no_other(model: OmniModel) -> None:
    for name in ("image", "sound"):
        one, other = (logits(model, dialogue("what is", sensor(name, seed), "this?")) for seed in (1, 2))
        example = model.prepare(dialogue("what is", sensor(name, 1), "this?"), answer=True)
        position = model.embed_examples([example])[0].attended[0].position
        differs = (one - other).abs().amax(-1) > 1e-6
        assert 0 < position < len(one)
        assert not differs[:position].any()
        assert differs[position:].all()


@pytest.mark.parametrize(("name", "sees_first"), [("image", True), ("sound", False)])
def test_the_last_rule_sees_the_last_item_of_its_modality_only(model: OmniModel, name: str, sees_first: bool) -> None:
    example = model.prepare(dialogue(sensor(name, 1), sensor(name, 2), "what?"), answer=True)
    inputs = pad(model.embed_examples([example]))
    media = model.attended_media(inputs)
    assert media is not None
    (part,) = media.modalities
    columns = inputs.targets.shape[1]
    seen = (part.start[0] <= columns - 1) & (part.end[0] > columns - 1)
    assert seen.tolist() == [sees_first] * 3 + [True] * 3


@pytest.mark.parametrize("packed", [False, True])
def test_batched_and_packed_equal_single(model: OmniModel, packed: bool) -> None:
    batch = [model.prepare(messages, answer=True) for messages in BATCH]
    count = sum(example.num_answer_tokens for example in batch)
    together = model(batch, packed=packed)
    alone = torch.stack([model([example], num_answer_tokens=count) for example in batch]).sum()
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    found, expected = gradients(model, together), gradients(model, alone)
    assert found.keys() == expected.keys()
    assert any("blocks.1.output" in name and value.abs().max() > 1e-6 for name, value in found.items())
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-4, msg=name)


def test_samples_in_a_pack_do_not_see_each_others_media(model: OmniModel) -> None:
    batches = [
        [model.prepare(dialogue(sensor("image", seed), "what?"), answer=True), model.prepare(BATCH[0], answer=True)]
        for seed in (1, 2)
    ]
    found = [model.answer_log_likelihoods(batch, model.embed_examples(batch), packed=True) for batch in batches]
    assert not torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_the_padding_side_changes_no_logit(model: OmniModel) -> None:
    embedded = model.embed_examples([model.prepare(messages, answer=True) for messages in BATCH])
    found = []
    for side in ("left", "right"):
        inputs = pad(embedded, side=side)
        assert inputs.attention_mask is not None
        found.append(model.run(inputs, inputs.attention_mask.bool()).logits)
    torch.testing.assert_close(*found, atol=1e-5, rtol=0)


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"use_cache": False}], ids=str)
def test_generation_is_the_same_batched_alone_and_with_or_without_cache(
    model: OmniModel, options: dict[str, Any]
) -> None:
    prompts = [messages[:1] for messages in BATCH]
    options = {"max_new_tokens": 6, "min_new_tokens": 6, **options}
    batched = model.generate(prompts, **options)
    assert batched == [model.generate(prompt, **options) for prompt in prompts]
    if options.get("num_beams") is None:
        without = [model.generate(prompt, max_new_tokens=6, min_new_tokens=6, use_cache=False) for prompt in prompts]
        assert batched == without


def test_scores_with_a_shared_prefix_equal_a_full_recompute(model: OmniModel) -> None:
    candidates = ["a frog", "a bell of the drum", "the dog"]
    scores = model.score_batch([messages[:1] for messages in BATCH], candidates)
    for row, messages in zip(scores, BATCH, strict=True):
        for score, candidate in zip(row, candidates, strict=True):
            answered = [messages[0], Message("assistant", (Text(candidate),))]
            with torch.no_grad():
                expected = -model([model.prepare(answered, answer=True)], num_answer_tokens=1)
            torch.testing.assert_close(score, expected, atol=1e-4, rtol=0)


def test_checkpointed_layers_give_the_same_loss_and_gradients(tiny_llm: Path, model: OmniModel) -> None:
    checkpointed = copy.deepcopy(model)
    checkpointed.llm.checkpoint_layers()
    results = []
    for one in (model, checkpointed):
        loss = one([one.prepare(messages, answer=True) for messages in BATCH])
        results.append((loss.detach(), gradients(one, loss)))
    assert torch.equal(results[0][0], results[1][0])
    for name, value in results[0][1].items():
        assert torch.equal(value, results[1][1][name]), name


def test_lora_and_cross_attention_train_together(tiny_llm: Path) -> None:
    lora = {"r": 2, "alpha": 4, "target_modules": ["q_proj"], "mode": "per_modality"}
    both = open_gates(tiny_model(tiny_llm, adapters={"image": INSERTED, "sound": LAST}, lora=lora))
    batch = [both.prepare(messages, answer=True) for messages in BATCH[:3]]
    found = gradients(both, both(batch))
    assert all(any(kind in name and value.any() for name, value in found.items()) for kind in ("lora_B", "blocks.0"))
    frozen = [weight for name, weight in both.llm.named_parameters() if "lora_" not in name]
    assert all(weight.grad is None for weight in frozen)


def test_shared_layers_are_one_and_the_same_after_saving_and_combining(tiny_llm: Path, tmp_path: Path) -> None:
    config = tiny_config(tiny_llm, adapters={"image": INSERTED, "sound": INSERTED})
    for modality in config.modalities.values():
        modality.share_adapter = "seen"
    torch.manual_seed(1)
    shared = open_gates(build_model(config))

    def blocks(one: OmniModel, name: str) -> nn.Module:
        return one.modality(name).adapter.shared  # type: ignore[return-value]

    assert blocks(shared, "image") is blocks(shared, "sound")
    save_model(shared, tmp_path / "first")
    loaded = OmniModel.load(tmp_path / "first")
    assert blocks(loaded, "image") is blocks(loaded, "sound")
    loaded.save(tmp_path / "second")
    for file in ("adapter.safetensors", "config.yaml"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()

    other = open_gates(build_model(config), 0.3)
    other.save(tmp_path / "other")
    combined = OmniModel.combine({"image": tmp_path / "first", "sound": tmp_path / "other"})
    assert blocks(combined, "image") is not blocks(combined, "sound")
    picture, sound = dialogue(sensor("image", 1), "what?"), dialogue(sensor("sound", 1), "what?")
    assert torch.equal(logits(combined, picture), logits(shared, picture))
    assert torch.equal(logits(combined, sound), logits(other, sound))


def small_llms() -> dict[str, Any]:
    size: dict[str, Any] = {
        "vocab_size": len(tiny_tokenizer()),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    return {
        "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**size, intermediate_size=64, num_key_value_heads=2, head_dim=8)),
        "gpt_neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**size, intermediate_size=64)),
        "opt": lambda: OPTForCausalLM(OPTConfig(**size, ffn_dim=64, word_embed_proj_dim=32)),
        "bloom": lambda: BloomForCausalLM(
            BloomConfig(vocab_size=size["vocab_size"], hidden_size=32, n_layer=2, n_head=4)
        ),
    }


@pytest.mark.parametrize("name", ["qwen3", "gpt_neox", "opt", "bloom"])
def test_other_architectures_batch_generate_and_score_alike(name: str, model: OmniModel) -> None:
    torch.manual_seed(0)
    llm = LanguageModel(small_llms()[name]().eval(), tiny_tokenizer(), LLMConfig(name))
    other = OmniModel(llm, {"image": copy.deepcopy(model.modality("image"))})
    prompts = [dialogue(sensor("image", seed), "what?" * seed)[:1] for seed in (1, 3)]
    batch = [other.prepare([*prompt, *dialogue("", answer="a frog")[1:]], answer=True) for prompt in prompts]
    alone = torch.stack([other([example], num_answer_tokens=1) for example in batch])
    torch.testing.assert_close(other(batch, num_answer_tokens=1), alone.sum(), atol=1e-4, rtol=0)
    answers = other.generate(prompts, max_new_tokens=5)
    assert answers == [other.generate(prompt, max_new_tokens=5) for prompt in prompts]
    scores = other.score_batch(prompts, ["a frog", "a dog"])
    torch.testing.assert_close(scores[:, 0], -alone.detach(), atol=1e-4, rtol=0)
    with torch.no_grad():
        media = other.prepare([Message("user", (sensor("image", 9), Text("what?"))), *dialogue("")[1:]], answer=True)
        assert float((other([media], num_answer_tokens=1) - alone[0]).abs()) > 1e-4  # another picture, another loss


def test_layers_that_do_not_exist_are_named() -> None:
    with pytest.raises(ValueError, match="layers must be different numbers from 0 to 1, got \\[2\\]"):
        GatedCrossAttention(4, 8, num_llm_layers=2, layers=[2])
    with pytest.raises(ValueError, match="every must be at most 2, the number of the LLM's layers; got 4"):
        GatedCrossAttention(4, 8, num_llm_layers=2)
    with pytest.raises(ValueError, match="attend_to must be one of all, last; got 'next'"):
        GatedCrossAttention(4, 8, num_llm_layers=2, every=1, attend_to="next")  # pyright: ignore[reportArgumentType]
