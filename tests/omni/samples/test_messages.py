"""Parsing of samples: what is accepted, and that each mistake is named with its sample and the way out."""

import base64
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omni.samples.messages import (
    Media,
    Message,
    Sample,
    SampleError,
    Text,
    TooLongError,
    check_answer,
    parse_messages,
    parse_sample,
    resolve_modality,
)


def user(*parts: object) -> dict:
    return {"role": "user", "content": list(parts)}


def row(*parts: object, answer: str = "A frog.") -> dict:
    return {"id": "stamp-17", "messages": [user(*parts), {"role": "assistant", "content": answer}]}


def only_media(part: dict, **options) -> Media:
    (media,) = parse_sample(row(part), **options).media
    return media


def test_row_of_the_design_parses_with_path_relative_to_the_manifest(tmp_path: Path) -> None:
    source = row({"type": "image", "path": "animals/frog.png"}, {"type": "text", "text": "What is this?"})
    sample = parse_sample({**source, "caption": "frog", "meta": {"category": "animals"}}, tmp_path, {"image"})
    image = Media("image", path=str(tmp_path / "animals/frog.png"))
    assert sample == Sample(
        "stamp-17",
        (Message("user", (image, Text("What is this?"))), Message("assistant", (Text("A frog."),))),
        {"category": "animals", "caption": "frog"},
    )
    assert pickle.loads(pickle.dumps(sample)) == sample


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "path": "x.png"},
        {"type": "image", "image": "x.png"},
        {"type": "image", "url": "x.png"},
        {"type": "image", "image": {"path": "x.png", "bytes": None}},
        {"type": "image_url", "image_url": {"url": "file:///data/x.png"}},
        {"type": "image", "path": "x.png", "bytes": None, "text": None},  # as tables give it
    ],
)
def test_all_spellings_of_a_path_mean_the_same(part: dict) -> None:
    assert only_media(part, base="/data") == Media("image", path="/data/x.png")


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "bytes": b"\x89PNG"},
        {"type": "image", "bytes": base64.b64encode(b"\x89PNG").decode()},
        {"type": "image", "image": {"bytes": b"\x89PNG", "path": "former-name.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()}},
    ],
)
def test_all_spellings_of_bytes_mean_the_same(part: dict) -> None:
    assert only_media(part) == Media("image", data=b"\x89PNG")


@pytest.mark.parametrize(
    "part",
    [
        {"type": "sound", "data": np.arange(4.0), "sampling_rate": 8000},
        {"type": "sound", "data": [0.0, 1.0, 2.0, 3.0], "sampling_rate": 8000},
        {"type": "sound", "data": (np.arange(4.0), 8000)},
        {"type": "audio", "audio": {"array": np.arange(4.0), "sampling_rate": 8000, "path": None}},
    ],
)
def test_all_spellings_of_a_sound_array_mean_the_same(part: dict) -> None:
    assert only_media(part, modalities={"sound"}) == Media("sound", data=np.arange(4.0), sampling_rate=8000)


def test_pictures_frames_and_features_are_accepted() -> None:
    picture = Image.new("RGB", (2, 2))
    assert only_media({"type": "image", "image": picture}).data is picture
    assert only_media({"type": "video", "video": [picture, picture]}).data == (picture, picture)
    assert only_media({"type": "video", "path": ["a.png", "b.png"]}, base="/d").path == ["/d/a.png", "/d/b.png"]
    features = only_media({"type": "imu", "features": "x.npy", "row": 3}, base="/d")
    assert features == Media("imu", features="/d/x.npy", row=3)


def test_openai_input_audio_is_decoded() -> None:
    part = {"type": "input_audio", "input_audio": {"data": base64.b64encode(b"RIFF").decode(), "format": "wav"}}
    assert only_media(part, modalities={"speech"}) == Media("speech", data=b"RIFF")


def test_parsed_messages_pass_through_unchanged() -> None:
    messages = parse_messages([user({"type": "image", "path": "x.png"}), {"role": "assistant", "content": "A frog."}])
    assert parse_messages(messages) == messages
    with pytest.raises(SampleError, match="unknown modality or part type 'image'; allowed are 'sound', 'text'"):
        parse_messages(messages, modalities={"sound"})


