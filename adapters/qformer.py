"""Q-Former: learned queries read the features through a BERT, with the instruction beside them if wanted.

Architecture of BLIP-2 (Li et al. 2023, arXiv 2301.12597, section 3.1) and, with instructions, of InstructBLIP
(Dai et al. 2023, arXiv 2305.06500, section 2.3). Published weights load through `adapters.qformer_keys`.
Shapes: B batch, N features, Q queries and media tokens, L instruction length, D hidden width.
"""

from collections.abc import Collection

import torch
from torch import Tensor, nn

from adapters.attention import MultiHeadAttention, attendable, recorded_attention
from adapters.attribution import normalised, through_features, through_states
from adapters.base import Adapter, Instruction, require_positive
from adapters.output_norm import output_norm
from adapters.qformer_names import PUBLISHED_MARK, is_needed, rename_qformer_keys

INITIALIZER_RANGE = 0.02  # standard deviation of BERT's initial weights (Devlin et al. 2019)


class QFormer(Adapter):
    """BLIP-2's Q-Former, with LayerNorm on the features (optional) and a projection to the language model.

    The default sizes are those of BERT-base, which every published Q-Former has. In each layer the queries and the
    instruction attend to each other; in every `cross_attention_frequency`-th layer, from the first, the queries
    attend to the features; queries and instruction have feed-forward layers of their own. The output of the
    instruction's rows is not used, so the last layer computes, and holds, nothing for them.

    Args:
        feature_dim: width of the encoder's features.
        llm_dim: width of the language model.
        num_queries: number of queries, and of tokens.
        hidden_dim: width D of the layers.
        num_layers: number of layers.
        num_heads: attention heads, a divisor of `hidden_dim`.
        intermediate_dim: width inside the feed-forward layers.
        cross_attention_frequency: 2 = cross-attention in layers 0, 2, 4, ...
        instruction_tokenizer: id or folder of the tokenizer of the instructions (published weights: bert-base-uncased
            with `[DEC]` added); None = no instructions, and no weights for them.
        vocab_size: number of that tokenizer's tokens.
        max_positions: longest instruction, in tokens, pads included.
        layer_norm_eps: epsilon of all LayerNorms but that on the features.
        feature_norm_eps: epsilon of that one; 1e-5 in LAVIS, 1e-6 in most models of transformers.
        dropout: probability, on attention weights and on what each sublayer adds (BLIP-2 trains with 0.1).
        feature_norm: LayerNorm on the features, as X-InstructBLIP; False where the encoder ends in one.
        embedding_rms: scale of the language model's embeddings, see `output_norm`; None = no output norm.

    Raises:
        ValueError: if an argument is out of range.
    """

    unpublished_weights = ("output_norm.",)

    def __init__(
        self,
        feature_dim: int,
        llm_dim: int,
        *,
        num_queries: int = 32,
        hidden_dim: int = 768,
        num_layers: int = 12,
        num_heads: int = 12,
        intermediate_dim: int = 3072,
        cross_attention_frequency: int = 2,
        instruction_tokenizer: str | None = None,
        vocab_size: int = 30523,
        max_positions: int = 512,
        layer_norm_eps: float = 1e-12,
        feature_norm_eps: float = 1e-5,
        dropout: float = 0.0,
        feature_norm: bool = True,
        embedding_rms: float | None = None,
    ) -> None:
        super().__init__(feature_dim, llm_dim)
        for name, value in (
            ("num_queries", num_queries),
            ("hidden_dim", hidden_dim),
            ("num_layers", num_layers),
            ("intermediate_dim", intermediate_dim),
            ("cross_attention_frequency", cross_attention_frequency),
            ("vocab_size", vocab_size),
            ("max_positions", max_positions),
        ):
            require_positive(name, value)
        if not feature_norm_eps > 0:
            raise ValueError(f"feature_norm_eps must be above 0, got {feature_norm_eps}")
        self.num_queries = num_queries
        self.instruction_tokenizer = instruction_tokenizer
        self.uses_instruction = instruction_tokenizer is not None

        self.feature_norm = nn.LayerNorm(feature_dim, eps=feature_norm_eps) if feature_norm else nn.Identity()
        self.query_tokens = nn.Parameter(torch.zeros(1, num_queries, hidden_dim))
        self.text_embeddings = TextEmbeddings(vocab_size, max_positions, hidden_dim) if self.uses_instruction else None
        self.embedding_norm = nn.LayerNorm(hidden_dim, eps=layer_norm_eps)
        self.embedding_dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            QFormerLayer(
                hidden_dim,
                num_heads,
                intermediate_dim,
                feature_dim=feature_dim if index % cross_attention_frequency == 0 else None,
                reads_text=self.uses_instruction and index < num_layers - 1,
                layer_norm_eps=layer_norm_eps,
                dropout=dropout,
            )
            for index in range(num_layers)
        )
        self.apply(_initialise_as_bert)
        nn.init.normal_(self.query_tokens, std=INITIALIZER_RANGE)
        self.projection = nn.Linear(hidden_dim, llm_dim)
        self.output_norm = output_norm(llm_dim, embedding_rms)

    def forward(
        self,
        features: Tensor,
        mask: Tensor | None = None,
        instruction: Instruction | None = None,
    ) -> tuple[Tensor, Tensor]:
        """[B, N, feature_dim], [B, N] -> [B, Q, llm_dim], [B, Q]; see `Adapter.forward`.

        All tokens of an item are real, unless it has no real feature: then none is. Without an instruction (None, or
        nothing but pads) an instruction-aware Q-Former runs on its queries alone.

        Raises:
            ValueError: also for an instruction of the wrong shape, too long, or with ids outside the vocabulary.
        """
        states, token_mask = self.read(features, mask, instruction)
        return self.finish_tokens(self.output_norm(self.projection(states)), token_mask)

    def read(self, features: Tensor, mask: Tensor | None, instruction: Instruction | None) -> tuple[Tensor, Tensor]:
        """The queries' last hidden states [B, Q, D], before the projection, and the token mask [B, Q]."""
        features, mask = self.prepare_features(features, mask)
        if features.shape[1] == 0:  # an attention needs one key, even a masked one
            features = features.new_zeros(len(features), 1, self.feature_dim)
            mask = mask.new_zeros(len(features), 1)
        features = self.feature_norm(features)

        states = self.query_tokens.expand(len(features), -1, -1)  # [B, Q, D]
        state_mask = None
        if self.text_embeddings is not None and instruction is not None:
            text = self.text_embeddings(instruction, batch=len(features))  # [B, L, D]
            states = torch.cat([states, text], dim=1)  # [B, Q + L, D]
            state_mask = torch.cat([mask.new_ones(len(mask), self.num_queries), instruction.mask], dim=1)
        states = self.embedding_dropout(self.embedding_norm(states))
        feature_mask = attendable(mask)
        for layer in self.layers:
            states = layer(states, state_mask, features, feature_mask, self.num_queries)
        return states, mask.any(dim=1, keepdim=True).expand(-1, self.num_queries)

    @torch.no_grad()
    def attribution(
        self, features: Tensor, mask: Tensor | None = None, instruction: Instruction | None = None
    ) -> Tensor | None:
        """Return the rollout of the attention of all layers, [B, Q, N]; see `Adapter` and `adapters.attribution`.

        Rows of the instruction hold no feature at first, and pass on what they read from the queries.
        """
        if features.shape[1] == 0:
            return features.new_zeros(len(features), self.num_queries, 0)
        with recorded_attention() as record:
            self.read(features, mask, instruction)
        _, mask = self.prepare_features(features, mask)
        weights = iter(record)
        attributed: Tensor | None = None  # [B, Q + L, N]
        for layer in self.layers:
            among_states = next(weights)
            if attributed is None:
                attributed = mask.new_zeros(len(mask), among_states.shape[-1], mask.shape[1]).float()
            attributed = through_states(attributed, among_states)
            if layer.cross_attention is not None:
                queries, text = attributed[:, : self.num_queries], attributed[:, self.num_queries :]
                attributed = torch.cat([through_features(queries, next(weights)), text], dim=1)
        assert attributed is not None
        return normalised(attributed[:, : self.num_queries], mask)

    def num_tokens(self, num_features: int) -> int:
        """The number of queries, whatever the number of features."""
        return self.num_queries

    def rename_published(self, names: Collection[str], *, modality: str | None = None) -> dict[str, str] | None:
        """Return, of the names in a published checkpoint, those that this Q-Former needs, each with its name here.

        None where `names` are not those of a published Q-Former; see `adapters.qformer_names`.

        Raises:
            ValueError: they are those of several Q-Formers, and `modality` names none of them.
        """
        if not any(PUBLISHED_MARK in name for name in names):
            return None
        renamed = rename_qformer_keys(names, modality=modality)
        return {name: ours for name, ours in renamed.items() if self.needs(ours)}

    def needs(self, name: str) -> bool:
        """Return whether a weight of that name, in this Q-Former or in a published one, can influence the output."""
        return is_needed(name, len(self.layers), self.uses_instruction)


