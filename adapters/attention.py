"""Multi-head attention over real keys only, as the query-based adapters need it.

Shapes: B batch, K keys, Q queries, H heads, D width.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor, nn
from torch.nn import functional

# It belongs to the thread that asked, so that others who run the same adapter meanwhile leave nothing in its list.
_RECORD: ContextVar[list[Tensor] | None] = ContextVar("attention_record", default=None)


@contextmanager
def recorded_attention() -> Iterator[list[Tensor]]:
    """Yield a list that gets the weights [B, Q, K] of every attention that runs inside, in their order."""
    record: list[Tensor] = []
    token = _RECORD.set(record)
    try:
        yield record
    finally:
        _RECORD.reset(token)


def attendable(mask: Tensor) -> Tensor:
    """A key mask [B, K] that leaves no row without a key.

    Softmax over no key at all is undefined (NaN before torch 2.5; zero on CPU since), so an item without a single
    real feature attends to all its (zeroed) features instead; its tokens are masked afterwards.
    """
    return mask | ~mask.any(dim=1, keepdim=True)


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention with separate query, key and value projections (Vaswani et al. 2017).

    Projects the queries' width D to itself, and keys and values from `key_dim`; no output projection, which the
    callers combine with their own norm and residual.
    """

    def __init__(self, width: int, key_dim: int, num_heads: int, dropout: float, bias: bool = True) -> None:
        super().__init__()
        if num_heads < 1 or width % num_heads != 0:
            raise ValueError(f"the attention width {width} must be a multiple of num_heads, got num_heads={num_heads}")
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(key_dim, width, bias=bias)
        self.value = nn.Linear(key_dim, width, bias=bias)

    def forward(self, queries: Tensor, keys: Tensor, key_mask: Tensor | None) -> Tensor:
        """[B, Q, D], [B, K, key_dim], [B, K] or [B, Q, K] bool (True = attend; None = to all) -> [B, Q, D]."""
        record = _RECORD.get()
        if record is not None:
            record.append(self.weights(queries, keys, key_mask))
        if key_mask is not None:
            key_mask = _for_heads(key_mask)
        attended = functional.scaled_dot_product_attention(
            self._split_heads(self.query(queries)),
            self._split_heads(self.key(keys)),
            self._split_heads(self.value(keys)),
            attn_mask=key_mask,
            dropout_p=self.dropout if self.training else 0.0,
        )  # [B, H, Q, D / H]
        return attended.transpose(1, 2).flatten(2)

    def weights(self, queries: Tensor, keys: Tensor, key_mask: Tensor | None) -> Tensor:
        """Return the weights of `forward`, without dropout, as the mean over heads: [B, Q, K], rows sum to 1."""
        query, key = self._split_heads(self.query(queries)), self._split_heads(self.key(keys))
        scores = query.float() @ key.float().transpose(-2, -1) / query.shape[-1] ** 0.5  # [B, H, Q, K]
        if key_mask is not None:
            scores = scores.masked_fill(~_for_heads(key_mask), float("-inf"))
        return scores.softmax(-1).mean(1)

    def _split_heads(self, states: Tensor) -> Tensor:
        return states.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


def _for_heads(key_mask: Tensor) -> Tensor:
    """[B, K] or [B, Q, K] -> [B, 1, 1 or Q, K]."""
    return key_mask[:, None] if key_mask.ndim == 3 else key_mask[:, None, None]
