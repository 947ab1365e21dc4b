"""Animated pictures: every frame has its own duration, and is drawn as its format says."""

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import pytest
from PIL import Image

from omni.media import MediaError
from omni.media.frames import load_frames, load_frames_at
from omni.media.image import load_image

RED, LIME, BLUE, YELLOW, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 255, 255)
COLOURS = [RED, LIME, BLUE, YELLOW]
FORMS: dict[str, dict[str, Any]] = {"GIF": {}, "PNG": {}, "WEBP": {"lossless": True}, "AVIF": {"quality": 100}}


def animation(form: str, durations: Any, colours: Sequence[Any] = COLOURS, **options: Any) -> bytes:
    file = io.BytesIO()
    first, *rest = (Image.new("RGB", (16, 16), colour) for colour in colours)
    first.save(file, form, save_all=True, append_images=rest, duration=durations, **FORMS[form], **options)
    return file.getvalue()


def seen(images: Sequence[Image.Image]) -> list[tuple[int, ...]]:
    """Which colours these are."""
    return [
        min(COLOURS, key=lambda one: sum(abs(a - b) for a, b in zip(one, image.getpixel((0, 0)), strict=True)))  # type: ignore[arg-type]
        for image in images
    ]


def length_of(data: bytes) -> float:
    lengths: list[float] = []
    load_frames_at(data, lambda duration: [lengths.append(duration) or 0.0])
    return lengths[0]


@pytest.mark.parametrize("form", FORMS)
def test_the_last_frame_stays_as_long_as_it_says(form: str) -> None:
    data = animation(form, [100, 200, 300, 3000])
    assert load_frames(data).times.tolist() == pytest.approx([0, 0.1, 0.3, 0.6])
    assert length_of(data) == pytest.approx(3.6)
    assert seen(load_frames_at(data, lambda _: [0.0, 0.2, 0.5, 3.5]).images) == COLOURS
    assert seen(load_frames(data, sample_rate=2).images) == [RED, BLUE, YELLOW]
    assert seen(load_frames(data, start=2.0).images) == [YELLOW]
    assert seen(load_frames(data, start=2.0, end=3.0, sample_rate=5).images) == [YELLOW]
    with pytest.raises(MediaError, match=r"no frames from 3\.7 s on"):
        load_frames(data, start=3.7)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("milliseconds", "shown"), [(0, 0.1), (10, 0.1), (20, 0.02), (130, 0.13)])
def test_delays_of_ten_milliseconds_and_less_are_a_tenth_of_a_second(
    form: str, milliseconds: int, shown: float
) -> None:
    data = animation(form, milliseconds)
    assert load_frames(data).times.tolist() == pytest.approx([0, shown, 2 * shown, 3 * shown])
    assert length_of(data) == pytest.approx(4 * shown)


def test_frames_of_a_gif_with_tables_comments_and_no_delay() -> None:
    file = io.BytesIO()
    pictures = [Image.new("P", (16, 16), index) for index in range(3)]
    for index, picture in enumerate(pictures):
        picture.putpalette([index, 255 - index, 40 * index] * 64)
    pictures[0].save(
        file, "GIF", save_all=True, append_images=pictures[1:], comment=b"long " * 99, duration=[70, 0, 50]
    )
    assert load_frames(file.getvalue()).times.tolist() == pytest.approx([0, 0.07, 0.17])
    assert length_of(file.getvalue()) == pytest.approx(0.22)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


Pixels = Sequence[tuple[int, ...]]


def apng(frames: Sequence[tuple[int, Pixels, int, int]], hidden: Pixels | None = None, alpha: bool = False) -> bytes:
    """Return an animation of one row of four pixels; a frame is its left end, its pixels, disposal and blending."""
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 1, 8, 6 if alpha else 2, 0, 0, 0))
    data += chunk(b"acTL", struct.pack(">II", len(frames), 0))
    if hidden is not None:
        data += chunk(b"IDAT", packed(hidden))
    number = 0
    for index, (left, pixels, disposal, blending) in enumerate(frames):
        place = (number, len(pixels), 1, left, 0, 1, 10, disposal, blending)
        data += chunk(b"fcTL", struct.pack(">IIIIIHHBB", *place))
        number += 1
        if index == 0 and hidden is None:
            data += chunk(b"IDAT", packed(pixels))
        else:
            data += chunk(b"fdAT", struct.pack(">I", number) + packed(pixels))
            number += 1
    return data + chunk(b"IEND", b"")


