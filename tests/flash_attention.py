"""What flash-attn's functions compute, in plain torch: for tests of what is passed to them, on machines without a GPU.

Semantics from the docstrings of `flash_attn_func` and `flash_attn_varlen_func` (Dao 2023, arXiv:2307.08691; flash-attn
2.8): causal masks are aligned to the bottom right, windows hold `left` tokens before each and itself.

Shapes: T tokens of all samples, H heads, K heads of keys, D width of a head.
"""

import importlib.machinery
import sys
import types
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel, modeling_flash_attention_utils


class FlashAttention:
    """Stands in for flash-attn where transformers looks for it; remembers how it was called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.runs_here = True  # as if the tensors were on a GPU

        def dense(
            q: Tensor, k: Tensor, v: Tensor, softmax_scale: float, causal: bool, window_size: Any = (-1, -1)
        ) -> Tensor:
            self._called("dense")
            rows = zip(q, k, v, strict=True)
            return torch.stack([_attend(*row, softmax_scale, causal, window_size[0]) for row in rows])

        def varlen(
            q: Tensor,
            k: Tensor,
            v: Tensor,
            cu_seqlens_q: Tensor,
            cu_seqlens_k: Tensor,
            max_seqlen_q: int,
            max_seqlen_k: int,
            softmax_scale: float,
            causal: bool,
            window_size: Any = (-1, -1),
        ) -> Tensor:
            self._called("varlen")
            assert cu_seqlens_q.dtype == cu_seqlens_k.dtype == torch.int32
            queries, keys = cu_seqlens_q.diff().tolist(), cu_seqlens_k.diff().tolist()
            assert (max_seqlen_q, max_seqlen_k) == (max(queries), max(keys))
            parts = zip(q.split(queries), k.split(keys), v.split(keys), strict=True)
            return torch.cat([_attend(*part, softmax_scale, causal, window_size[0]) for part in parts])

        flash = modeling_flash_attention_utils
        process = flash._lazy_define_process_function(varlen)
        for name, value in {
            "_loaded_implementation": "flash_attention_2",
            "_flash_fn": dense,
            "_flash_varlen_fn": varlen,
            "_pad_fn": flash._pad_input,
            "_unpad_fn": flash._unpad_input,
            "_process_flash_kwargs_fn": process,
        }.items():
            monkeypatch.setattr(flash, name, value)
        monkeypatch.setattr(PreTrainedModel, "_flash_attn_can_dispatch", lambda *_, **__: True)
        module = types.ModuleType("flash_attn")
        module.__spec__ = importlib.machinery.ModuleSpec("flash_attn", None)
        monkeypatch.setitem(sys.modules, "flash_attn", module)

    def _called(self, function: str) -> None:
        if not self.runs_here:
            raise RuntimeError("FlashAttention only supports tensors on CUDA devices")
        self.calls.append(function)


def _attend(query: Tensor, key: Tensor, value: Tensor, scale: float, causal: bool, left: int) -> Tensor:
    """query [T, H, D], key and value [T, K, D] of one sample -> [T, H, D]."""
    assert causal
    length, seen = len(query), len(key)
    distance = torch.arange(length)[:, None] + seen - length - torch.arange(seen)
    visible = (distance >= 0) & (distance <= (left if left >= 0 else seen))
    heads = [part.transpose(0, 1) for part in (query, key, value)]
    found = torch.nn.functional.scaled_dot_product_attention(*heads, attn_mask=visible, scale=scale, enable_gqa=True)
    return found.transpose(0, 1)
