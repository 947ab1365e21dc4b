"""Where the time of an evaluation goes: media, encoders, the language model, and the rest."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from omni.model import OmniModel
from omni.model.encoder_stack import ENCODER, LLM, MEDIA
from omni.model.recent_features import RecentFeatures
from omni.runtime.stopwatch import Stopwatch

REST = "rest"
PARTS = (MEDIA, ENCODER, LLM, REST)
TOTAL = "total"

_FEATURE_BYTES = 512 << 20  # of features that are kept for the next questions about the same media


@contextmanager
def timed(model: OmniModel) -> Iterator[dict[str, float]]:
    """Inside, the time of the model's parts is taken, and media that come again are not encoded again.

    Yields:
        The seconds of each of `PARTS` and of all together (`TOTAL`), filled when it ends.
    """
    seconds: dict[str, float] = {}
    before = model.stopwatch, model.recent_features
    stopwatch = model.stopwatch = Stopwatch(model.device)
    model.recent_features = RecentFeatures(_FEATURE_BYTES)
    started = time.perf_counter()
    try:
        yield seconds
    finally:
        model.stopwatch, model.recent_features = before
        found = stopwatch.seconds()  # waits for the device, so it comes before the end
        total = time.perf_counter() - started
        known = {part: found.get(part, 0.0) for part in PARTS if part != REST}
        # on a GPU the CPU may read media while the device computes, so that the parts are more than the whole
        seconds |= known | {REST: max(0.0, total - sum(known.values())), TOTAL: total}


def total_seconds(processes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the seconds of all processes together; `TOTAL` is that of the slowest one."""
    summed = {part: sum(one[part] for one in processes) for part in PARTS}
    return summed | {TOTAL: max(one[TOTAL] for one in processes)}


def speed_settings(seconds: Mapping[str, float], num_items: int) -> dict[str, object]:
    """Return what a result says of its speed; nothing where every answer was there already.

    Args:
        seconds: see `total_seconds`.
        num_items: the items that the model was asked about now.
    """
    if not num_items:
        return {}
    whole = sum(seconds[part] for part in PARTS)
    shares = {part: round(seconds[part] / whole, 3) if whole else 0.0 for part in PARTS}
    return {"items_per_second": round(num_items / max(seconds[TOTAL], 1e-9), 3), "time_shares": shares}
