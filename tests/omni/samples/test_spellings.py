"""Parts as OpenAI, Anthropic and Qwen-VL write them mean the same as the project's own."""

import base64
from typing import Any

import pytest

from omni.samples.messages import Media, SampleError, Text, parse_messages

PNG = b"\x89PNG\r\n\x1a\n"
TEXT = base64.b64encode(PNG).decode()


def part_of(part: dict[str, Any]) -> Text | Media:
    (message,) = parse_messages([{"role": "user", "content": [part]}])
    return message.content[0]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": TEXT}},
        {"type": "image", "source": {"type": "base64", "data": TEXT}, "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + TEXT, "detail": "high"}},
        {"type": "image_url", "image_url": "data:image/png;base64," + TEXT},
        {"type": "input_image", "image_url": "data:image/png;base64," + TEXT, "detail": "auto"},
        {"type": "image", "image_url": "data:image/png;base64," + TEXT},
        {"type": "image", "image": "data:image/png;base64," + TEXT, "resized_height": 280, "resized_width": 420},
        {"type": "image", "base64": TEXT, "min_pixels": 50176, "max_pixels": 50176},
    ],
)
def test_pictures_of_other_tools(part: dict[str, Any]) -> None:
    assert part_of(part) == Media("image", data=PNG)


@pytest.mark.parametrize(
    ("keys", "options"),
    [
        ({"fps": 1.0, "max_pixels": 151200, "min_frames": 4}, {"sample_rate": 1.0}),
        ({"nframes": "8"}, {"num_frames": 8}),
        ({"fps": 2, "max_frames": 16}, {"sample_rate": 2.0, "num_frames": 16}),
        ({"video_start": 1, "video_end": 3.5, "total_pixels": 9}, {"start": 1.0, "end": 3.5}),
        ({"fps": 2, "options": {"sample_rate": 5}}, {"sample_rate": 5}),
        ({"options": {"num_frames": 4}}, {"num_frames": 4}),
    ],
)
def test_keys_of_qwen_videos_are_options_of_the_loader(keys: dict[str, Any], options: dict[str, Any]) -> None:
    assert part_of({"type": "video", "video": "v.mp4", **keys}) == Media("video", path="v.mp4", options=options)


@pytest.mark.parametrize("key", ["fps", "sample_fps"])
def test_the_rate_of_a_list_of_frames_is_that_of_the_list(key: str) -> None:
    media = part_of({"type": "video", "video": ["a.jpg", "b.jpg"], key: "4"})
    assert media == Media("video", path=["a.jpg", "b.jpg"], options={"frames_per_second": 4.0})


def test_sounds_and_texts_of_other_tools() -> None:
    assert part_of({"type": "audio", "audio_url": "a.wav"}) == Media("audio", path="a.wav")
    assert part_of({"type": "audio_url", "audio_url": {"url": "a.wav"}}) == Media("audio", path="a.wav")
    wav = {"data": "data:;base64," + TEXT, "format": "wav"}
    assert part_of({"type": "input_audio", "input_audio": wav}) == Media("audio", data=PNG)
    assert part_of({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}) == Text("x")
    assert part_of({"type": "output_text", "text": "x", "annotations": []}) == Text("x")
    sized = {"type": "image_url", "image_url": {"url": "a.png"}, "options": {"key": 1}}
    assert part_of(sized) == Media("image", path="a.png", options={"key": 1})


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "'source' of type 'file' has no content here"),
        ({"type": "video", "video": "v.mp4", "fps": "often"}, "'fps' must be a number"),
        ({"type": "video", "video": "v.mp4", "nframes": 2.5}, "'nframes' must be a whole number"),
        ({"type": "input_audio", "input_audio": "x"}, "'input_audio' must be an object"),
        ({"type": "image", "image": "a.png", "fps": 1}, "unknown key 'fps'"),
        ({"type": "input_image", "file_id": "f"}, "unknown key 'file_id'"),
    ],
)
def test_parts_that_cannot_be_read_say_why(part: dict[str, Any], reason: str) -> None:
    with pytest.raises(SampleError, match=reason):
        part_of(part)
