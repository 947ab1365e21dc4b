"""Take features from several layers of an encoder: layer 0 is the first block's input, layer k is block k's output.

Shapes: B clips, N features, D width of one layer.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

LAST = (-1,)


def parse_layers(layers: int | Sequence[int], num_blocks: int) -> tuple[int, ...]:
    """Check layer numbers as a recipe gives them and return them as they are; negative ones count from the last layer.

    Raises:
        ValueError: there are none, or one does not exist.
    """
    found = (layers,) if isinstance(layers, int) else tuple(layers)
    wrong = [layer for layer in found if not -num_blocks - 1 <= layer <= num_blocks]
    if wrong or not found:
        raise ValueError(f"layers is {list(found)}; allowed: numbers from 0 (before the first block) to {num_blocks}")
    return found


def layers_config(layers: Sequence[int]) -> dict[str, object]:
    """Return what the choice adds to an encoder's settings: nothing for the last layer alone, so caches stay valid."""
    return {} if tuple(layers) == LAST else {"layers": list(layers)}


def run_blocks(blocks: Sequence[Callable[[Tensor], Tensor]], tokens: Tensor, layers: Sequence[int]) -> Tensor:
    """Run tokens [B, N, D] through blocks; return the chosen layers, in their order, joined by width
    [B, N, D * len(layers)].

    Blocks after the last chosen layer do not run.
    """
    chosen = [layer % (len(blocks) + 1) for layer in layers]
    states = {0: tokens}
    for number in range(1, max(chosen) + 1):
        tokens = blocks[number - 1](tokens)
        if number in chosen:
            states[number] = tokens
    return states[chosen[0]] if len(chosen) == 1 else torch.cat([states[number] for number in chosen], dim=-1)
