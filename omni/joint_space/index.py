"""Nearest neighbours among many embeddings, exactly by matrix product or through faiss.

A saved index is a folder: `embeddings.npy` (read a piece at a time, never whole), `ids.txt`, `index.json`, and
`index.faiss` where faiss was asked for.
Shapes: N embeddings, D width, B queries, K results.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from omni.encoders.fingerprint import accepted
from omni.joint_space.row_arrays import MemoryArray, RowArray, StoredArray
from omni.runtime.files import recover_directory, refuse_foreign, replace_directory

FORMAT_VERSION = 1
CHUNK_BYTES = 64 * 2**20  # of embeddings that are in memory at once while a saved index is searched
_FILES = {"embeddings.npy", "ids.txt", "index.json", "index.faiss"}
Backend = Literal["exact", "faiss"]


@dataclass(frozen=True)
class Hit:
    """One result: its id, its row in the index, and its cosine similarity to the query."""

    id: str
    row: int
    score: float


class EmbeddingIndex:
    """Unit embeddings with their ids; made by `build` or `load`."""

    def __init__(
        self,
        embeddings: RowArray,
        ids: list[str] | None,
        space: Mapping[str, str] | None,
        faiss_index: Any,
    ) -> None:
        self.embeddings = embeddings
        self.ids = ids
        self.space = space
        self.faiss_index = faiss_index
        self.faiss_factory: str | None = None

    @classmethod
    def build(
        cls,
        embeddings: Tensor | np.ndarray,
        ids: Sequence[str] | None = None,
        *,
        space: Mapping[str, str] | None = None,
        backend: Backend = "exact",
        dtype: Literal["float32", "float16"] = "float32",
        factory: str = "Flat",
    ) -> "EmbeddingIndex":
        """An index of embeddings [N, D].

        Args:
            ids: what the results are called; default: their row numbers.
            space: fingerprints of the joint space's modalities; no other space may search it.
            backend: exact = by matrix product; faiss = by the library of that name.
            dtype: float16 halves the file; scores change by less than 1e-3.
            factory: faiss' description of the index, such as Flat, HNSW32 or IVF4096,Flat.

        Raises:
            ValueError: no embeddings, or ids that do not go with them.
            ImportError: faiss is asked for and not installed.
        """
        values = np.ascontiguousarray(torch.as_tensor(embeddings).detach().cpu().float().numpy())
        if values.ndim != 2 or len(values) == 0:
            raise ValueError(f"an index needs embeddings [N, D] with N of at least 1, got {list(values.shape)}")
        if not np.isfinite(values).all():
            raise ValueError("an index needs finite embeddings; some of these are NaN or infinite")
        names = None if ids is None else [str(one) for one in ids]
        if names is not None:
            _check_ids(names, len(values))
        if dtype not in ("float32", "float16") or backend not in ("exact", "faiss"):
            raise ValueError(f"backend is exact or faiss, dtype float32 or float16; got {backend!r} and {dtype!r}")
        # Not in place: these may still be the caller's own numbers.
        values = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
        index = cls(MemoryArray(values.astype(dtype)), names, space, None)
        if backend == "faiss":
            index.faiss_factory = factory
            index.faiss_index = _build_faiss(values, factory)
        return index

    def __len__(self) -> int:
        return self.embeddings.shape[0]

    @property
    def dim(self) -> int:
        return self.embeddings.shape[1]

    def search(self, queries: Tensor | np.ndarray, k: int = 10) -> list[list[Hit]]:
        """For each query [B, D] its `k` nearest (all, if there are fewer), nearest first; ties by row.

        A saved index is read a piece at a time; what is held in memory is one piece.
        """
        found = torch.as_tensor(queries).detach().cpu().float()
        if found.ndim != 2 or found.shape[1] != self.dim:
            raise ValueError(f"queries must be [B, {self.dim}], got {list(found.shape)}")
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        found = torch.nn.functional.normalize(found, dim=-1)
        scores, rows = self._search_faiss(found, k) if self.faiss_index is not None else self._search_exactly(found, k)
        return [
            [
                Hit(str(row) if self.ids is None else self.ids[row], row, score)
                for row, score in zip(some_rows, some_scores, strict=True)
                if row >= 0
            ]
            for some_rows, some_scores in zip(rows.tolist(), scores.tolist(), strict=True)
        ]

    def check_space(self, fingerprints: Callable[[], Mapping[str, str]]) -> None:
        """Refuse to be searched by another space than that whose embeddings these are, or than some modalities of it.

        Raises:
            ValueError: it is another.
        """
        if self.space is None:
            return
        now = fingerprints()
        common = now.keys() & self.space.keys()
        if not common or any(self.space[name] not in accepted(now[name]) for name in common):
            raise ValueError(
                "the index holds embeddings of another joint space, or of this one before it was trained further: "
                "similarities to them mean nothing. Build it again with this space"
            )

    def save(self, directory: str | Path) -> None:
        """Write it to a folder, in one atomic step.

        Raises:
            ValueError: the folder holds something else than an index, which replacing it would delete.
        """
        refuse_foreign(Path(directory), _FILES)
        with replace_directory(Path(directory)) as temporary:
            self.write(temporary)

    def write(self, directory: Path) -> None:
        """Write its files into an existing folder."""
        dtype = self.embeddings.dtype
        with (directory / "embeddings.npy").open("wb") as file:
            header = {"descr": dtype.str, "fortran_order": False, "shape": (len(self), self.dim)}
            np.lib.format.write_array_header_1_0(file, header)
            for chunk in self.embeddings.chunks(CHUNK_BYTES):
                file.write(np.ascontiguousarray(chunk).data)
        if self.ids is not None:
            (directory / "ids.txt").write_text("".join(json.dumps(one) + "\n" for one in self.ids), encoding="utf-8")
        if self.faiss_index is not None:
            _faiss().write_index(self.faiss_index, str(directory / "index.faiss"))
        details = {"format_version": FORMAT_VERSION, "space": self.space, "faiss": self.faiss_factory}
        (directory / "index.json").write_text(json.dumps(details), encoding="utf-8")

    @classmethod
    def load(cls, directory: str | Path) -> "EmbeddingIndex":
        """Open what `save` wrote; the embeddings stay in their file.

        Raises:
            FileNotFoundError: no index there.
            ValueError: it is damaged.
            ImportError: it was built with faiss, which is not installed.
        """
        folder = Path(directory)
        recover_directory(folder)
        if not (folder / "index.json").is_file():
            raise FileNotFoundError(f"{folder} is no index: it has no index.json")
        try:
            details = json.loads((folder / "index.json").read_text(encoding="utf-8"))
            embeddings = StoredArray(folder / "embeddings.npy")
            ids = None
            if (folder / "ids.txt").is_file():
                lines = (folder / "ids.txt").read_text(encoding="utf-8").splitlines()
                ids = [json.loads(line) for line in lines]
                _check_ids(ids, embeddings.shape[0])
            if not isinstance(details, dict) or not isinstance(details.get("space"), dict | None):
                raise ValueError("index.json does not say whose embeddings these are")
        except (ValueError, EOFError, OSError) as error:
            raise ValueError(f"{folder} is damaged ({error}); build the index again") from error
        if details.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"{folder} has format_version {details.get('format_version')!r}; only 1 can be read")
        index = cls(embeddings, ids, details["space"], None)
        index.faiss_factory = details["faiss"]
        if index.faiss_factory is not None:
            index.faiss_index = _read_faiss(folder, embeddings.shape)
        return index

    def _search_exactly(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and rows [B, K] by one product after the other, merged."""
        scores = torch.empty(len(queries), 0)
        rows = torch.empty(len(queries), 0, dtype=torch.long)
        start = 0
        for chunk in self.embeddings.chunks(CHUNK_BYTES):
            values = torch.from_numpy(np.asarray(chunk, dtype=np.float32))
            # a stable sort of all would be exact in ties too, but takes many times as long as the product
            best, places = (queries @ values.T).topk(min(k, len(values)))
            scores, rows = torch.cat([scores, best], 1), torch.cat([rows, places + start], 1)
            start += len(values)
            order = rows.argsort(dim=1)
            scores, rows = scores.gather(1, order), rows.gather(1, order)
            order = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
            scores, rows = scores.gather(1, order), rows.gather(1, order)
        return scores, rows

    def _search_faiss(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        scores, rows = self.faiss_index.search(queries.numpy(), min(k, len(self)))
        return torch.from_numpy(scores), torch.from_numpy(rows)


def _check_ids(ids: Sequence[Any], count: int) -> None:
    if len(ids) != count:
        raise ValueError(f"{count} embeddings need as many ids, got {len(ids)}")


def _faiss() -> Any:
    try:
        import faiss  # pyright: ignore[reportMissingImports]  # an optional extra
    except ImportError as error:
        raise ImportError("an index of the backend faiss needs the extra faiss: pip install 'omni[faiss]'") from error
    return faiss


def _build_faiss(values: np.ndarray, factory: str) -> Any:
    faiss = _faiss()
    try:
        index = faiss.index_factory(values.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise ValueError(f"faiss does not know the factory {factory!r}; Flat and HNSW32 are examples") from error
    try:
        index.train(values)
    except RuntimeError as error:
        raise ValueError(
            f"faiss cannot make {factory!r} from {len(values)} embeddings ({_reason(error)}); Flat and HNSW32 take any"
        ) from error
    index.add(values)
    return index


def _read_faiss(folder: Path, shape: tuple[int, int]) -> Any:
    faiss = _faiss()
    try:
        index = faiss.read_index(str(folder / "index.faiss"), faiss.IO_FLAG_MMAP)
    except RuntimeError as error:
        raise ValueError(f"{folder / 'index.faiss'} is damaged ({_reason(error)}); build the index again") from error
    if (index.ntotal, index.d) != tuple(shape):
        raise ValueError(
            f"{folder / 'index.faiss'} is damaged: it has {index.ntotal} rows of {index.d} beside embeddings "
            f"{list(shape)}; build the index again"
        )
    return index


def _reason(error: RuntimeError) -> str:
    """What faiss says, without the C++ signature before it."""
    return str(error).rpartition("Error: ")[2].strip()
