"""Explanations of answers: attention is the LLM's, occlusion is brute force, and what cannot be explained is said."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from adapters import Adapter, Instruction
from omni.encoders.base import Encoder, Features
from omni.encoders.regions import picture_regions
from omni.explaining import ATTENTION, OCCLUSION, Cost
from omni.feature_cache import FeatureCache
from omni.media.image import load_image
from omni.media.item import Media
from omni.model import OmniModel
from omni.model.attention import token_attention
from omni.model.batch import pad
from omni.model.explaining import AnsweredConversation
from omni.model.modality import Modality
from omni.samples.messages import Message, SampleError, Text
from tests.tiny import MLP, RESAMPLER, sensor, tiny_model

LORA = {"r": 4, "target_modules": ["q_proj", "v_proj"], "mode": "per_modality"}
GATED = {
    "class_path": "adapters.GatedCrossAttention",
    "init_args": {"every": 1, "num_queries": 3, "resampler_layers": 1, "width": 16, "num_heads": 2},
}
ADAPTERS: dict[str, dict[str, Any]] = {
    "mlp": MLP,
    "linear": {"class_path": "adapters.Linear"},
    "folding": {"class_path": "adapters.MLP", "init_args": {"reduction": 2, "layout": "sequence"}},
    "pooled": {"class_path": "adapters.PooledMLP"},
    "resampler": RESAMPLER,
    "q-former": {
        "class_path": "adapters.QFormer",
        "init_args": {"num_queries": 3, "hidden_dim": 16, "num_layers": 2, "num_heads": 2, "intermediate_dim": 16},
    },
    "gated": GATED,
    "experts": {"class_path": "adapters.Experts", "init_args": {"num_experts": 2, "width": 8}},
}
GRID, PLANTED = 3, 5  # cells of a side, and the one that matters: the middle row's last


class CellColours(Encoder):
    """Pictures -> the mean colour of each cell of a grid of 3 x 3, row by row."""

    medium = "picture"
    dim, max_features = 3, GRID**2
    modality = "image"

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        picture = load_image(media).resize((30, 30), Image.Resampling.BOX)
        return {"pixels": torch.from_numpy(np.array(picture)).permute(2, 0, 1).float()[None] / 255}

    def feature_regions(self, media: Media, inputs: dict[str, Tensor]) -> Tensor | None:
        found = picture_regions(self.preprocess, load_image(media).size, "pixels", GRID**2)
        return None if found is None else found[None]

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        values = nn.functional.adaptive_avg_pool2d(inputs["pixels"], GRID).flatten(2).transpose(1, 2)
        return Features(values, torch.ones(values.shape[:2], dtype=torch.bool))


class OneFeature(Adapter):
    """A token of one feature alone, by an adapter of the user's own."""

    def __init__(self, feature_dim: int, llm_dim: int) -> None:
        super().__init__(feature_dim, llm_dim)
        self.projection = nn.Linear(feature_dim, llm_dim)

    def forward(
        self, features: Tensor, mask: Tensor | None = None, instruction: Instruction | None = None
    ) -> tuple[Tensor, Tensor]:
        features, mask = self.prepare_features(features, mask)
        return 5 * self.projection(features[:, [PLANTED]]), mask[:, [PLANTED]]

    def num_tokens(self, num_features: int) -> int:
        return 1

    def attribution(
        self, features: Tensor, mask: Tensor | None = None, instruction: Instruction | None = None
    ) -> Tensor:
        found = torch.zeros(len(features), 1, features.shape[1])
        found[..., PLANTED] = 1
        return found


def asked(*content: Media | Text) -> tuple[Message, ...]:
    return (Message("user", (*content, Text("what is this?"))),)


def picture() -> Media:
    pixels = np.random.default_rng(3).integers(0, 255, (60, 60, 3)).astype(np.uint8)
    pixels[20:40, 40:60] = (250, 10, 10)
    return Media("image", data=Image.fromarray(pixels))


