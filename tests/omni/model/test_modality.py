"""One modality: clips of many items in one call, masks, instructions of their own clips, and the count of tokens."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import adapters
import omni.encoders.encoding
from adapters import Adapter, Instruction
from omni.encoders.base import Features
from omni.encoders.media_input import MediaInput
from omni.model.modality import Modality
from tests.tiny import SensorEncoder, sensor, tiny_tokenizer

LLM_DIM = 16


def make_adapter(name: str) -> Adapter:
    torch.manual_seed(0)
    return {
        "linear": lambda: adapters.Linear(8, LLM_DIM),
        "mlp": lambda: adapters.MLP(8, LLM_DIM),
        "qformer": lambda: adapters.QFormer(
            8, LLM_DIM, num_queries=3, hidden_dim=16, num_layers=2, num_heads=2, intermediate_dim=32
        ),
        "resampler": lambda: adapters.Resampler(8, LLM_DIM, num_queries=3, num_layers=1, num_heads=2),
    }[name]()


def item(length: int, seed: int = 0, instruction: str = "") -> MediaInput:
    inputs = SensorEncoder().preprocess(sensor("image", seed, length))
    return MediaInput("image", inputs, None, instruction)


@pytest.mark.parametrize("join_clips", [True, False])
@pytest.mark.parametrize("name", ["linear", "mlp", "resampler"])
def test_an_item_has_the_same_tokens_in_any_batch(name: str, join_clips: bool) -> None:
    modality = Modality(SensorEncoder(), make_adapter(name), join_clips=join_clips)
    items = [item(length, seed) for seed, length in enumerate((1, 6, 23, 4, 40))]
    together = modality(items)
    for found, one in zip(together, items, strict=True):
        (alone,) = modality([one])
        torch.testing.assert_close(found, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("join_clips", [True, False])
@pytest.mark.parametrize("name", ["resampler", "qformer"])
def test_all_items_of_a_pack_share_one_call_whatever_their_clips(name: str, join_clips: bool) -> None:
    modality = Modality(SensorEncoder(), make_adapter(name), join_clips=join_clips)
    calls = []
    for module in (modality.encoder, modality.adapter):
        module.register_forward_hook(lambda module, inputs, output: calls.append(type(module).__name__))
    items = [item(length, seed) for seed, length in enumerate((1, 40, 6, 23, 4))]  # 1 to 10 clips, partly masked
    together = modality(items)
    assert calls == ["SensorEncoder", type(modality.adapter).__name__]
    for found, one in zip(together, items, strict=True):
        torch.testing.assert_close(found, modality([one])[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("join_clips", [True, False])
@pytest.mark.parametrize("name", ["linear", "mlp", "resampler"])
@pytest.mark.parametrize("cached", [False, True])
def test_the_count_of_tokens_is_never_too_small(name: str, join_clips: bool, cached: bool) -> None:
    modality = Modality(SensorEncoder(), make_adapter(name), join_clips=join_clips)
    for length in (1, 4, 5, 23, 64):
        one = item(length)
        if cached:
            one = MediaInput("image", None, modality.encode([one])[0])
        (tokens,) = modality([one])
        assert len(tokens) <= modality.num_tokens(one)
        if name == "resampler":
            clips = 1 if join_clips else -(-length // 4)
            assert len(tokens) == modality.num_tokens(one) == 3 * clips


@pytest.mark.parametrize("name", ["linear", "mlp", "resampler"])
def test_an_item_whose_features_are_all_masked_harms_neither_itself_nor_others(name: str) -> None:
    modality = Modality(SensorEncoder(), make_adapter(name))
    empty = MediaInput("image", None, Features(torch.full((1, 4, 8), torch.nan), torch.zeros(1, 4, dtype=torch.bool)))
    tokens, other = modality([empty, item(6)])
    assert torch.isfinite(tokens).all()
    torch.testing.assert_close(other, modality([item(6)])[0], atol=1e-5, rtol=0)
    if name != "resampler":
        assert len(tokens) == 0
    modality([empty, item(6)])[1].sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in modality.adapter.parameters() if p.grad is not None)


def test_more_clips_than_one_call_takes_are_encoded_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    modality = Modality(SensorEncoder(), make_adapter("mlp"))
    items = [item(40, seed) for seed in range(3)]
    expected = modality.encode(items)
    monkeypatch.setattr(omni.encoders.encoding, "MAX_CLIPS", 7)
    for found, one in zip(modality.encode(items), expected, strict=True):
        torch.testing.assert_close(found.values, one.values, atol=1e-6, rtol=0)
        assert torch.equal(found.mask, one.mask)


class EchoAdapter(Adapter):
    """One token a row: the sum of the real instruction tokens' ids."""

    uses_instruction = True

    def __init__(self, tokenizer: Path) -> None:
        super().__init__(8, 1)
        self.instruction_tokenizer = str(tokenizer)
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(
        self, features: Tensor, mask: Tensor | None = None, instruction: Instruction | None = None
    ) -> tuple[Tensor, Tensor]:
        assert instruction is not None
        tokens = self.scale * (instruction.token_ids * instruction.mask).sum(1)[:, None, None].float()
        return tokens, torch.ones(len(tokens), 1, dtype=torch.bool)

    def num_tokens(self, num_features: int) -> int:
        return 1


def test_each_clip_gets_the_instruction_of_its_own_item(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    modality = Modality(SensorEncoder(), EchoAdapter(tmp_path), join_clips=False)
    texts = ["what is this sound", "a frog", ""]
    tokens = modality([item(length, 0, text) for length, text in zip((4, 12, 8), texts, strict=True)])
    expected = [sum(tokenizer(text)["input_ids"]) for text in texts]
    assert [found.flatten().tolist() for found in tokens] == [[expected[0]], [expected[1]] * 3, [expected[2]] * 2]


def test_an_adapter_for_features_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="Linear takes features of width 9, but SensorEncoder gives width 8"):
        Modality(SensorEncoder(), adapters.Linear(9, LLM_DIM))


class Forgetful(SensorEncoder):
    """An encoder of a user's own that knows how to let its weights go, and to read them again."""

    @property
    def is_released(self) -> bool:
        return self.weight.numel() == 0

    def release(self) -> bool:
        self.weight.data = torch.empty(0)
        return True

    def build_again(self) -> None:
        self.weight.data = SensorEncoder().weight.data


def test_an_encoder_that_can_release_its_weights_itself_stays_where_it_is() -> None:
    modality = Modality(encoder := Forgetful(), make_adapter("mlp"))
    expected = modality.encode([item(6)])[0].values
    modality.release_encoder("sensor")
    assert modality.encoder is encoder
    assert encoder.is_released
    encoder.build_again()
    assert torch.equal(modality.encode([item(6)])[0].values, expected)
