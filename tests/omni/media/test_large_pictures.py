"""Large pictures are loaded one after the other, by threads and processes; others do not wait."""

import io
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from filelock import FileLock
from PIL import Image

from omni.media import Media, MediaError
from omni.media.image import load_image
from omni.media.large_pictures import LARGE, lock_file
from omni.media.thermal import load_thermal


def png(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("1", (side, side)).save(file, "PNG")
    return file.getvalue()


LARGE_PNG, SMALL_PNG = png(int(LARGE**0.5) + 1), png(500)


def load(loaded: "multiprocessing.Queue[tuple[int, int]]") -> None:
    loaded.put(load_image(LARGE_PNG).size)


def test_another_process_at_a_large_picture_is_waited_for() -> None:
    loaded: multiprocessing.Queue[tuple[int, int]] = multiprocessing.get_context("fork").Queue()
    process = multiprocessing.get_context("fork").Process(target=load, args=(loaded,))
    with FileLock(lock_file()):
        process.start()
        process.join(1)
        assert process.is_alive()
        assert load_image(SMALL_PNG).size == (500, 500)
    assert loaded.get(timeout=60)[0] > 4096
    process.join(60)


def test_threads_take_turns_and_errors_give_the_turn_back() -> None:
    begun = threading.Event()

    def load_large(_: int) -> int:
        begun.set()
        return load_image(LARGE_PNG).width

    with ThreadPoolExecutor(3) as pool:
        with FileLock(lock_file()):
            waiting = [pool.submit(load_large, index) for index in range(3)]
            assert begun.wait(60)
            assert not waiting[0].done()
        assert [one.result(60) > 4096 for one in waiting] == [True] * 3
    with pytest.raises(MediaError, match="damaged or cut off"):
        load_image(LARGE_PNG[:200])
    assert load_thermal(Media("thermal", data=LARGE_PNG)).shape[0] > 4096