def test_audio_of_parsed_messages_is_resolved_when_the_modalities_are_known() -> None:
    messages = parse_messages([user({"type": "audio", "path": "x.wav"})])
    assert parse_messages(messages, modalities={"sound"})[0].media == (Media("sound", path="x.wav"),)


MISTAKES = [
    ({"id": "a"}, "'messages' is missing"),
    ({"messages": []}, "'id' must be a string or a number"),
    ({"id": True, "messages": []}, "'id' must be"),
    ({"id": "a", "messages": "hello"}, "must be a list of turns"),
    ({"id": "a", "messages": []}, "no user turn"),
    ({"id": "a", "messages": ["hello"]}, "must be an object with 'role'"),
    (
        {"id": "a", "messages": [{"role": "bot", "content": "x"}]},
        "unknown role 'bot'; allowed are system, user, assistant",
    ),
    ({"id": "a", "messages": [{"role": "user"}]}, "'content' of message 1 must be a string or a list"),
    ({"id": "a", "messages": [user()]}, "'content' of message 1 (user) is empty"),
    ({"id": "a", "messages": [user("x"), {"role": "system", "content": "y"}]}, "move it to the beginning"),
    (row(7), "part 1 must be an object"),
    (row({"text": "x"}), "has no 'type'"),
    (row({"type": "text", "text": 3}), "must hold only 'text'"),
    (
        row({"type": "smell", "path": "x"}),
        "unknown modality or part type 'smell'; allowed are 'image', 'sound', 'text'",
    ),
    (row({"type": "image"}), "has no content"),
    (row({"type": "image", "path": "x", "bytes": b"y"}), "has both 'path' and 'bytes'"),
    (row({"type": "image", "path": "x", "colour": "red"}), "unknown key 'colour'"),
    (row({"type": "image", "path": ""}), "the path is empty"),
    (row({"type": "image", "path": 5}), "'path' must be a file name"),
    (row({"type": "image", "path": []}), "'path' must be a file name"),
    (row({"type": "image", "url": "https://example.org/x.png"}), "nothing is downloaded here"),
    (row({"type": "image", "bytes": "no base64!"}), "not valid base64"),
    (row({"type": "image", "image_link": "x"}), "unknown key"),
    (row({"type": "image_url", "image_url": {}}), "must be a file name"),
    (row({"type": "image", "path": "x", "row": 1}), "'row' belongs to 'features' only"),
    (row({"type": "image", "features": "x.npy", "row": -1}), "'row' must be"),
    (row({"type": "sound", "data": [[1, 2], [3]]}), "expected an array of numbers"),
    (row({"type": "sound", "data": {"a": 1}}), "expected 'bytes', 'path' or 'array'"),
    (row({"type": "sound", "data": [0.0], "sampling_rate": float("inf")}), "positive whole number in Hz"),
    (row({"type": "sound", "data": [0.0], "sampling_rate": 0}), "positive whole number in Hz"),
    (row({"type": "sound", "path": "x", "options": 3}), "'options' must be an object"),
    ({**row({"type": "image", "path": "x"}), "meta": 3}, "'meta' must be an object"),
]


@pytest.mark.parametrize(("source", "reason"), MISTAKES, ids=[reason[:40] for _, reason in MISTAKES])
def test_mistake_is_an_error_that_names_sample_and_reason(source: dict, reason: str) -> None:
    with pytest.raises(SampleError) as caught:
        parse_sample(source, modalities={"image", "sound"})
    assert reason in caught.value.reason
    assert caught.value.sample_id in ("a", "stamp-17", "(no id)")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.sample_id, again.reason) == (caught.value.sample_id, caught.value.reason)


def test_an_error_of_a_kind_of_its_own_keeps_its_numbers_in_copies() -> None:
    error = TooLongError("a", "700 tokens are more than 512", 700, 512)
    for again in (pickle.loads(pickle.dumps(error)), error.bare()):
        assert isinstance(again, TooLongError)
        assert str(again) == "sample 'a': 700 tokens are more than 512"
        assert (again.num_tokens, again.limit) == (700, 512)


