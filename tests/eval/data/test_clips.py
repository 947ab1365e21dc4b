"""Clips of YouTube videos: the names that their files have, and whole videos that still need a cut."""

from pathlib import Path

import pytest

from eval.data.clips import clip_names, find_clip, window_options
from eval.data.files import Files
from tests.eval.data.official import sound, video


@pytest.mark.parametrize(
    "name",
    [
        "-aB_c.wav",
        "Y-aB_c.flac",
        "-aB_c_30.flac",
        "-aB_c_000030.mp4",
        "-aB_c_30000_40000.wav",
        "Y-aB_c_30.000_40.000.wav",
        "Y-aB_c_30_40.mp3",
    ],
)
def test_a_clip_is_found_under_the_names_that_people_give_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / name).touch()
    (tmp_path / "-aB_d.wav").touch()
    assert find_clip(Files(tmp_path), clip_names("-aB_c", 30.0, 40.0)).name == name


def test_a_clip_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"abc_30, Yabc_30, .*abc, Yabc .*\.wav.* is not in"):
        find_clip(Files(tmp_path), clip_names("abc", 30.0, 40.0))


def test_only_a_whole_video_is_cut(tmp_path: Path) -> None:
    clip, whole = (sound(tmp_path / f"{seconds}.wav", seconds=seconds, rate=8000) for seconds in (2.5, 9))
    assert window_options(clip, 4, 6) == {}
    assert window_options(whole, 4, 6) == {"options": {"start": 4.0, "end": 6.0}}
    assert window_options(video(tmp_path / "a.mp4", frames=28), 4, 6) == {"options": {"start": 4.0, "end": 6.0}}
    with pytest.raises(ValueError, match=r"9\.0 s long: neither the clip of 2 s nor a video that has the seconds 30"):
        window_options(whole, 30, 32)


def test_a_file_that_cannot_be_read_is_left_to_its_loader(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no sound")
    assert window_options(tmp_path / "a.wav", 4, 6) == {}
