"""Retrieval across a joint space: ranks, chance and intervals by hand, and the command."""

from pathlib import Path

import numpy as np
import pytest
import torch

from eval.retrieval.command import main
from eval.retrieval.figures import measure
from eval.retrieval.items import Items, embed_items
from eval.statistics.intervals import bootstrap_mean
from tests.tiny_space import tiny_space
from tests.train.runs import row, write_manifest


def pooled(rows: torch.Tensor, texts: list[str]) -> Items:
    return Items(rows, texts, [*rows.split(1)])


def test_perfect_and_random_retrieval_are_told_apart() -> None:
    rows = torch.nn.functional.normalize(torch.randn(60, 32, generator=torch.Generator().manual_seed(0)), dim=-1)
    texts = [str(i) for i in range(60)]
    perfect = measure(pooled(rows, texts), pooled(rows, texts))
    assert perfect["recall@1"]["value"] == perfect["recall@1"]["low"] == 1
    assert perfect["ndcg@10"]["value"] == pytest.approx(1)
    assert perfect["ndcg@10"]["chance"] == pytest.approx(sum(1 / np.log2(rank + 1) for rank in range(1, 11)) / 60)
    assert perfect["recall@1"]["chance"] == pytest.approx(1 / 60, abs=0.004)
    assert perfect["recall@5"]["chance"] == pytest.approx(5 / 60, abs=0.008)
    assert perfect["gap"] == pytest.approx(0, abs=1e-6)
    contained = 0
    for seed in range(1, 11):
        other = torch.randn(60, 32, generator=torch.Generator().manual_seed(seed))
        strangers = pooled(torch.nn.functional.normalize(other, dim=-1), texts)
        none = measure(pooled(rows, texts), strangers)["recall@5"]
        contained += none["low"] <= none["chance"] <= none["high"]
    assert contained >= 8  # of 10 intervals of 95 %
    pairs = [str(i // 2) for i in range(60)]
    doubled = measure(pooled(rows, pairs), pooled(other, pairs))
    assert doubled["recall@1"]["chance"] == pytest.approx(2 / 60, abs=0.006)


def test_the_interval_is_wider_where_rows_hang_together() -> None:
    values = np.tile([0.0, 1.0], 50).astype(float)
    apart = bootstrap_mean(values.tolist(), seed=0)
    together = bootstrap_mean(np.sort(values).tolist(), seed=0, clusters=[index // 10 for index in range(100)])
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_rows_without_a_text_are_right_for_themselves_alone_and_audio_is_sound(tmp_path: Path) -> None:
    silent = [row(str(i), [f"image:{i}.npy", f"audio:{i + 1}.npy"], "x") for i in range(5)]
    for one in silent:
        one["messages"] = [{"role": "user", "content": one["messages"][0]["content"][:2]}]
    data = write_manifest(tmp_path, silent)
    query, target = embed_items(tiny_space(), [str(data)], "image", "sound")
    assert query.texts == target.texts == ["0", "1", "2", "3", "4"]
    assert measure(query, target)["recall@1"]["chance"] < 0.4


def test_the_command_writes_figures_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(str(i), [f"image:{i}.npy", f"sound:{i + 1}.npy"], f"thing {i}") for i in range(6)]
    data = write_manifest(tmp_path / "data", [*rows, row("alone", ["image:0.npy"], "no sound")])
    apart = [row("a", ["image:0.npy"], "apart"), row("b", ["sound:3.npy"], "apart"), row("c", ["sound:2.npy"], "none")]
    others = write_manifest(tmp_path / "apart", apart)
    tiny_space().save(tmp_path / "run" / "best")
    command = ["--space", str(tmp_path / "run" / "best"), "--data", str(data), str(others)]
    assert main([*command, "--query", "sound", "--target", "image"]) == 0
    assert "sound -> image: 7 queries of 7 texts, 8 targets" in capsys.readouterr().out
    folder = tmp_path / "run" / "retrieval" / "sound-image"
    assert {path.name for path in folder.iterdir()} == {"retrieval.json", "gap.png"}
    assert main([*command, "--query", "audio", "--target", "image"]) == 2
    assert main([*command, "--query", "image", "--target", "text"]) == 0
    assert "image -> text: 8 queries of 8 texts, 10 targets" in capsys.readouterr().out
    assert main([*command, "--query", "image", "--target", "image"]) == 2
    assert "name two modalities" in capsys.readouterr().err
    assert main([*command, "--query", "sound", "--target", "depth"]) == 2
    assert "no modality ['depth']" in capsys.readouterr().err