def test_row_that_is_no_object_is_an_error_with_the_default_id() -> None:
    with pytest.raises(SampleError, match=r"x\.jsonl:3.*expected an object"):
        parse_sample([1, 2], default_id="x.jsonl:3")  # type: ignore[arg-type]


def test_local_files_are_refused_where_strangers_write() -> None:
    for part in ({"type": "image", "path": "/etc/passwd"}, {"type": "image", "features": "/etc/x.npy"}):
        with pytest.raises(SampleError, match="local files are not allowed"):
            parse_messages([user(part)], allow_paths=False)
    assert parse_messages([user({"type": "image", "bytes": b"x"})], allow_paths=False)


def test_audio_means_the_one_of_sound_and_speech_that_is_allowed() -> None:
    assert resolve_modality("audio", {"image", "speech"}) == "speech"
    assert resolve_modality("audio", {"audio", "sound"}) == "audio"
    assert resolve_modality("audio", None) == "audio"
    with pytest.raises(ValueError, match="'sound' or 'speech'"):
        resolve_modality("audio", {"sound", "speech"})


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([user("x")], "no assistant turn"),
        ([user("x"), {"role": "assistant", "content": " \n"}], "answer is empty"),
        ([user("x"), {"role": "assistant", "content": []}], "answer is empty"),
        ([user("x"), {"role": "assistant", "content": "y"}, user("z")], "last turn is not the assistant's"),
    ],
)
def test_sample_without_answer_is_refused_for_training(messages: list, reason: str) -> None:
    with pytest.raises(SampleError, match=reason):
        check_answer(parse_sample({"id": 3, "messages": messages}))


def test_sample_with_answer_passes() -> None:
    check_answer(parse_sample(row({"type": "image", "path": "x"})))


def test_media_needs_exactly_one_source() -> None:
    with pytest.raises(ValueError, match="none of them"):
        Media("image")
    with pytest.raises(ValueError, match="path and data"):
        Media("image", path="x", data=b"y")


def test_hash_is_of_the_content_not_of_the_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"one")
    first, second = Media("image", path=str(tmp_path / "a")), Media("image", path=str(tmp_path / "b"))
    assert first.content_hash() == second.content_hash() == Media("image", data=b"one").content_hash()


def test_hash_follows_a_changed_file(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"one")
    media = Media("image", path=str(file))
    before = media.content_hash()
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert media.content_hash() != before


def test_hash_tells_apart_what_changes_the_result(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(name.encode())
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    array = np.arange(6, dtype=np.int16)
    palette = Image.new("P", (2, 2))
    other_palette = palette.copy()
    other_palette.putpalette([9] * 768)
    items = [
        Media("sound", data=array, sampling_rate=8000),
        Media("sound", data=array, sampling_rate=16000),
        Media("sound", data=array.reshape(2, 3), sampling_rate=8000),
        Media("sound", data=array.view(np.uint16), sampling_rate=8000),
        Media("sound", data=array, sampling_rate=8000, options={"end": 1.0}),
        Media("video", path=[a, b]),
        Media("video", path=[b, a]),
        Media("imu", features=a, row=0),
        Media("imu", features=a, row=1),
        Media("image", data=palette),
        Media("image", data=other_palette),
    ]
    assert len({item.content_hash() for item in items}) == len(items)


def test_missing_file_has_no_hash() -> None:
    with pytest.raises(FileNotFoundError):
        Media("image", path="/nowhere/x.png").content_hash()


def test_description_names_what_a_user_can_find() -> None:
    assert Media("image", path="a/b.png").describe() == "image a/b.png"
    assert Media("sound", data=np.zeros(5, np.float32), sampling_rate=8000).describe() == (
        "sound array float32 [5] at 8000 Hz"
    )
    assert Media("imu", features="x.npy", row=2).describe() == "imu features x.npy row 2"


def test_json_of_a_row_survives_a_round_trip() -> None:
    source = row({"type": "image", "path": "x.png"}, {"type": "text", "text": "é"})
    assert parse_sample(json.loads(json.dumps(source))) == parse_sample(source)