class TextEmbeddings(nn.Module):
    """Word and position embeddings of the instruction; positions count real tokens only."""

    def __init__(self, vocab_size: int, max_positions: int, hidden_dim: int) -> None:
        super().__init__()
        self.word = nn.Embedding(vocab_size, hidden_dim)
        self.position = nn.Embedding(max_positions, hidden_dim)

    def forward(self, instruction: Instruction, batch: int) -> Tensor:
        """[B, L] ids and mask -> [B, L, D]."""
        token_ids, mask = instruction.token_ids, instruction.mask
        if token_ids.ndim != 2 or len(token_ids) != batch or mask.shape != token_ids.shape or mask.dtype != torch.bool:
            raise ValueError(
                f"an instruction for {batch} items must be ids [{batch}, length] and a bool mask of the same shape, "
                f"got ids {list(token_ids.shape)} and a {mask.dtype} mask {list(mask.shape)}"
            )
        if token_ids.shape[1] > self.position.num_embeddings:
            raise ValueError(
                f"an instruction padded to {token_ids.shape[1]} tokens is longer than the Q-Former's max_positions="
                f"{self.position.num_embeddings}: truncate it"
            )
        token_ids = token_ids.masked_fill(~mask, 0)
        if token_ids.device.type == "cpu":  # elsewhere looking at values would wait for the device
            self._check_vocabulary(token_ids)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        return self.word(token_ids) + self.position(positions)

    def _check_vocabulary(self, token_ids: Tensor) -> None:
        outside = token_ids[(token_ids < 0) | (token_ids >= self.word.num_embeddings)]
        if outside.numel():
            raise ValueError(
                f"instruction token id {int(outside[0])} is outside the Q-Former's vocab_size="
                f"{self.word.num_embeddings}: tokenise with its own instruction_tokenizer, not the LLM's"
            )