def packed(pixels: Pixels) -> bytes:
    return zlib.compress(b"\0" + b"".join(map(bytes, pixels)))


def rows(data: bytes) -> list[list[tuple[int, ...]]]:
    images = load_frames(data).images
    return [[image.getpixel((x, 0)) for x in range(image.width)] for image in images]  # type: ignore[misc]


KEEP, CLEAR, RESTORE = 0, 1, 2
COPY, OVER = 0, 1


def test_what_is_disposed_of_becomes_transparent() -> None:
    assert rows(apng([(0, [RED] * 4, CLEAR, COPY), (0, [LIME], KEEP, COPY)])) == [[RED] * 4, [LIME] + [WHITE] * 3]
    part = [(0, [RED] * 4, KEEP, COPY), (1, [LIME] * 2, CLEAR, COPY), (3, [BLUE], KEEP, COPY)]
    assert rows(apng(part))[2] == [RED, WHITE, WHITE, BLUE]


def test_what_is_restored_leaves_no_trace() -> None:
    frames = [(0, [RED] * 4, KEEP, COPY), (0, [LIME] * 2, RESTORE, COPY), (3, [BLUE], KEEP, COPY)]
    assert rows(apng(frames)) == [[RED] * 4, [LIME] * 2 + [RED] * 2, [RED] * 3 + [BLUE]]
    first = [(0, [RED] * 4, RESTORE, COPY), (0, [LIME], KEEP, COPY)]
    assert rows(apng(first))[1] == [LIME] + [WHITE] * 3


def test_a_hidden_default_image_is_no_frame_and_shines_through_none() -> None:
    frames = [(1, [RED] * 2, KEEP, COPY), (0, [LIME], KEEP, COPY)]
    hidden = apng(frames, hidden=[BLUE] * 4)
    assert rows(hidden) == [[WHITE, RED, RED, WHITE], [LIME, RED, RED, WHITE]]
    assert load_frames(hidden).times.tolist() == pytest.approx([0, 0.1])
    assert load_image(hidden).getpixel((0, 0)) == BLUE  # as a picture it is what any PNG decoder shows
    glass = [(0, [(*RED, 255), (*RED, 0), (*RED, 255), (*RED, 255)], KEEP, OVER), (0, [(*LIME, 0)], KEEP, OVER)]
    assert rows(apng(glass, hidden=[(*BLUE, 255)] * 4, alpha=True))[1] == [RED, WHITE, RED, RED]
    still = animation("PNG", 100, [BLUE, RED, LIME], default_image=True)
    assert seen(load_frames(still).images) == [RED, LIME]
    assert seen(load_frames(Image.open(io.BytesIO(still))).images) == [RED, LIME]


def test_blending_lays_over_and_copying_replaces() -> None:
    half = (0, 0, 255, 128)
    for blending, right in ((OVER, pytest.approx((127, 0, 128), abs=1)), (COPY, pytest.approx((127, 127, 255), abs=1))):
        frames = [(0, [(*RED, 255)] * 4, KEEP, COPY), (1, [half], KEEP, blending)]
        assert rows(apng(frames, alpha=True))[1] == [RED, right, RED, RED]


def test_a_damaged_animation_is_an_error() -> None:
    frames = [(0, [RED] * 4, KEEP, COPY), (3, [LIME] * 2, KEEP, COPY)]
    with pytest.raises(MediaError, match="outside the picture"):
        load_frames(apng(frames))
    data = apng([(0, [RED] * 4, KEEP, COPY), (0, [LIME] * 4, KEEP, COPY)])
    with pytest.raises(MediaError):
        load_frames(data[: data.index(b"fdAT") + 10])
    with pytest.raises(MediaError):
        load_frames(animation("GIF", 100)[:60])
