"""Pictures of every kind become the RGB one would see; everything broken is a MediaError that says why."""

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from omni.media.errors import MediaError
from omni.media.image import PICTURE_FORMATS, PIXEL_LIMIT_VARIABLE, load_image
from omni.samples.messages import Media


def encode(image: Image.Image, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def pixel(source, x: int = 0, y: int = 0) -> tuple[int, ...]:
    image = load_image(source)
    assert image.mode == "RGB"
    value = image.getpixel((x, y))
    assert isinstance(value, tuple)
    return value


def test_path_bytes_array_picture_and_media_give_the_same(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image = Image.fromarray(array)
    image.save(tmp_path / "x.png")
    data = encode(image)
    sources = [tmp_path / "x.png", str(tmp_path / "x.png"), data, array, array.transpose(2, 0, 1), image]
    sources += [Media("image", data=data), Media("image", path=str(tmp_path / "x.png"))]
    for source in sources:
        assert np.array_equal(np.asarray(load_image(source)), array)


def test_exif_orientation_is_applied() -> None:
    image = Image.new("RGB", (4, 2))
    image.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    loaded = load_image(encode(image, exif=exif))
    assert loaded.size == (2, 4)
    assert loaded.getpixel((1, 0)) == (255, 0, 0)


def test_transparency_is_laid_on_white() -> None:
    assert pixel(encode(Image.new("RGBA", (1, 1), (255, 0, 0, 0)))) == (255, 255, 255)
    assert pixel(encode(Image.new("RGBA", (1, 1), (255, 0, 0, 51)))) == (255, 204, 204)
    assert pixel(encode(Image.new("LA", (1, 1), (0, 0)))) == (255, 255, 255)
    palette = Image.new("P", (1, 1))
    palette.putpalette([0, 0, 255] * 256)
    assert pixel(encode(palette)) == (0, 0, 255)
    assert pixel(encode(palette, transparency=0)) == (255, 255, 255)
    assert pixel(encode(Image.new("RGB", (1, 1), (1, 2, 3)), transparency=(1, 2, 3))) == (255, 255, 255)
    assert pixel(np.array([[[9, 9, 9, 0]]], np.uint8)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_not_cut() -> None:
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    for source in (values, encode(Image.fromarray(values)), encode(Image.fromarray(values), "TIFF")):
        assert np.asarray(load_image(source))[0, :, 0].tolist() == [0, 1, 128, 255]
    thirty_two = Image.fromarray(values.astype(np.int32))
    assert np.asarray(load_image(thirty_two))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_cmyk_grey_and_one_bit_become_rgb() -> None:
    cmyk = pixel(encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100))
    assert cmyk[0] > 200
    assert max(cmyk[1:]) < 60
    assert pixel(encode(Image.new("L", (1, 1), 77))) == (77, 77, 77)
    assert pixel(encode(Image.new("1", (1, 1), 1))) == (255, 255, 255)
    assert pixel(np.array([[True]])) == (255, 255, 255)


def test_float_arrays_in_unit_or_byte_range_are_understood() -> None:
    assert pixel(np.array([[[0.0, 0.5, 1.0]]])) == (0, 128, 255)
    assert pixel(np.array([[[0.0, 100.0, 255.0]]])) == (0, 100, 255)


def test_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (2, 2), color) for color in ("red", "blue")]
    for format in ("GIF", "PNG", "WEBP"):
        data = encode(frames[0], format, save_all=True, append_images=frames[1:])
        red, _, blue = pixel(data)
        assert red > 240
        assert blue < 15


def test_result_outlives_the_file(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2), "red").save(tmp_path / "x.png")
    image = load_image(tmp_path / "x.png")
    (tmp_path / "x.png").unlink()
    assert image.getpixel((1, 1)) == (255, 0, 0)


def test_pixel_limit_is_an_error_that_says_how_to_raise_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    data = encode(Image.new("L", (11, 10)))
    with pytest.raises(MediaError, match=rf"11 x 10 = 110 pixels, over the limit of 100.*{PIXEL_LIMIT_VARIABLE}"):
        load_image(data)
    with pytest.raises(MediaError, match=PIXEL_LIMIT_VARIABLE):
        load_image(encode(Image.new("L", (30, 10))))  # more than twice: Pillow's own error
    with pytest.raises(MediaError, match=PIXEL_LIMIT_VARIABLE):
        load_image(np.zeros((11, 10), np.uint8))
    monkeypatch.setenv(PIXEL_LIMIT_VARIABLE, "400")
    assert load_image(data).size == (11, 10)
    monkeypatch.setenv(PIXEL_LIMIT_VARIABLE, "many")
    with pytest.raises(ValueError, match="'many'"):
        load_image(data)