@pytest.fixture(scope="module")
def planted(tiny_llm: Path) -> OmniModel:
    torch.manual_seed(0)
    llm = tiny_model(tiny_llm).llm
    return OmniModel(llm, {"image": Modality(CellColours(), OneFeature(3, llm.hidden_size), "image: ")}).eval()


@pytest.fixture(scope="module")
def both(tiny_llm: Path) -> OmniModel:
    return tiny_model(tiny_llm).eval()


@pytest.mark.parametrize("measure", [ATTENTION, OCCLUSION])
def test_the_one_part_that_matters_has_the_maximum(planted: OmniModel, measure: str) -> None:
    messages = asked(picture())
    hidden = AnsweredConversation(planted, messages, "a", parts=9)
    without = np.zeros((1, 3, 3), dtype=bool)
    without.flat[PLANTED] = True
    # the answer that the part speaks for, since weights are random
    drops = {
        word: (one.log_likelihoods() - one.without(0, without)[0])[:1].sum()
        for word in ("a", "frog", "bell", "drum", "dog", "sound")
        for one in [AnsweredConversation(planted, messages, word, parts=9)]
    }
    answer = max(drops, key=drops.__getitem__)
    assert drops[answer] > 0
    assert hidden.parts[0] is not None
    explanation = planted.explain(messages, answer, parts=9)
    medium = explanation.media[0]
    heat = medium.heat(measure)
    assert heat is not None
    assert heat.argmax() == PLANTED
    others = np.delete(heat.ravel(), PLANTED)
    assert np.abs(others).max() < (1e-5 if measure == OCCLUSION else 0.02 * heat.max())
    assert medium.notes == ()


def test_occlusion_is_the_drop_of_the_score_when_a_part_is_hidden_by_hand(both: OmniModel) -> None:
    media, answer = sensor("image", 0, 12), "a frog bell"
    told = AnsweredConversation(both, asked(media), answer, parts=3)
    values = media.data
    assert isinstance(values, np.ndarray)
    for part in range(3):
        hidden = values.copy()
        hidden[4 * part : 4 * part + 4] = values.mean(0)
        by_hand = both.score(asked(Media("image", data=hidden)), [answer])[0]
        mask = np.arange(3) == part
        assert told.without(0, [mask])[0].sum() == pytest.approx(float(by_hand), abs=1e-4)
    words = told.words(told.log_likelihoods().tolist())
    assert [word.text for word in words] == ["a", "frog", "bell"]
    found = told.occlusion(0, words, batch_size=2)
    assert found is not None
    whole = told.log_likelihoods()
    for index, word in enumerate(words):
        parts = [told.without(0, [np.arange(3) == part])[0] for part in range(3)]
        drops = [(whole - one)[word.start : word.end].sum() for one in parts]
        np.testing.assert_allclose(found[index], drops, atol=1e-4)


@pytest.mark.parametrize("lora", [None, LORA], ids=["plain", "lora"])
def test_attention_is_what_transformers_gives(tiny_llm: Path, lora: dict[str, Any] | None) -> None:
    model = tiny_model(tiny_llm, lora=lora).eval()
    for name, weight in model.llm.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.5)
    messages = asked(sensor("image", 0), sensor("sound", 1, 9))
    told = AnsweredConversation(model, messages, "a frog", parts=4)
    embedded = model.embed_examples([told.example])
    before = model.llm.causal_lm.config._attn_implementation
    found = token_attention(model, told.example)
    assert model.llm.causal_lm.config._attn_implementation == before == "sdpa"
    model.llm.causal_lm.set_attn_implementation("eager")
    inputs = pad(embedded)
    output = model.run(inputs, 1, output_attentions=True)
    places = (inputs.targets[0] != -100).nonzero().flatten()
    expected = torch.stack(output.attentions)[:, 0].mean((0, 1))[places]  # [T, L]
    torch.testing.assert_close(expected.sum(-1), torch.ones(len(places)))
    rows = torch.cat([one for one in found if one is not None], dim=1)
    tokens = model.media_tokens([told.example])[0]
    columns = [
        int((embedded[0].embeds == token.to(embedded[0].embeds.dtype)).all(-1).nonzero()[0, 0])
        for own in tokens
        for token in own
    ]
    torch.testing.assert_close(rows, expected[:, columns])


