"""Pictures of every kind become the RGB one would see; everything broken is a MediaError that says why."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from omni.media.errors import MediaError
from omni.media.image import PIXEL_LIMIT_VARIABLE, load_image
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