def test_broken_files_are_named_with_their_cause(tmp_path: Path) -> None:
    whole = encode(Image.effect_noise((64, 64), 50))
    cases = {
        "zero.png": (b"", "zero bytes"),
        "text.png": (b"just some words\n", "looks like a text file"),
        "cut.png": (whole[: len(whole) // 2], "damaged or cut off"),
        "sound.png": (b"OggS" + bytes(40), "starts like an Ogg file"),
        "pointer.png": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    }
    for name, (content, cause) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MediaError, match=cause) as caught:
            load_image(Media("image", path=str(tmp_path / name)))
        assert name in str(caught.value)
    with pytest.raises(MediaError, match="zero bytes"):
        load_image(b"")
    with pytest.raises(MediaError, match="folder"):
        load_image(tmp_path)


def test_missing_file_suggests_a_likely_one(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "Fox.PNG")
    with pytest.raises(MediaError, match=r"no such file; did you mean Fox\.PNG"):
        load_image(tmp_path / "fox.jpg")
    with pytest.raises(MediaError, match="does not exist either"):
        load_image(tmp_path / "nowhere" / "fox.jpg")


@pytest.mark.parametrize(
    ("array", "cause"),
    [
        (np.array([[np.nan]]), "NaN"),
        (np.array([[-1.0]]), "from -1 to"),
        (np.array([[70000]]), "to 70000"),
        (np.zeros(3), "must be an array"),
        (np.zeros((2, 2, 5)), "must be an array"),
        (np.zeros((0, 2)), "none of them 0"),
    ],
)
def test_arrays_without_a_meaning_as_picture_are_refused(array: np.ndarray, cause: str) -> None:
    with pytest.raises(MediaError, match=cause):
        load_image(array)


def test_frames_and_features_are_no_picture() -> None:
    picture = Image.new("RGB", (1, 1))
    with pytest.raises(MediaError, match="expected one picture, got 2"):
        load_image(Media("image", data=(picture, picture)))
    with pytest.raises(MediaError, match="PrecomputedFeatures"):
        load_image(Media("image", features=np.zeros(3)))


NOISE = Image.effect_noise((24, 24), 60).convert("RGB")
WHOLE = {format: encode(NOISE, format) for format in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP")}


@seed(0)
@settings(max_examples=120, deadline=None, database=None)
@given(st.sampled_from(sorted(WHOLE)), st.floats(0, 1), st.binary(max_size=8))
def test_cut_and_changed_bytes_load_or_raise_media_error(format: str, share: float, noise: bytes) -> None:
    data = WHOLE[format][: int(share * len(WHOLE[format]))] + noise
    try:
        image = load_image(data)
    except MediaError:
        return
    assert image.mode == "RGB"


def chunk(kind: bytes, body: bytes, checksum: int | None = None) -> bytes:
    crc = zlib.crc32(kind + body) if checksum is None else checksum
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def png(raw: bytes, bits: int, colour: int, before: bytes = b"", after: bytes = b"", width: int = 2) -> bytes:
    """Return a PNG of one row."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, colour, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" + raw))
    return b"\x89PNG\r\n\x1a\n" + header + before + data + after + chunk(b"IEND", b"")


TWO = bytes([255, 0, 255, 10, 20, 30])
LARGE = zlib.compress(b"a" * 2_000_000)


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"Comment\0\0" + LARGE),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LARGE),
        chunk(b"iCCP", b"icc\0\0" + LARGE),
        chunk(b"tEXt", b"Comment\0words", checksum=7),
        chunk(b"tIME", bytes(7), checksum=7),
        chunk(b"pHYs", bytes(9), checksum=7),
        chunk(b"pHYs", b"cut"),
        chunk(b"abCd", b"somebody's own", checksum=7),
    ],
    ids=["zTXt", "iTXt", "iCCP", "tEXt sum", "tIME sum", "pHYs sum", "pHYs cut", "own sum"],
)
def test_chunks_without_pixels_cost_no_picture(extra: bytes) -> None:
    for data in (png(TWO, 8, 2, before=extra), png(TWO, 8, 2, after=extra)):
        image = load_image(data)
        assert [image.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 255), (10, 20, 30)]


def test_damaged_pixels_of_a_png_are_still_told() -> None:
    extra = chunk(b"tEXt", b"Comment\0words", checksum=7)
    whole = png(np.random.default_rng(0).bytes(600), 8, 2, before=extra, width=200)
    assert load_image(whole).size == (200, 1)
    with pytest.raises(MediaError, match="starts like a PNG"):
        load_image(whole[:-30])
    header = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, 2, 0, 0, 0), checksum=7)
    with pytest.raises(MediaError):
        load_image(header + png(TWO, 8, 2)[33:])


def test_orientation_stays_where_other_chunks_are_dropped() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    extra = chunk(b"zTXt", b"Comment\0\0" + LARGE) + chunk(b"eXIf", exif.tobytes()[6:])
    assert load_image(png(TWO, 8, 2, before=extra)).size == (1, 2)


SMOOTH = Image.radial_gradient("L").resize((64, 64)).convert("RGB")


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 30}, {"subsampling": 0}])
def test_a_jpeg_without_its_end_mark_has_all_its_pixels(options: dict) -> None:
    for picture in (SMOOTH, NOISE):
        data = encode(picture, "JPEG", **options)
        whole = np.asarray(load_image(data))
        for cut in (data[:-2], data[:-1], data[:-2] + b"\0\0", data[:-2] + bytes(5000)):
            np.testing.assert_array_equal(np.asarray(load_image(cut)), whole)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_without_some_pixels_is_cut_off(options: dict) -> None:
    data = encode(Image.effect_noise((64, 64), 60).convert("RGB"), "JPEG", quality=90, **options)
    scans = [place for place in range(len(data)) if data[place : place + 2] == b"\xff\xda"]
    for end in (len(data) // 2, len(data) - 20, len(data) - 5, *scans[1:]):
        for cut in (data[:end], data[:end] + bytes(400)):
            with pytest.raises(MediaError, match="damaged or cut off"):
                load_image(cut)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}])
@pytest.mark.parametrize("restarts", [{"restart_marker_rows": 1}, {"restart_marker_blocks": 3}])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_cut_in_front_of_a_restart_mark_is_cut_off(options: dict, restarts: dict, mode: str) -> None:
    data = encode(Image.effect_noise((70, 45), 60).convert(mode), "JPEG", **options, **restarts)
    scan = data.rindex(b"\xff\xda")
    marks = [place for place in range(scan, len(data)) if data[place] == 255 and data[place + 1] & 0xF8 == 0xD0]
    assert len(marks) >= 2
    for place in (marks[0], marks[-1]):
        for filler in (b"", b"\0", bytes(4096)):
            with pytest.raises(MediaError, match="damaged or cut off"):
                load_image(data[:place] + filler)
    np.testing.assert_array_equal(np.asarray(load_image(data[:-2] + bytes(400))), np.asarray(load_image(data)))


def test_other_missing_end_marks_cost_no_pixels() -> None:
    assert pixel(encode(Image.new("RGB", (2, 2), "red"), "GIF")[:-1]) == (255, 0, 0)
    assert pixel(png(TWO, 8, 2)[:-12]) == (255, 0, 255)


@pytest.mark.parametrize(
    ("bits", "colour", "raw", "key", "seen"),
    [
        (1, 0, b"\x40", 1, [0, 255]),
        (2, 0, b"\x60", 1, [255, 170]),
        (4, 0, b"\x36", 3, [255, 102]),
        (8, 0, b"\x03\x06", 3, [255, 6]),
        (16, 0, b"\x12\x34\x12\xff", 0x1234, [255, 19]),
        (8, 2, bytes([3, 3, 3, 6, 6, 6]), 3, [255, 6]),
        (16, 2, b"\x12\x34" * 3 + b"\x12\xff" * 3, 0x1234, [255, 19]),
    ],
)
def test_the_transparent_colour_has_the_bits_of_the_file(
    bits: int, colour: int, raw: bytes, key: int, seen: list[int]
) -> None:
    data = png(raw, bits, colour, before=chunk(b"tRNS", struct.pack(">H", key) * (3 if colour == 2 else 1)))
    assert [load_image(data).getpixel((x, 0)) for x in (0, 1)] == [(one,) * 3 for one in seen]
    if bits < 16:
        opened = Image.open(io.BytesIO(data))
        assert [load_image(opened).getpixel((x, 0)) for x in (0, 1)] == [(one,) * 3 for one in seen]


def profile(primaries: list[tuple[float, float, float]], gamma: float = 2.2, space: bytes = b"RGB ") -> bytes:
    """Return an ICC profile of version 2 of these primaries (XYZ of D50), or of grey."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    white = (0.9642, 1.0, 0.8249)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = [(b"wtpt", b"XYZ \0\0\0\0" + fixed(*white)), (b"cprt", b"text\0\0\0\0cc0\0")]
    tags += [(b"desc", b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(80))]
    for name, primary in zip((b"r", b"g", b"b"), primaries, strict=False):
        tags += [(name + b"XYZ", b"XYZ \0\0\0\0" + fixed(*primary)), (name + b"TRC", curve)]
    tags += [] if primaries else [(b"kTRC", curve)]
    table, content, start = b"", b"", 132 + 12 * len(tags)
    for name, value in tags:
        table += name + struct.pack(">II", start + len(content), len(value))
        content += value + bytes(-len(value) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(content), b"lcms", 0x02100000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(*white)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + content


SRGB = [(0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141)]
DISPLAY_P3 = [(0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407)]
ADOBE_RGB = [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)]


@pytest.mark.parametrize(
    ("primaries", "right"),
    [(DISPLAY_P3, (219, 37, 49)), (ADOBE_RGB, (231, 57, 57)), ([SRGB[1], SRGB[2], SRGB[0]], (58, 201, 57))],
)
def test_colours_of_a_profile_become_srgb(primaries: list, right: tuple[int, int, int]) -> None:
    own = profile(primaries)
    red = Image.new("RGB", (16, 16), (200, 60, 60))
    palette = red.quantize(4)
    for data in (
        *(encode(red, form, icc_profile=own) for form in ("PNG", "TIFF")),
        encode(red, "JPEG", icc_profile=own, quality=100, subsampling=0),
        encode(red, "WEBP", icc_profile=own, lossless=True),
        encode(palette, icc_profile=own),
        encode(red.convert("RGBA"), icc_profile=own),
        encode(red, icc_profile=own, transparency=(1, 2, 3)),
    ):
        assert pixel(data) == pytest.approx(right, abs=4)
    inside = png(bytes([200, 60, 60]) * 2, 8, 2, before=chunk(b"iCCP", b"own\0\0" + zlib.compress(own)))
    wrong_time = chunk(b"tIME", bytes(7), checksum=7)  # the second opinion keeps the profile
    assert pixel(inside[:33] + wrong_time + inside[33:]) == pytest.approx(right, abs=4)


def test_profiles_of_grey_are_applied_and_others_change_nothing() -> None:
    linear = profile([], gamma=1.0, space=b"GRAY")
    grey = Image.new("L", (2, 2), 55)  # 0.216 of the light: 128 in sRGB
    assert pixel(encode(grey, icc_profile=linear))[0] == pytest.approx(128, abs=2)
    assert pixel(encode(Image.merge("LA", (grey, grey.point([255] * 256))), icc_profile=linear))[0] == pytest.approx(
        128, abs=2
    )
    sixteen = Image.fromarray(np.full((2, 2), 55 * 257, np.uint16))
    assert pixel(encode(sixteen, icc_profile=linear))[0] == pytest.approx(128, abs=2)
    red = Image.new("RGB", (2, 2), (200, 60, 60))
    for unfit in (
        linear,
        b"no profile",
        profile(SRGB),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    ):
        assert pixel(encode(red, icc_profile=unfit)) == pytest.approx((200, 60, 60), abs=3)


@pytest.mark.parametrize("top", [1.0, 1.0000001, 1.004, 1.05])
def test_floats_a_hair_beyond_their_range_are_cut_off(top: float) -> None:
    values = np.full((4, 4), 0.5, np.float32)
    values[0, :2] = top, 1 - top
    image = load_image(values)
    assert [image.getpixel((x, 0))[0] for x in range(3)] == [255, 0, 128]  # type: ignore[index]
    assert load_image(values * 255).getpixel((3, 3)) == (128, 128, 128)
    assert load_image(encode(Image.fromarray(values), "TIFF")).getpixel((3, 3)) == (128, 128, 128)


@pytest.mark.parametrize("ends", [(-2.1, 2.6), (-1.0, 1.0), (0.0, 1.5), (-0.5, 1.0), (-40.0, 300.0)])
def test_normalised_floats_are_refused_never_black(ends: tuple[float, float]) -> None:
    with pytest.raises(MediaError, match="scale them"):
        load_image(np.array([ends]))


@pytest.mark.parametrize("head", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"8BPS\0\1" + bytes(40)])
def test_only_the_documented_formats_are_opened(head: bytes, tmp_path: Path) -> None:
    """Pillow would start Ghostscript for an EPS of any name."""
    (tmp_path / "x.png").write_bytes(head)
    for source in (head, tmp_path / "x.png"):
        with pytest.raises(MediaError, match="not a picture that can be read"):
            load_image(source)
    icon = encode(Image.new("RGB", (16, 16)), "ICO")
    with pytest.raises(MediaError, match="not a picture that can be read"):
        load_image(icon)


def test_the_formats_that_are_opened_are_those_of_the_page() -> None:
    page = (Path(__file__).parents[3] / "docs/modalities/image.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith("| files |"))
    assert {*re.findall(r"\b[A-Z]{3,4}\b", row.upper().partition(";")[0])} == {*PICTURE_FORMATS}