class QFormerLayer(nn.Module):
    """Self-attention of queries and text, cross-attention of the queries, and a feed-forward layer for each.

    `feature_dim` None makes a layer without cross-attention; `reads_text` False one without weights for text rows.
    """

    def __init__(
        self,
        hidden_dim: int,
        num_heads: int,
        intermediate_dim: int,
        *,
        feature_dim: int | None,
        reads_text: bool,
        layer_norm_eps: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention = AttentionBlock(hidden_dim, hidden_dim, num_heads, layer_norm_eps, dropout)
        self.cross_attention = (
            None if feature_dim is None else AttentionBlock(hidden_dim, feature_dim, num_heads, layer_norm_eps, dropout)
        )
        self.query_feed_forward = FeedForwardBlock(hidden_dim, intermediate_dim, layer_norm_eps, dropout)
        self.text_feed_forward = (
            FeedForwardBlock(hidden_dim, intermediate_dim, layer_norm_eps, dropout) if reads_text else None
        )

    def forward(
        self, states: Tensor, state_mask: Tensor | None, features: Tensor, feature_mask: Tensor, num_queries: int
    ) -> Tensor:
        """States [B, Q + L, D], features [B, N, feature_dim] -> [B, Q + L, D], or [B, Q, D] if no text is read."""
        wanted = states if self.text_feed_forward is not None else states[:, :num_queries]
        attended = self.attention(wanted, states, state_mask)
        queries, text = attended[:, :num_queries], attended[:, num_queries:]
        if self.cross_attention is not None:
            queries = self.cross_attention(queries, features, feature_mask)
        queries = self.query_feed_forward(queries)
        if self.text_feed_forward is None or text.shape[1] == 0:
            return queries
        return torch.cat([queries, self.text_feed_forward(text)], dim=1)


class AttentionBlock(nn.Module):
    """Attention, output projection, residual, LayerNorm after it (post-norm, as BERT)."""

    def __init__(self, hidden_dim: int, key_dim: int, num_heads: int, layer_norm_eps: float, dropout: float) -> None:
        super().__init__()
        self.heads = MultiHeadAttention(hidden_dim, key_dim, num_heads, dropout)
        self.output = nn.Linear(hidden_dim, hidden_dim)
        self.norm = nn.LayerNorm(hidden_dim, eps=layer_norm_eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, keys: Tensor, key_mask: Tensor | None) -> Tensor:
        """[B, Q, D], [B, K, key_dim], [B, K] bool -> [B, Q, D]."""
        return self.norm(queries + self.dropout(self.output(self.heads(queries, keys, key_mask))))


class FeedForwardBlock(nn.Module):
    """Linear, exact GELU, Linear, residual, LayerNorm after it."""

    def __init__(self, hidden_dim: int, intermediate_dim: int, layer_norm_eps: float, dropout: float) -> None:
        super().__init__()
        self.intermediate = nn.Linear(hidden_dim, intermediate_dim)
        self.output = nn.Linear(intermediate_dim, hidden_dim)
        self.activation = nn.GELU()
        self.norm = nn.LayerNorm(hidden_dim, eps=layer_norm_eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor) -> Tensor:
        """[B, Q, D] -> [B, Q, D]."""
        return self.norm(states + self.dropout(self.output(self.activation(self.intermediate(states)))))


def _initialise_as_bert(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=INITIALIZER_RANGE)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
