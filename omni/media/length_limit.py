"""The most seconds that a sound or a video may last, where somebody has set a limit: a server does."""

import os

from omni.media.errors import MediaError

SECONDS_LIMIT_VARIABLE = "OMNI_MAX_MEDIA_SECONDS"


def check_seconds(seconds: float, name: str) -> None:
    """Raise MediaError if what is to be read of a sound or a video lasts longer than the limit, if there is one."""
    limit = seconds_limit()
    if limit is not None and seconds > limit:
        raise MediaError(name, f"lasts more than {limit:g} seconds; send a part of it (options start and end)")


def seconds_limit() -> float | None:
    """Return the limit in seconds that the environment variable sets; None without one.

    Raises:
        ValueError: it is no number above 0.
    """
    text = os.environ.get(SECONDS_LIMIT_VARIABLE)
    if not text:
        return None
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not limit > 0:
        raise ValueError(
            f"the environment variable {SECONDS_LIMIT_VARIABLE} must be a number of seconds above 0, got {text!r}"
        )
    return limit
