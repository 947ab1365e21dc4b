"""Indexes: exact, in pieces, from a file, in both number formats, and what is damaged."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from omni.joint_space import EmbeddingIndex
from omni.joint_space import index as index_module

EMBEDDINGS = F.normalize(torch.randn(301, 16, generator=torch.Generator().manual_seed(0)), dim=-1)
QUERIES = torch.randn(3, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_search_in_pieces_of_a_file_equals_sorting_all_scores(
    dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    EmbeddingIndex.build(EMBEDDINGS, dtype=dtype).save(tmp_path / "index")  # type: ignore[arg-type]
    monkeypatch.setattr(index_module, "CHUNK_BYTES", 1000)  # 15 rows or 31
    loaded = EmbeddingIndex.load(tmp_path / "index")
    stored = EMBEDDINGS if dtype == "float32" else EMBEDDINGS.half().float()
    scores = F.normalize(QUERIES, dim=-1) @ stored.T
    for hits, row in zip(loaded.search(QUERIES, k=40), scores, strict=True):
        best = row.topk(40)
        assert [hit.row for hit in hits] == best.indices.tolist()
        np.testing.assert_allclose([hit.score for hit in hits], best.values, atol=1e-6)
    assert len(loaded.search(QUERIES, k=1000)[0]) == 301


def test_ids_with_any_characters_survive_and_equal_scores_come_in_row_order(tmp_path: Path) -> None:
    names = ["a\nb", "ü \u2028", "c"]
    index = EmbeddingIndex.build(torch.ones(3, 4), ids=names)
    index.save(tmp_path / "index")
    hits = EmbeddingIndex.load(tmp_path / "index").search(torch.ones(1, 4), k=3)[0]
    assert [hit.id for hit in hits] == names


def test_building_an_index_leaves_the_given_embeddings_as_they_are() -> None:
    for given in (3 * EMBEDDINGS, (3 * EMBEDDINGS).numpy()):
        before = torch.as_tensor(given).clone()
        index = EmbeddingIndex.build(given)
        assert torch.equal(torch.as_tensor(given), before)
        np.testing.assert_allclose(np.concatenate([*index.embeddings.chunks(100)]), EMBEDDINGS, atol=1e-6)


def test_saving_never_deletes_what_is_no_index(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"also holds \['notes.txt'\], which saving would delete"):
        EmbeddingIndex.build(EMBEDDINGS).save(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    for rows in (EMBEDDINGS, EMBEDDINGS[:5]):
        EmbeddingIndex.build(rows, ids=[str(i) for i in range(len(rows))]).save(tmp_path / "index")
    assert len(EmbeddingIndex.load(tmp_path / "index")) == 5


def test_wrong_arguments_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="301 embeddings need as many ids, got 1"):
        EmbeddingIndex.build(EMBEDDINGS, ids=["a"])
    with pytest.raises(ValueError, match="NaN"):
        EmbeddingIndex.build(torch.tensor([[float("nan")]]))
    index = EmbeddingIndex.build(EMBEDDINGS)
    with pytest.raises(ValueError, match=r"queries must be \[B, 16\]"):
        index.search(torch.ones(1, 3))
    with pytest.raises(ValueError, match="k must be at least 1"):
        index.search(QUERIES, k=0)
    index.save(tmp_path / "index")
    file = tmp_path / "index" / "embeddings.npy"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(ValueError, match="is damaged"):
        EmbeddingIndex.load(tmp_path / "index")
    index.save(tmp_path / "other")
    (tmp_path / "other" / "index.json").write_text('{"format_version": 1, "space": "0123", "faiss": null}')
    with pytest.raises(ValueError, match=r"is damaged \(index.json does not say"):
        EmbeddingIndex.load(tmp_path / "other")
    with pytest.raises(FileNotFoundError, match="is no index"):
        EmbeddingIndex.load(tmp_path)


def test_without_faiss_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)  # what Python looks at first: not to be found
    with pytest.raises(ImportError, match=r"pip install 'omni\[faiss\]'"):
        EmbeddingIndex.build(EMBEDDINGS, backend="faiss")


def test_faiss_finds_what_the_exact_search_finds(tmp_path: Path) -> None:
    index = EmbeddingIndex.build(EMBEDDINGS, backend="faiss")
    index.save(tmp_path / "index")
    exact = EmbeddingIndex.build(EMBEDDINGS).search(QUERIES, k=5)
    for found in (index, EmbeddingIndex.load(tmp_path / "index")):
        rows = [[hit.row for hit in hits] for hits in found.search(QUERIES, k=5)]
        assert rows == [[hit.row for hit in hits] for hits in exact]


def test_what_faiss_cannot_build_or_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="faiss does not know the factory 'Nearest'"):
        EmbeddingIndex.build(EMBEDDINGS, backend="faiss", factory="Nearest")
    with pytest.raises(ValueError, match=r"faiss cannot make 'IVF99999,Flat' from \d+ embeddings"):
        EmbeddingIndex.build(EMBEDDINGS, backend="faiss", factory="IVF99999,Flat")
    EmbeddingIndex.build(EMBEDDINGS, backend="faiss").save(tmp_path / "index")
    EmbeddingIndex.build(EMBEDDINGS[:-1], backend="faiss").save(tmp_path / "other")
    file = tmp_path / "index" / "index.faiss"
    for content in (file.read_bytes()[:100], (tmp_path / "other" / "index.faiss").read_bytes(), None):
        file.unlink() if content is None else file.write_bytes(content)
        with pytest.raises(ValueError, match=r"index\.faiss is damaged"):
            EmbeddingIndex.load(tmp_path / "index")