def test_layers_that_attend_to_media_give_what_they_look_at(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm, adapters={"image": GATED}).eval()
    told = AnsweredConversation(model, asked(sensor("image", 0), sensor("image", 1)), "a frog", parts=4)
    first, second = token_attention(model, told.example)
    assert first is not None
    assert second is not None
    torch.testing.assert_close(torch.cat([first, second], dim=1).sum(-1), torch.ones(len(first)))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_every_adapter_is_explained(tiny_llm: Path, adapter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(tiny_llm, adapters={"image": ADAPTERS[adapter]}).eval()
    for name, weight in model.named_parameters():
        if name.endswith("_gate"):
            nn.init.ones_(weight)  # closed at the start, when no word stands on any medium
    encoder = model.modality("image").encoder
    spans = torch.tensor([[[[i, i + 1.0]] for i in range(4)], [[[i, i + 1.0]] for i in range(4, 8)]])
    monkeypatch.setattr(encoder, "feature_regions", lambda media, inputs: spans, raising=False)
    explanation = model.explain(asked(sensor("image", 0, 8)), "a frog", parts=4)
    medium = explanation.media[0]
    assert medium.attention is not None
    assert medium.occlusion is not None
    assert medium.attention.shape == medium.occlusion.shape == (2, 4)
    assert (medium.attention >= 0).all()
    assert (medium.attention.sum(1) > 0).all()
    assert (medium.attention.sum(1) < 1.0001).all()
    assert ("the same everywhere" in " ".join(medium.notes)) == (adapter == "pooled")
    assert math.isnan(medium.correlation()) == (adapter == "pooled")


def test_several_media_are_explained_each_and_shown_and_written_down(both: OmniModel) -> None:
    costs: list[Cost] = []
    messages = asked(sensor("image", 0, 12), Text("and"), sensor("sound", 1), sensor("image", 2, 5))
    explanation = both.explain(messages, "a frog was heard", parts=4, on_cost=costs.append)
    assert [medium.modality for medium in explanation.media] == ["image", "sound", "image"]
    assert costs == [explanation.cost]
    assert explanation.cost.passes == 2 + 3 * 5
    for medium in explanation.media:
        assert medium.attention is None  # the encoder does not say which steps a feature stands for
        assert "SensorEncoder stands for is not known (`feature_regions`)" in medium.notes[0]
        assert medium.occlusion is not None
    written = json.loads(json.dumps(explanation.to_dict()))
    assert [word["text"] for word in written["words"]] == ["a", "frog", "was", "heard"]
    np.testing.assert_allclose(written["media"][2]["occlusion"], explanation.media[2].occlusion)
    assert written["media"][0]["correlation"] is None
    assert [axis["name"] for axis in written["media"][0]["axes"]] == ["time"]
    assert len(explanation.render()) == 3
    assert explanation.picture(1, 2).mode == "RGB"
    with pytest.raises(ValueError, match=r"no map of .* by attention: There is no map by attention: which part"):
        explanation.picture(0, 0, ATTENTION)
    with pytest.raises(ValueError, match="measure is 'looks'; allowed: attention, occlusion"):
        explanation.picture(0, 0, "looks")
    assert "rank correlation of attention and occlusion not defined" in str(explanation)


def test_the_model_explains_its_own_answer(planted: OmniModel) -> None:
    explanation = planted.explain(asked(picture()), parts=1, attention=False)
    assert explanation.answer == planted.generate(asked(picture()))


def test_a_change_of_batches_changes_no_map(both: OmniModel) -> None:
    messages = asked(sensor("image", 0, 12))
    one, many = (both.explain(messages, "a frog", parts=5, batch_size=size).media[0] for size in (1, 16))
    np.testing.assert_allclose(one.occlusion, many.occlusion, atol=1e-4)


def test_nothing_drops_out_of_an_explanation_of_a_model_in_training(tiny_llm: Path) -> None:
    dropping = {"class_path": "adapters.PooledMLP", "init_args": {"dropout": 0.5}}
    model = tiny_model(tiny_llm, adapters={"image": dropping})
    messages = asked(sensor("image", 0, 12))
    expected = model.eval().explain(messages, "a frog", parts=3).media[0].occlusion
    model.train()
    np.testing.assert_allclose(model.explain(messages, "a frog", parts=3).media[0].occlusion, expected, atol=1e-5)
    assert model.training
    assert model.modality("image").adapter.training


def test_only_the_last_answer_is_explained(both: OmniModel) -> None:
    earlier = (*asked(sensor("image", 0)), Message("assistant", (Text("a dog was heard"),)))
    messages = (*earlier, Message("user", (Text("what is this?"),)))
    told = AnsweredConversation(both, messages, "a frog")
    assert told.log_likelihoods().sum() == pytest.approx(float(both.score(messages, ["a frog"])[0]), abs=1e-4)


def test_hidden_media_are_kept_in_no_cache(tiny_llm: Path, tmp_path: Path) -> None:
    model = tiny_model(tiny_llm).eval()
    model.feature_cache = FeatureCache(tmp_path)
    media = sensor("image", 0, 12)
    found = model.explain(asked(media), "a frog", parts=4).media[0].occlusion
    model.feature_cache = None
    np.testing.assert_allclose(found, model.explain(asked(media), "a frog", parts=4).media[0].occlusion, atol=1e-4)
    fresh = FeatureCache(tmp_path)
    encoder = model.modality("image").encoder
    changed = media.data * (np.arange(12) >= 3)[:, None] + media.data.mean(0) * (np.arange(12) < 3)[:, None]
    hidden = Media("image", data=changed.astype(np.float32))
    assert fresh.get(hidden.content_hash(), encoder.fingerprint()) is None


class Opaque(CellColours):
    """An encoder that does not say what its media are."""

    medium = None


def test_what_cannot_be_explained_is_refused_in_words(both: OmniModel, planted: OmniModel) -> None:
    media = sensor("image", 0)
    with pytest.raises(ValueError, match="has no media that an answer could stand on"):
        both.explain(asked(), "a frog")
    with pytest.raises(ValueError, match="answer to explain must be a text that is not empty, got ' '"):
        both.explain(asked(media), " ")
    with pytest.raises(ValueError, match="answer to explain must be a text that is not empty, got 3"):
        both.explain(asked(media), 3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="parts must be a whole number from 1 on, got 0"):
        both.explain(asked(media), "a frog", parts=0)
    with pytest.raises(ValueError, match="more than 4096; give a smaller number of parts"):
        both.explain(asked(sensor("image", 0, 5000)), "a frog", parts=5000)
    with pytest.raises(ValueError, match="one conversation at a time"):
        both.explain([asked(media), asked(media)], "a frog")  # pyright: ignore[reportArgumentType]
    with pytest.raises(SampleError, match="leave it out, and give its text as `answer`"):
        both.explain((*asked(media), Message("assistant", (Text("a dog"),))), "a frog")
    llm = planted.llm
    opaque = OmniModel(llm, {"image": Modality(Opaque(), OneFeature(3, llm.hidden_size))}).eval()
    with pytest.raises(ValueError, match="its encoder, Opaque, can say so by `medium` or `media_parts`"):
        opaque.explain(asked(picture()), "a frog")
