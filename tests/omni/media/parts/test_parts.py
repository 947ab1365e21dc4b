"""Hidden parts are gone, everything else stays, and every kind can be drawn."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from omni.media.frames import load_frames
from omni.media.image import load_image
from omni.media.imu import load_imu
from omni.media.item import Media
from omni.media.mesh import load_mesh
from omni.media.parts import MediaParts, cut
from omni.media.sound import load_sound

GENERATOR = np.random.default_rng(0)
PIXELS = GENERATOR.integers(0, 255, (30, 40, 3)).astype(np.uint8)
SOUND = GENERATOR.normal(size=8000).astype(np.float32) * 0.1
POINTS = GENERATOR.normal(size=(300, 3))
IMU = GENERATOR.normal(size=(400, 6)).astype(np.float32) * 3
MEDIA = {
    "picture": Media("image", data=Image.fromarray(PIXELS)),
    "depth": Media("depth", data=GENERATOR.random((20, 30)).astype(np.float32) + 1),
    "thermal": Media("thermal", data=GENERATOR.random((20, 30)).astype(np.float32)),
    "video": Media("video", data=tuple(Image.fromarray(PIXELS + np.uint8(i)) for i in range(6))),
    "sound": Media("sound", data=SOUND, sampling_rate=8000),
    "cloud": Media("cloud", data=POINTS),
    "imu": Media("imu", data=IMU, sampling_rate=200, options={"acceleration_unit": "m/s2"}),
    None: Media("sensor", data=GENERATOR.normal(size=(25, 3))),
    "features": Media("features", features=GENERATOR.normal(size=(5, 4)).astype(np.float32)),
}


def parts_of(kind: str | None, most: int = 9, bands: int = 1) -> MediaParts:
    parts = cut(MEDIA[kind], kind, most, bands)
    assert isinstance(parts, MediaParts)
    return parts


def one_hidden(parts: MediaParts, place: int) -> np.ndarray:
    hidden = np.zeros([axis.size for axis in parts.axes], dtype=bool)
    hidden.flat[place] = True
    return hidden


@pytest.mark.parametrize("kind", MEDIA)
def test_the_number_of_parts_is_bounded_and_each_can_be_drawn(kind: str | None) -> None:
    parts = parts_of(kind)
    shape = [axis.size for axis in parts.axes]
    assert 1 < np.prod(shape) <= 9
    figure = Figure()
    canvas = figure.add_subplot()
    parts.draw(canvas, GENERATOR.normal(size=shape), 1.0)
    assert canvas.has_data()
    assert parts.aspect > 0


def test_a_hidden_part_of_a_picture_has_its_mean_colour() -> None:
    parts = parts_of("picture", most=4)
    found = np.array(load_image(parts.hide(one_hidden(parts, 1))))
    assert (found[:15, 20:] == np.rint(PIXELS.mean((0, 1)))).all()
    found[:15, 20:] = PIXELS[:15, 20:]
    assert (found == PIXELS).all()


@pytest.mark.parametrize("kind", ["depth", "thermal"])
def test_a_hidden_part_of_measured_values_has_their_median(kind: str) -> None:
    parts, values = parts_of(kind, most=4), MEDIA[kind].data
    assert isinstance(values, np.ndarray)
    found = parts.hide(one_hidden(parts, 3)).data
    assert isinstance(found, np.ndarray)
    assert (found[10:, 15:] == np.sort(values, axis=None)[300]).all()
    assert (found[:10] == values[:10]).all()


def test_a_hidden_window_of_sound_is_silent() -> None:
    parts = parts_of("sound", most=4)
    found = load_sound(parts.hide(one_hidden(parts, 2)), None)
    assert (found.samples[4000:6000] == 0).all()
    assert np.array_equal(np.delete(found.samples, slice(4000, 6000)), np.delete(SOUND, slice(4000, 6000)))


def test_a_hidden_band_loses_its_frequencies_in_its_window_alone() -> None:
    times = np.arange(16000) / 16000
    low, high = np.sin(2 * np.pi * 200 * times), np.sin(2 * np.pi * 5000 * times)
    media = Media("sound", data=(low + high).astype(np.float32) / 4, sampling_rate=16000)
    parts = cut(media, "sound", 4, 2)
    assert parts is not None
    hidden = np.array([[False, True], [False, False]])  # the upper band of the first half
    found = load_sound(parts.hide(hidden), None).samples
    assert np.abs(found[1000:7000] - low[1000:7000] / 4).max() < 0.01
    assert np.array_equal(found[8000:], load_sound(media, None).samples[8000:])


def test_hidden_frames_have_the_mean_colour_of_the_video() -> None:
    parts = parts_of("video", most=6)
    found = load_frames(parts.hide(one_hidden(parts, 4)), 6).images
    before = load_frames(MEDIA["video"], 6).images
    assert len({*np.asarray(found[4]).reshape(-1, 3).sum(1).tolist()}) == 1
    assert all(np.array_equal(found[i], before[i]) for i in (0, 1, 2, 3, 5))


def test_hidden_points_are_taken_away_and_a_cloud_is_never_empty() -> None:
    parts = parts_of("cloud", most=8)
    hidden = one_hidden(parts, 0)
    kept = load_mesh(parts.hide(hidden)).vertices
    middle = (POINTS.max(0) + POINTS.min(0)) / 2
    assert np.allclose(kept, POINTS[~(middle > POINTS).all(1)])
    assert len(load_mesh(parts.hide(~hidden | True)).vertices) == 1


def test_a_hidden_span_of_a_curve_is_its_mean() -> None:
    parts, values = parts_of(None, most=5), MEDIA[None].data
    assert isinstance(values, np.ndarray)
    found = parts.hide(one_hidden(parts, 1)).data
    assert isinstance(found, np.ndarray)
    assert np.allclose(found[5:10], values.mean(0))
    assert np.array_equal(np.delete(found, slice(5, 10), 0), np.delete(values, slice(5, 10), 0))


def test_a_recording_of_motion_is_read_again_as_it_was() -> None:
    parts = parts_of("imu", most=4)
    whole = load_imu(parts.hide(np.zeros(4, dtype=bool)), 200).samples
    assert np.allclose(whole, load_imu(MEDIA["imu"], 200).samples, atol=1e-5)
    found = load_imu(parts.hide(one_hidden(parts, 0)), 200).samples
    assert np.ptp(found[:, :100]) < np.ptp(whole[:, :100])
    assert np.allclose(found[:, 100:], whole[:, 100:], atol=1e-5)


def test_what_cannot_be_cut_is_none_or_named() -> None:
    assert cut(Media("text", data=b"words"), None, 4) is None
    with pytest.raises(ValueError, match="medium is 'smell'; allowed: sound, picture"):
        cut(MEDIA["picture"], "smell", 4)
