"""Golden numbers: inputs, weights and outputs of reference implementations (see each file's notes)."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

FOLDER = Path(__file__).parent / "golden"
TOLERANCE = 1e-5  # of the largest absolute value: a wrong GELU or epsilon moves the result by 2e-5 to 3e-4


class Golden:
    """One golden file."""

    def __init__(self, name: str) -> None:
        self.details: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
        self._tensors = load_file(FOLDER / f"{name}.safetensors")
        self.weights = self._under("weights.")
        self.inputs = self._under("input.")
        self.outputs = self._under("output.")

    def drawn_input(self, name: str) -> Tensor:
        """An input that is not stored but drawn again, checked by its sum."""
        recipe = self.details["inputs_recipe"][name]
        drawn = torch.randn(recipe["shape"], generator=torch.Generator().manual_seed(recipe["seed"]))
        assert abs(float(drawn.double().sum()) - recipe["check"]["sum"]) < 0.1
        return drawn

    def assert_equals(self, name: str, actual: Tensor) -> None:
        """`actual` is the output of that name: within 1e-5 of its largest absolute value."""
        expected = self.outputs[name]
        assert actual.shape == expected.shape, (name, actual.shape, expected.shape)
        worst = float((actual - expected).abs().max() / expected.abs().max())
        assert worst <= TOLERANCE, f"{name} is off by {worst:.1e} of its scale"

    def _under(self, prefix: str) -> dict[str, Tensor]:
        return {key[len(prefix) :]: value for key, value in self._tensors.items() if key.startswith(prefix)}
