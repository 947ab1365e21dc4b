"""The adapters that are compared, and the recipe that trains each of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omni.config import LLMConfig, ModalityConfig, ModelConfig
from omni.config.components import ComponentConfig
from omni.recipe.schema import DataConfig, Recipe, SourceConfig, TrainConfig

WARMUP_STEPS = 5

# Class name in `adapters` -> arguments; of like size where the kind allows it, for an LLM of some hundred million
# weights.
CONTENDERS: dict[str, dict[str, Any]] = {
    "Linear": {},
    "MLP": {"reduction": 2},
    "PooledMLP": {"num_tokens": 4, "hidden_dim": 512},
    "QFormer": {"num_queries": 16, "hidden_dim": 256, "num_layers": 4, "num_heads": 4, "intermediate_dim": 1024},
    "Resampler": {"num_queries": 16, "width": 256, "num_heads": 4},
    "GatedCrossAttention": {
        "every": 6,
        "num_queries": 16,
        "width": 256,
        "num_heads": 4,
        "feed_forward_ratio": 1.0,
    },
    "Experts": {
        "num_experts": 4,
        "top_k": 2,
        "route": "item",
        "expert": "adapters.PooledMLP",
        "expert_args": {"num_tokens": 4, "hidden_dim": 256},
    },
}


@dataclass(frozen=True)
class Budget:
    """How long each adapter trains: `steps`, or fewer where `seconds` are over before."""

    steps: int
    batch_size: int
    lr: float
    seconds: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Comparison:
    """What all contenders have in common: the LLM, the encoder of one modality, the training data and the budget."""

    llm: LLMConfig
    encoder: ComponentConfig
    modality: str
    data: SourceConfig
    budget: Budget

    def recipe(self, adapter: str, arguments: Mapping[str, Any], output_dir: Path, cache: Path) -> Recipe:
        """Return the recipe that trains `adapters.ADAPTER` with these arguments; features are kept in `cache`."""
        component = ComponentConfig(f"adapters.{adapter}", dict(arguments))
        modality = ModalityConfig(self.encoder, component, cue=f"{self.modality}: ")
        train = TrainConfig(
            output_dir=str(output_dir),
            seed=self.budget.seed,
            steps=self.budget.steps,
            batch_size=self.budget.batch_size,
            lr=self.budget.lr,
            warmup_steps=WARMUP_STEPS,
            schedule="constant",
            weight_decay=0.01,
            packing=True,
            num_workers=0,  # the memory that is measured is that of this process
            feature_cache=str(cache),
            log_every=1,  # losses and times are read from the lines of the log
        )
        model = ModelConfig(self.llm, {self.modality: modality}, system="")
        return Recipe(DataConfig([self.data]), train, model)
