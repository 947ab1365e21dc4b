"""Seeds that depend on a place in the run alone, so that no state of random generators has to be saved."""

from accelerate.utils import set_seed


def seed_everything(*parts: int) -> None:
    """Seed Python, NumPy and torch (all devices) from `parts`.

    Called before every forward pass with the seed, the step and the place in the global batch: so dropout depends on
    nothing else, and resuming or another number of processes gives the very same numbers without saved generators.
    """
    seed = 0
    for part in parts:
        seed = (seed * 1_000_003 + part + 1) % 2**31
    set_seed(seed)
