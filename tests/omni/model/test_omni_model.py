"""OmniModel: batches are as their samples alone, packs isolate samples, cached features are the live ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import adapters
from omni.feature_cache import FeatureCache
from omni.model import OmniModel
from omni.model.batch import Example, pack, pad
from omni.model.modality import Modality
from omni.samples.messages import Media, Message, Sample, SampleError, Text
from tests.tiny import MLP, RESAMPLER, SensorEncoder, sensor, tiny_llm_dir, tiny_model

LINEAR = {"class_path": "adapters.Linear", "init_args": {}}
ADAPTERS = {"image": RESAMPLER, "sound": MLP, "imu": LINEAR}


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return tiny_model(tiny_llm, adapters=ADAPTERS)


def dialogue(*parts: Media | str, answer: str = "a frog") -> list[Message]:
    content = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return [Message("user", content), Message("assistant", (Text(answer),))]


MIXES: dict[str, list[list[Message]]] = {
    "one modality": [dialogue(sensor("image", seed, 3 * seed), "what is this?") for seed in (1, 2, 5)],
    "a modality each": [dialogue(sensor(name, 1, 9), "what?") for name in ADAPTERS],
    "with text only": [dialogue("what is a dog?"), dialogue(sensor("sound", 2), "what?", answer="a bell")],
    "text only": [dialogue("what is a dog?"), dialogue("the", answer="a bell of the drum")],
    "many media": [
        dialogue(sensor("image", 1), "and", sensor("sound", 2, 17), sensor("image", 3, 1), "the same?"),
        dialogue(sensor("imu", 4, 2), answer="x"),
        dialogue("of", sensor("image", 5, 40), answer="the dog of the frog"),
    ],
    "several turns": [
        [*dialogue(sensor("image", 1), "what?"), *dialogue(sensor("sound", 2, 5), "and this?", answer="a bell")],
        dialogue("what?"),
    ],
}


@pytest.fixture(params=MIXES)
def batch(request: pytest.FixtureRequest, model: OmniModel) -> list[Example]:
    return [model.prepare(messages, answer=True) for messages in MIXES[request.param]]


def gradients(model: OmniModel, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.trainable_parameters().items() if p.grad is not None}


def assert_same_gradients(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], atol=1e-5, rtol=1e-4, msg=name)


def test_batched_loss_and_gradients_equal_single(model: OmniModel, batch: list[Example]) -> None:
    count = sum(example.num_answer_tokens for example in batch)
    together = model(batch)
    alone = torch.stack([model([example], num_answer_tokens=count) for example in batch]).sum()
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    if any(example.media for example in batch):
        assert_same_gradients(gradients(model, together), gradients(model, alone))


def test_packed_loss_and_gradients_equal_unpacked(model: OmniModel, batch: list[Example]) -> None:
    assert model.llm.can_pack
    packed, padded = model(batch, packed=True), model(batch)
    torch.testing.assert_close(packed, padded, atol=1e-5, rtol=0)
    if any(example.media for example in batch):
        assert_same_gradients(gradients(model, packed), gradients(model, padded))


def test_padding_side_changes_no_logit(model: OmniModel, batch: list[Example]) -> None:
    embedded = model.embed_examples(batch)
    found = {}
    for side in ("left", "right"):
        inputs = pad(embedded, side=side)
        assert inputs.attention_mask is not None
        keep = inputs.attention_mask.bool()
        logits = model.llm(
            inputs.inputs_embeds, keep, attention_mask=inputs.attention_mask, position_ids=inputs.position_ids
        ).logits
        found[side] = logits
    torch.testing.assert_close(found["left"], found["right"], atol=1e-5, rtol=0)


def test_samples_in_a_pack_do_not_see_each_other(model: OmniModel) -> None:
    first = [model.prepare(dialogue(sensor("image", seed), "what?"), answer=True) for seed in (1, 2)]
    second = model.prepare(dialogue(sensor("sound", 3), "what?", answer="a bell"), answer=True)
    logits = []
    for example in first:
        inputs = pack(model.embed_examples([example, second]))
        keep, _ = inputs.counted()
        logits.append(model.run(inputs, keep).logits[-second.num_answer_tokens :])
    assert torch.equal(*logits)


def test_media_tokens_stand_where_the_media_stand(model: OmniModel) -> None:
    image, sound = sensor("image", 1), sensor("sound", 2, 6)
    example = model.prepare(dialogue(image, "what?", sound), answer=True)
    ((image_tokens, sound_tokens),) = model.media_tokens([example])
    assert len(image_tokens) == 3
    assert len(sound_tokens) == 6
    (embedded,) = model.embed_examples([example])
    first, second = (example.token_ids == -1).nonzero().flatten().tolist()
    torch.testing.assert_close(embedded.embeds[first : first + 3], image_tokens, rtol=0, atol=0)
    torch.testing.assert_close(embedded.embeds[second + 2 : second + 8], sound_tokens, rtol=0, atol=0)
    text = model.llm.embed(example.token_ids[first + 1 : second])
    torch.testing.assert_close(embedded.embeds[first + 3 : second + 2], text, rtol=0, atol=0)
    counted = embedded.labels[embedded.labels >= 0].tolist()
    assert counted == example.labels[example.labels >= 0].tolist()


def test_loss_is_the_mean_over_answer_tokens_unless_told_their_number(model: OmniModel) -> None:
    batch = [model.prepare(messages, answer=True) for messages in MIXES["many media"]]
    count = sum(example.num_answer_tokens for example in batch)
    torch.testing.assert_close(model(batch) * count, model(batch, num_answer_tokens=1))
    torch.testing.assert_close(model(batch, num_answer_tokens=torch.tensor(4.0)) * 4, model(batch, num_answer_tokens=1))


# --- frozen parts and the feature cache ---


def test_training_changes_adapters_and_not_one_bit_of_the_frozen_parts(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm, adapters=ADAPTERS).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.trainable_parameters().values(), lr=0.01, weight_decay=0.1)
    for _ in range(3):
        batch = [model.prepare(messages, answer=True) for messages in MIXES["a modality each"]]
        optimizer.zero_grad()
        model(batch).backward()
        optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(".adapter." in name for name in changed)
    assert changed >= set(model.trainable_parameters())


class CountingEncoder(SensorEncoder):
    calls = 0

    def encode(self, inputs: dict[str, Tensor]) -> Any:
        type(self).calls += 1
        return super().encode(inputs)


def test_cached_features_give_the_bits_of_live_ones_and_call_no_encoder(tiny_llm: Path, tmp_path: Path) -> None:
    live = tiny_model(tiny_llm, adapters=ADAPTERS)
    cached = tiny_model(tiny_llm, adapters=ADAPTERS)
    for index, name in enumerate(ADAPTERS):
        cached.modality(name).encoder = CountingEncoder(seed=index)
    cached.feature_cache = FeatureCache(tmp_path)
    expected = live([live.prepare(messages, answer=True) for messages in MIXES["many media"]])
    CountingEncoder.calls = 0
    assert torch.equal(cached([cached.prepare(messages, answer=True) for messages in MIXES["many media"]]), expected)
    first_calls = CountingEncoder.calls
    assert first_calls > 0
    second_epoch = [cached.prepare(messages, answer=True) for messages in MIXES["many media"]]
    assert all(item.inputs is None for example in second_epoch for item in example.media)
    assert torch.equal(cached(second_epoch), expected)
    assert CountingEncoder.calls == first_calls


def test_an_encoder_that_is_trained_is_never_cached(tiny_llm: Path, tmp_path: Path) -> None:
    model = tiny_model(tiny_llm)
    model.modality("image").encoder = SensorEncoder(trainable=True)
    model.feature_cache = FeatureCache(tmp_path)
    example = model.prepare(dialogue(sensor("image", 1), "what?"), answer=True)
    model([example]).backward()
    assert model.modality("image").encoder.weight.grad is not None
    assert not [*tmp_path.rglob("*")]


# --- inference ---


def test_generation_in_a_batch_equals_each_alone(model: OmniModel) -> None:
    conversations = [messages[:-1] for mix in MIXES.values() for messages in mix]
    together = model.generate(conversations, max_new_tokens=6)
    assert together == [model.generate(messages, max_new_tokens=6) for messages in conversations]


def test_greedy_generation_takes_the_likeliest_token_of_the_training_path(model: OmniModel) -> None:
    prompt = model.prepare(dialogue(sensor("image", 1), "what?")[:-1])
    (embedded,) = model.embed_examples([prompt])
    inputs = pad([embedded])
    logits = model.run(inputs, 1).logits[0, -1]
    expected = str(model.llm.tokenizer.decode([int(logits.argmax())], skip_special_tokens=True)).strip()
    assert model.generate(dialogue(sensor("image", 1), "what?")[:-1], max_new_tokens=1) == expected


def test_embedding_in_a_batch_equals_each_alone(model: OmniModel) -> None:
    conversations = [messages[:-1] for messages in MIXES["many media"]]
    together = model.embed(conversations)
    alone = torch.cat([model.embed(messages) for messages in conversations])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    assert not torch.allclose(together[0], together[1])


def test_a_prompt_stands_at_the_end_of_the_last_turn_of_what_is_embedded(model: OmniModel) -> None:
    found = model.embed([{"role": "user", "content": "a frog"}], prompt="in a word")
    torch.testing.assert_close(found, model.embed([{"role": "user", "content": "a frog\nin a word"}]))
    assert not torch.allclose(found, model.embed([{"role": "user", "content": "a frog"}]))
    picture = [{"role": "user", "content": [sensor("image", 0)]}]
    written = [{"role": "user", "content": [sensor("image", 0), Text("in a word")]}]
    torch.testing.assert_close(model.embed(picture, prompt="in a word"), model.embed(written))
    with pytest.raises(SampleError, match="the assistant's is last"):
        model.embed([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], prompt="in a word")


def test_the_fingerprint_changes_with_whatever_changes_the_outputs(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    first = model.fingerprint()
    assert tiny_model(tiny_llm).fingerprint() == first
    with torch.no_grad():
        next(iter(model.trainable_parameters().values())).view(-1)[0] += 1e-3
    assert model.fingerprint() != first
    other = tiny_model(tiny_llm)
    other.modality("image").cue = "photo: "
    assert other.fingerprint() != first
    assert tiny_model(tiny_llm, lora={"target_modules": ["q_proj"]}).fingerprint() != first


# --- what a user gets wrong ---


def test_a_sample_that_does_not_fit_the_context_says_what_takes_the_room(tmp_path: Path) -> None:
    model = tiny_model(tiny_llm_dir(tmp_path / "llm", context=64))
    with pytest.raises(SampleError, match=r"row-3.*tokens \(\d+ of text, up to 3 of media\).*context of 64"):
        model.prepare(Sample("row-3", tuple(dialogue(sensor("image", 1), "what is this?" * 20))), answer=True)


def test_media_that_cannot_be_read_fail_in_prepare(model: OmniModel) -> None:
    with pytest.raises(ValueError, match=r"\[T, 3\]"):
        model.prepare(dialogue(Media("image", data=np.zeros((4, 2))), "what?"), answer=True)


def test_an_unknown_modality_is_named(model: OmniModel) -> None:
    with pytest.raises(SampleError, match=r"'thermal'"):
        model.prepare(dialogue(sensor("thermal", 1)), answer=True)
    with pytest.raises(ValueError, match=r"no modality 'thermal'; it has \['image', 'imu', 'sound'\]"):
        model.modality("thermal")


def test_an_adapter_for_another_llm_is_refused(tiny_llm: Path) -> None:
    llm = tiny_model(tiny_llm).llm
    with pytest.raises(ValueError, match=r"'image'.*width 48.*reads width 32"):
        OmniModel(llm, {"image": Modality(SensorEncoder(), adapters.MLP(8, 48))})


def test_of_no_conversations_there_are_no_answers_and_no_embeddings(model: OmniModel) -> None:
    assert model.generate([]) == []
    assert model.embed([]).shape == (0, model.llm.hidden_size)
    with pytest.raises(ValueError, match="for each conversation a list of candidates"):
        model.score_batch([], [])


def test_streaming_takes_one_conversation(model: OmniModel) -> None:
    with pytest.raises(ValueError, match="one conversation at a time, got 2"):
        model.generate([dialogue("a")[:-1], dialogue("b")[:-1]], streamer=object())
