"""Decodes one file again and again, in a process of its own, for `eval.speed.decoding`.

Run by its path, with the checkout that is measured on PYTHONPATH, so it imports only names that every version has. It
reads lines `KIND PATH SECONDS` and answers each with a line: CPU seconds of one decoding, or nan where the version
cannot decode the file.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

from omni.media.frames import load_frames
from omni.media.image import load_image
from omni.media.imu import load_imu
from omni.media.item import Media
from omni.media.mesh import load_points
from omni.media.sound import load_sound

LOADERS: dict[str, Callable[[Media], Any]] = {
    "image": load_image,
    "sound": load_sound,
    "video": lambda media: load_frames(media, 8),
    "point_cloud": lambda media: load_points(media, 8192),
    "imu": load_imu,
}


def seconds_of(kind: str, path: str, seconds: float) -> float:
    """Return the CPU seconds of one decoding, over as many as take `seconds` in all, and at least three."""
    load = LOADERS[kind]
    load(Media(kind, path))
    count, begin = 0, time.process_time()
    while count < 3 or time.process_time() - begin < seconds:
        load(Media(kind, path))
        count += 1
    return (time.process_time() - begin) / count


def main() -> None:
    """Answer the lines of standard input."""
    for line in sys.stdin:
        kind, path, seconds = line.rstrip("\n").split("\t")
        try:
            found = seconds_of(kind, path, float(seconds))
        except Exception as error:  # the other files can still be compared
            print(f"{path}: {error}", file=sys.stderr)
            found = float("nan")
        print(found, flush=True)


if __name__ == "__main__":
    main()
