"""The last step of every adapter: bring media tokens to the scale of the language model's own embeddings."""

import math

from torch import nn


def output_norm(llm_dim: int, embedding_rms: float | None) -> nn.Module:
    """RMSNorm over tokens [B, Q, llm_dim] whose gain starts at `embedding_rms`; identity when that is None.

    A frozen language model has only ever seen input embeddings of one scale, often far below 1 (a root mean square of
    about 0.02 to 0.1), while a fresh projection of normalised features gives about 0.6. Its first layers are pre-norm,
    so tokens that are too large are not an error there, but they drown what attention and feed-forward layers add to
    the residual stream: the model then hardly processes them, and training first has to shrink the projection.
    Starting at the embeddings' own scale saves those steps. RMSNorm: Zhang and Sennrich 2019, arXiv 1910.07467.

    Args:
        llm_dim: width of the language model.
        embedding_rms: root mean square over all entries of the language model's input embedding matrix.

    Raises:
        ValueError: if `embedding_rms` is not a positive finite number.
    """
    if embedding_rms is None:
        return nn.Identity()
    if not (math.isfinite(embedding_rms) and embedding_rms > 0):
        raise ValueError(f"embedding_rms must be a positive number, or None for no output norm; got {embedding_rms}")
    norm = nn.RMSNorm(llm_dim, eps=1e-6)
    nn.init.constant_(norm.weight, embedding_rms)
    return norm
