"""`python -m eval.speed train`: all contenders compute one loss, arithmetic is counted right, a report is written."""

import json
from pathlib import Path

import pytest
import torch

from eval.speed.__main__ import main
from eval.speed.contenders import CONTENDERS, Steps
from eval.speed.shapes import build_shape
from eval.speed.work import needed_flops, shared_tokens


@pytest.mark.slow
def test_all_contenders_train_the_same_weights_from_the_same_samples(tmp_path: Path) -> None:
    shape = build_shape("tiny", "float32", 3, 2)
    steps = Steps(shape.model, tmp_path, shape.dtype)
    found = {}
    for contender in [one for one in CONTENDERS if not one.compiled]:
        with steps.of(contender):
            losses = [steps.run(contender, batch) for batch in shape.batches]
            found[contender.key] = torch.tensor(losses), [weight.detach().clone() for weight in steps.trainable]
    assert set(found) == {"a", "b", "c", "d", "e", "g"}
    for losses, weights in found.values():
        torch.testing.assert_close(losses, found["a"][0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(weights, found["a"][1], rtol=1e-3, atol=1e-5)
    assert found["a"][0][1] != found["a"][0][0]


def test_needed_arithmetic_is_that_of_real_tokens_and_answers() -> None:
    shape = build_shape("tiny", "float32", 2, 1)
    examples = [shape.model.prepare(sample, answer=True) for sample in shape.batches[0]]
    tokens, answers = sum(e.length for e in examples), sum(e.num_answer_tokens for e in examples)
    media_tokens = 2 * 2 * 3  # samples x frames x tokens
    layer = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64 + 2 * 32  # queries and output, keys and values, MLP, norms
    adapter = sum(weight.numel() for weight in shape.model.trainable_parameters().values())
    expected = 4 * (2 * layer + 32) * tokens + 4 * 32 * 500 * answers + 6 * adapter * media_tokens
    expected += 6 * 2 * 32 * sum(e.length**2 for e in examples)
    assert needed_flops(shape.model, examples) == expected
    shared = shared_tokens(shape.model, examples)
    assert shared == 2
    less = 4 * (2 * layer + 32) * shared + 6 * 2 * 32 * shared**2  # one of two samples does not compute them
    assert needed_flops(shape.model, examples, shared) == expected - less


@pytest.mark.slow
def test_the_command_writes_table_figures_and_chart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--shape", "tiny", "--dtype", "float32", "--steps", "1", "--rounds", "2", "--no_compile"]
    assert main([*words, "--output", str(tmp_path)]) == 0
    assert "| e | + logits of answers only |" in capsys.readouterr().out
    result = json.loads((tmp_path / "tiny-float32.json").read_text())
    assert [one["key"] for one in result["contenders"]] == ["a", "b", "c", "d", "e", "g"]
    for one in result["contenders"]:
        assert len(one["seconds"]) == 2
        assert one["samples_per_second"] > 0
    assert result["contenders"][0]["speedup"] == 1
    assert (tmp_path / "tiny-float32.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "tiny-float32.md").is_file()


def test_a_shape_for_gpus_without_one_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["train", "--shape", "eva-vicuna-image"]) == 2
    assert "needs a CUDA device" in capsys.readouterr().err
    assert main(["train", "--rounds", "0"]) == 2
    assert "--rounds is 0, but must be at least 1" in capsys.readouterr().err
