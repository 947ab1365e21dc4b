"""Joint spaces and models in MTEB, MIEB, MAEB and MVEB (https://github.com/embeddings-benchmark/mteb)."""

from eval.plugins.mteb.model_encoder import ModelEncoder
from eval.plugins.mteb.space_encoder import SpaceEncoder

__all__ = ["ModelEncoder", "SpaceEncoder"]
