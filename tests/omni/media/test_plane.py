"""The numbers of a file of one channel are those that its format says, of every number type."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omni.media import Media, MediaError
from omni.media.depth import load_depth
from omni.media.frames import load_frames
from omni.media.image import load_image
from omni.media.plane import load_plane
from omni.media.thermal import load_thermal

FORMATS = {"u": 1, "i": 2, "f": 3}


def tiff(
    values: np.ndarray,
    *,
    photometric: int = 1,
    order: str = "<",
    compression: int = 1,
    predictor: int = 1,
    tile: int = 0,
    big: bool = False,
    orientation: int = 1,
) -> bytes:
    """Return a TIFF, `[H, W]` or `[H, W, C]`, of one strip, or of tiles in one row."""
    values = values.astype(values.dtype.newbyteorder(order))
    height, width = values.shape[:2]
    samples = values.shape[2] if values.ndim == 3 else 1
    bits, form = values.dtype.itemsize * 8, FORMATS[values.dtype.kind]
    pieces = [values]
    if tile:
        padded = np.zeros((tile, -(-width // tile) * tile, *values.shape[2:]), values.dtype)
        padded[:height, :width] = values
        pieces = np.split(padded, padded.shape[1] // tile, axis=1)
    packed = [_packed(piece, samples, compression, predictor) for piece in pieces]
    tags = {256: width, 257: height, 258: bits, 259: compression, 262: photometric, 274: orientation, 277: samples}
    tags |= {317: predictor, 339: form}
    start = 16 if big else 8
    starts = [start + sum(map(len, packed[:index])) for index in range(len(packed))]
    lists: dict[int, list[int]] = {324: starts, 325: [*map(len, packed)]} if tile else {273: starts}
    tags |= {322: tile, 323: tile} if tile else {278: height}
    lists |= {} if tile else {279: [len(packed[0])]}
    body = b"".join(packed)
    for tag, numbers in lists.items():
        tags[tag] = numbers[0] if len(numbers) == 1 else start + len(body)
        body += struct.pack(f"{order}{len(numbers)}I", *numbers) if len(numbers) > 1 else b""
    body += bytes(len(body) % 2)
    head = b"II" if order == "<" else b"MM"
    at = start + len(body)
    head += struct.pack(order + "HHHQ", 43, 8, 0, at) if big else struct.pack(order + "HI", 42, at)
    table = struct.pack(order + ("Q" if big else "H"), len(tags))
    for tag in sorted(tags):
        count = len(lists.get(tag, [0]))
        table += struct.pack(order + ("HHQI4x" if big else "HHII"), tag, 4, count, tags[tag])
    return head + body + table + bytes(8)


def _packed(piece: np.ndarray, samples: int, compression: int, predictor: int) -> bytes:
    pixels = piece.reshape(len(piece), -1, samples)
    if predictor == 2:
        unsigned = pixels.view(f"{piece.dtype.byteorder}u{piece.dtype.itemsize}")
        pixels = unsigned.copy()
        pixels[:, 1:] -= unsigned[:, :-1]
    elif predictor == 3:
        big_end = pixels.astype(piece.dtype.newbyteorder(">")).reshape(len(piece), -1)
        planes = big_end.view(np.uint8).reshape(len(piece), -1, piece.dtype.itemsize).transpose(0, 2, 1)
        flat = np.ascontiguousarray(planes).reshape(len(piece), -1, samples)
        pixels = flat.copy()
        pixels[:, 1:] -= flat[:, :-1]
    content = np.ascontiguousarray(pixels).tobytes()
    return zlib.compress(content) if compression == 8 else content


NUMBERS = {
    "u1": [7, 250],
    "i1": [-5, 5],
    "u2": [7, 60000],
    "i2": [-300, 300],
    "u4": [5, 4_000_000_000],
    "i4": [-70000, 70000],
    "u8": [5, 1 << 40],
    "f2": [0.5, 3.25],
    "f4": [0.5, 3.25],
    "f8": [0.5, 1 / 3],
}


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_gives_the_numbers_of_every_type(kind: str, order: str) -> None:
    values = np.array([NUMBERS[kind], NUMBERS[kind][::-1]], kind)
    for options in ({}, {"compression": 8}, {"big": order == "<"}, {"photometric": 0}):  # Pillow reads no other BigTIFF
        found = load_plane(tiff(values, order=order, **options))
        assert found.tolist() == values.tolist(), options


@pytest.mark.parametrize(("kind", "predictor"), [("u4", 2), ("i2", 2), ("f4", 2), ("f4", 3), ("f2", 3), ("f8", 3)])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tile", [0, 16])
def test_tiff_of_differences_and_tiles_gives_the_numbers(kind: str, predictor: int, order: str, tile: int) -> None:
    values = (np.random.default_rng(0).normal(size=(9, 37)) * 500).astype(kind)
    data = tiff(values, order=order, compression=8, predictor=predictor, tile=tile)
    np.testing.assert_array_equal(load_plane(data), values)


def test_tiff_that_pillow_writes_and_turns_is_read_alike() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        file = io.BytesIO()
        Image.fromarray(values).save(file, "TIFF", compression=compression)
        np.testing.assert_array_equal(load_plane(file.getvalue()), values)
    turns = {2: values[:, ::-1], 3: values[::-1, ::-1], 4: values[::-1], 5: values.T, 6: np.rot90(values, -1)}
    turns |= {7: values.T[::-1, ::-1], 8: np.rot90(values)}
    for orientation, right in turns.items():
        np.testing.assert_array_equal(load_plane(tiff(values.astype("f8"), orientation=orientation)), right)


def test_zero_is_white_where_a_tiff_says_so() -> None:
    for kind, top in (("u1", 255), ("u2", 65535), ("f4", 1), ("f8", 1)):
        values = np.array([[0, top]], kind)
        for order in "<>":
            image = load_image(tiff(values, photometric=0, order=order))
            assert [image.getpixel((x, 0)) for x in (0, 1)] == [(255,) * 3, (0,) * 3]
        thermal = load_thermal(Media("thermal", data=tiff(values, photometric=0), options={"scaling": "full"}))
        assert thermal.tolist() == [[1, 0]]
    # Counts and depth are measured values, however a viewer would show them.
    assert load_depth(tiff(np.array([[500, 1000]], "u2"), photometric=0)).tolist() == [[0.5, 1.0]]


def test_zero_is_white_in_every_page_of_a_tiff() -> None:
    pages = [np.full((4, 6), value, np.uint16) for value in (0, 65535, 257 * 100)]
    file = io.BytesIO()
    first, *others = map(Image.fromarray, pages)
    first.save(file, "TIFF", save_all=True, append_images=others)
    for photometric, right in ((1, [0, 255, 100]), (0, [255, 0, 155])):
        tag = struct.pack("<HHIH", 262, 3, 1, 1)
        assert file.getvalue().count(tag) == len(pages)
        data = file.getvalue().replace(tag, struct.pack("<HHIH", 262, 3, 1, photometric))
        assert load_image(data).getpixel((0, 0)) == (right[0],) * 3
        frames = load_frames(Media("video", data=data))
        assert [image.getpixel((5, 3))[0] for image in frames.images] == right  # type: ignore[index]
        assert [image.getpixel((5, 3))[0] for image in load_frames(data, 2).images] == [right[0], right[2]]


def test_colours_of_any_number_type_are_shown() -> None:
    colours = np.array([[[0, 0.5, 1], [1, 0, 0]]])
    for values in (colours.astype("f4"), colours, (colours * 65535).astype("u2")):
        image = load_image(tiff(values, photometric=2))
        assert [image.getpixel((x, 0)) for x in (0, 1)] == [pytest.approx((0, 128, 255), abs=1), (255, 0, 0)]


def test_a_damaged_tiff_is_an_error() -> None:
    data = tiff(np.ones((400, 400)), compression=8)
    with pytest.raises(MediaError):
        load_plane(data[: len(data) // 2])
    hollow = data[:8] + bytes(400) + data[408:]
    with pytest.raises(MediaError, match="damaged or cut off"):
        load_plane(hollow)


MILLIMETRES = np.array([[500, 1000, 2000, 4000]], ">u2").tobytes()


@pytest.mark.parametrize(
    "data",
    [
        *(b"P5\n4 1\n%d\n" % maximum + MILLIMETRES for maximum in (65535, 10000, 4095)),
        b"P5 # made by hand\n# twice\n4 1 #\n10000\n" + MILLIMETRES,
        b"P2\n4 1\n10000\n500 1000 # near\n2000 4000\n",
        b"P2 4 1 4095 500\t1000\r\n2000  4000",
    ],
)
def test_pgm_gives_the_stored_numbers(data: bytes) -> None:
    assert load_depth(data).tolist() == [[0.5, 1.0, 2.0, 4.0]]


def test_pgm_of_8_bits_and_its_white() -> None:
    data = b"P5\n3 1\n200\n" + bytes([0, 100, 200])
    assert load_plane(data).tolist() == [[0, 100, 200]]
    assert load_plane(data).dtype == np.uint8
    assert load_thermal(data).tolist() == [[0, 0.5, 1]]
    dark = b"P5\n2 1\n65535\n" + np.array([[200, 65535]], ">u2").tobytes()
    for picture, right in ((data, [0, 128, 255]), (dark, [1, 255]), (dark[:-2] + b"\0\0", [1, 0])):
        image = load_image(picture)
        assert [image.getpixel((x, 0)) for x in range(image.width)] == [(one,) * 3 for one in right]
    raw = b"P5\n2 1\n2047\n" + np.array([[500, 600]], ">u2").tobytes()
    assert load_depth(raw, encoding="nyu").tolist()[0] == pytest.approx([351.3 / 592.5, 351.3 / 492.5])


@pytest.mark.parametrize(
    "data",
    [
        b"P5\n4 1\n10000\n" + MILLIMETRES[:-1],
        b"P2\n2 1\n100\n5",
        b"P2\n2 1\n100\n5 x",
        b"P2\n2 1\n100\n5 101",
        b"P5\n2 1\n70000\n" + bytes(9),
        b"P5\n0 1\n255\n",
        b"P5\nfour",
    ],
)
def test_a_damaged_pgm_is_an_error(data: bytes) -> None:
    for load in (load_plane, load_image):
        with pytest.raises(MediaError, match="damaged"):
            load(data)


def test_frames_of_numbers_share_one_scale(tmp_path: Path) -> None:
    """A dark frame of a bright video stays dark."""
    frames = np.zeros((3, 4, 4, 3), np.float32)
    frames[1], frames[2] = 1.0, 200.0
    assert [image.getpixel((0, 0)) for image in load_frames(frames).images] == [(0,) * 3, (1,) * 3, (200,) * 3]
    assert [image.getpixel((0, 0)) for image in load_frames(frames, end=0.2).images] == [(0,) * 3, (1,) * 3]
    unit = frames / 200
    assert [image.getpixel((0, 0)) for image in load_frames(unit).images] == [(0,) * 3, (1,) * 3, (255,) * 3]
    paths = [tmp_path / f"{index}.tif" for index in range(3)]
    for form in (tiff, lambda values: encoded(values.astype("f4"))):
        for path, frame in zip(paths, frames[..., 0], strict=True):
            path.write_bytes(form(frame.astype("f8")))
        for source in (tmp_path, Media("video", path=[str(path) for path in paths])):
            shown = [image.getpixel((0, 0)) for image in load_frames(source).images]
            assert shown == [(0,) * 3, (1,) * 3, (200,) * 3]
    pictures = tuple(Image.fromarray(frame) for frame in frames[..., 0])
    shown = [image.getpixel((0, 0)) for image in load_frames(Media("video", data=pictures)).images]
    assert shown == [(0,) * 3, (1,) * 3, (200,) * 3]


def encoded(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "TIFF")
    return file.getvalue()
