"""Tar shards: names, samples in either form, counts, and every way in which a shard can be broken."""

import gzip
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omni.media.image import load_image
from omni.readers import open_dataset, read_webdataset
from omni.readers.shard_names import ShardCommand, expand_braces, expand_shards
from omni.readers.tar_shard import RawSample, ShardError, count_samples, read_samples
from omni.readers.webdataset import decode_sample
from omni.samples.messages import Sample, SampleError
from tests.shards import messages, npy, write_shard, write_shards


@pytest.fixture(autouse=True)
def private_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNI_HOME", str(tmp_path / "home"))


def png(colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a-{008..011}.tar", ["a-008.tar", "a-009.tar", "a-010.tar", "a-011.tar"]),
        ("{0..4..2}-{x,y}", ["0-x", "0-y", "2-x", "2-y", "4-x", "4-y"]),
        ("pipe:cat ${HOME}/a-{1..2}.tar", ["pipe:cat ${HOME}/a-1.tar", "pipe:cat ${HOME}/a-2.tar"]),
        ("pipe:awk '{print $1, $2}'", ["pipe:awk '{print $1, $2}'"]),
    ],
)
def test_braces_expand_as_in_a_shell(pattern: str, names: list[str]) -> None:
    assert list(expand_braces(pattern)) == names


def test_wrong_patterns_are_refused_by_name(tmp_path: Path) -> None:
    write_shards(tmp_path, [1, 1])
    assert expand_shards(f"{tmp_path}/*.tar") == [f"{tmp_path}/0.tar", f"{tmp_path}/1.tar"]
    with pytest.raises(FileNotFoundError, match=r"2 of 4 shards do not exist.*/2\.tar, .*/3\.tar"):
        expand_shards(f"{tmp_path}/{{0..3}}.tar")
    with pytest.raises(FileNotFoundError, match="no file matches"):
        expand_shards(f"{tmp_path}/train*.tar")
    with pytest.raises(ValueError, match=r"\{3\.\.0\}"):
        expand_shards(f"{tmp_path}/{{3..0}}.tar")
    with pytest.raises(ValueError, match=r"0\.tar is named twice"):
        expand_shards([f"{tmp_path}/0.tar", f"{tmp_path}/*.tar"])
    with pytest.raises(ValueError, match=r"shuffle_buffer .* is 0"):
        open_dataset(f"{tmp_path}/0.tar", shuffle_buffer=0)
    with pytest.raises(ValueError, match=r"unknown option limits .* webdataset takes media, caption"):
        open_dataset(f"{tmp_path}/0.tar", limits=3)


def test_files_of_one_name_are_one_sample_whatever_their_folder_and_case(tmp_path: Path) -> None:
    shard = write_shard(
        tmp_path / "a.tar",
        [("x/1", {"JPG": b"1", "seg.png": b"2"}), ("y/1", {"jpg": b"3"}), ("y/._1", {"jpg": b"no"})],
    )
    found = list(read_samples(str(shard)))
    assert found == [RawSample("x/1", {"jpg": b"1", "seg.png": b"2"}), RawSample("y/1", {"jpg": b"3"})]
    assert list(read_samples(str(shard), start=1)) == found[1:]


def test_files_commands_and_compressed_shards_give_the_same_samples(tmp_path: Path) -> None:
    path = write_shards(tmp_path, [5])[0]
    (tmp_path / "0.tar.gz").write_bytes(gzip.compress(Path(path).read_bytes()))
    ways = [
        path,
        f"{tmp_path}/0.tar.gz",
        f"pipe:cat {path}",
        f"pipe:cat {tmp_path}/0.tar.gz",
        f"pipe:gzip -dc {path}.gz",
    ]
    whole = list(read_samples(path))
    assert len(whole) == 5
    for way in expand_shards(ways):
        assert list(read_samples(way)) == whole, way
        assert list(read_samples(way, start=3)) == whole[3:], way
        assert count_samples(way) == 5, way


def test_a_reader_that_stops_early_ends_its_command(tmp_path: Path) -> None:
    path = write_shards(tmp_path, [50])[0]
    marker = tmp_path / "pid"
    reader = read_samples(ShardCommand(f"pipe:echo $$ > {marker}; cat {path}; sleep 1000"))
    next(reader)
    reader.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(marker.read_text()), 0)


def test_messages_name_their_members(tmp_path: Path) -> None:
    row = {
        "id": "own-id",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "path": "jpg"},
                    {"type": "image", "image": "7.second.png"},
                    {"type": "imu", "path": ".npy"},
                    {"type": "video", "path": ["f0.png", "f1.png"]},
                    {"type": "depth", "features": "emb.npy"},
                    {"type": "text", "text": "What?"},
                ],
            },
            {"role": "assistant", "content": "This."},
        ],
        "source": {"type": "web", "path": "elsewhere.jpg"},
    }
    array, features = np.arange(6.0).reshape(2, 3), np.ones((4, 2), np.float32)
    members = {
        "jpg": png((255, 0, 0)),
        "second.png": png((0, 255, 0)),
        "npy": npy(array),
        "f0.png": png((1, 1, 1)),
        "f1.png": png((2, 2, 2)),
        "emb.npy": npy(features),
        "json": json.dumps(row).encode(),
    }
    sample = decode_sample(RawSample("train/7", members), "shard/7")
    assert sample.id == "own-id"
    assert sample.meta["source"]["path"] == "elsewhere.jpg"
    first, second, imu, video, depth = sample.media
    assert load_image(first).getpixel((0, 0)) == (255, 0, 0)
    assert load_image(second).getpixel((0, 0)) == (0, 255, 0)
    np.testing.assert_array_equal(np.asarray(imu.data), array)
    assert [frame.getpixel((0, 0)) for frame in video.data] == [(1, 1, 1), (2, 2, 2)]  # type: ignore[union-attr]
    np.testing.assert_array_equal(np.asarray(depth.features), features)


def test_captions_and_media_by_extension(tmp_path: Path) -> None:
    members = {"jpg": png((0, 0, 255)), "txt": b"Ein Frosch.\n", "json": b'{"url": "u", "id": 3}'}
    sample = decode_sample(RawSample("k", members), "shard/k")
    assert sample.id == "shard/k"
    assert [(item.modality, item.data) for item in sample.media] == [("image", members["jpg"])]
    assert sample.messages[-1].text == "Ein Frosch."
    assert sample.meta == {"url": "u", "caption": "Ein Frosch."}
    thermal = decode_sample(RawSample("k", members), "k", media={"jpg": "thermal"})
    assert thermal.media[0].modality == "thermal"
    assert decode_sample(RawSample("k", members | {"en.txt": b"A frog."}), "k", caption="en.txt").messages[-1].text == (
        "A frog."
    )
    from_json = {"wav": b"RIFF", "json": b'{"caption": "a bell"}'}
    assert decode_sample(RawSample("k", from_json), "k").messages[-1].text == "a bell"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"jpg": b"x"}, "no json member with 'messages' and no caption"),
        ({"txt": b"a frog", "xyz9": b"x"}, "no member is media: it has txt, xyz9"),
        ({"json": b"{"}, "json member is not valid JSON"),
        ({"json": b"[1]"}, "must be an object"),
        ({"json": messages("a", "png"), "jpg": b"x"}, "names the member 'png', but has json, jpg"),
        ({"json": messages("a", "npy"), "npy": b"no array"}, "npy member cannot be read as an array"),
        ({"jpg": b"x", "txt": b"\xff"}, "txt member is not UTF-8"),
        ({"jpg": b"x", "txt": b"  "}, "the caption is empty"),
    ],
)
def test_broken_samples_say_what_is_wrong(members: dict[str, bytes], reason: str) -> None:
    with pytest.raises(SampleError, match=reason):
        decode_sample(RawSample("k", members), "shard/k")


def test_rows_can_be_asked_for_in_any_order(tmp_path: Path) -> None:
    shards = write_shards(tmp_path, [3, 0, 4])
    dataset = open_dataset(shards)
    keys = ["0-0", "0-1", "0-2", "2-0", "2-1", "2-2", "2-3"]
    names = [f"{key[0]}.tar/{key}" for key in keys]
    assert len(dataset) == 7
    assert [sample.id for sample in dataset if isinstance(sample, Sample)] == names
    for row in (5, 1, 1, 2, 6, 0):
        assert dataset[row].id == names[row]  # type: ignore[union-attr]


def test_sizes_are_counted_once_or_taken_from_the_recipe(tmp_path: Path) -> None:
    shards = write_shards(tmp_path, [2, 3])
    assert read_webdataset(shards).sizes == (2, 3)
    counts = tmp_path / "home/shard-counts.json"
    remembered = dict.fromkeys(json.loads(counts.read_text()), 7)
    assert len(remembered) == 2
    counts.write_text(json.dumps(remembered))
    assert read_webdataset(shards).sizes == (7, 7)  # so it did not count again
    os.utime(shards[0], (1, 1))
    assert read_webdataset(shards).sizes == (2, 7)
    (tmp_path / "sizes.json").write_text('{"0.tar": 2, "1.tar": 1}')
    assert read_webdataset(shards, shard_sizes=str(tmp_path / "sizes.json")).sizes == (2, 1)
    assert read_webdataset([*shards], shard_sizes=2).sizes == (2, 2)
    with pytest.raises(ValueError, match="3 numbers for 2 shards"):
        read_webdataset(shards, shard_sizes=[1, 2, 3])


def reasons(shard: str) -> list[str]:
    """Ids of the samples of a shard, and reasons of the errors."""
    dataset = read_webdataset([shard])
    return [found.reason if isinstance(found, SampleError) else found.id.split("/")[1] for found in dataset]


def test_damaged_shards_give_what_is_whole_and_name_the_rest(tmp_path: Path) -> None:
    path = Path(write_shards(tmp_path, [6])[0])
    content = path.read_bytes()
    header = content.index(b"0-4.npy")

    path.write_bytes(content[: header + 600])  # within the data of the fifth sample
    assert reasons(str(path))[:4] == ["0-0", "0-1", "0-2", "0-3"]
    assert reasons(str(path))[4:] == [
        "cannot be read further (unexpected end of data); sample 5 of 5 and what follows are lost"
    ]

    path.write_bytes(content[:header])  # just before a header: tarfile itself would take it for the end
    assert "without an end mark" in reasons(str(path))[-1]
    assert reasons(str(path))[:3] == ["0-0", "0-1", "0-2"]

    damaged = bytearray(content)
    damaged[header : header + 300] = b"\x07" * 300
    path.write_bytes(damaged)
    assert reasons(str(path))[:3] == ["0-0", "0-1", "0-2"]
    assert len(reasons(str(path))) == 4
    assert "header of a file is damaged" in reasons(str(path))[-1]

    path.write_bytes(b"this is no archive")
    assert len(reasons(str(path))) == 1

    path.write_bytes(b"")
    assert "empty" in reasons(str(path))[0]


def test_failing_command_is_named_with_status_and_what_it_said(tmp_path: Path) -> None:
    path = write_shards(tmp_path, [3])[0]
    with pytest.raises(ShardError, match=r"pipe:cat .*status 3 and said: no such bucket"):
        list(read_samples(ShardCommand(f"pipe:cat {path}; echo no such bucket >&2; exit 3")))
    found = read_webdataset(f"pipe:head -c 2000 {path}; exit 9")
    assert "status 9 and said: nothing" in str(found[len(found) - 1])
    assert reasons("pipe:not-a-command-of-anyone")[0].startswith("the command ended with status 127")


def test_shard_that_shrank_after_counting_is_reported_for_every_lost_sample(tmp_path: Path) -> None:
    shards = write_shards(tmp_path, [2])
    dataset = read_webdataset(shards, shard_sizes=4)
    assert [isinstance(found, SampleError) for found in dataset] == [False, False, True, True]
    assert dataset[3].reason == ("it has fewer samples than were counted; sample 4 of 4 and what follows are lost")  # type: ignore[union-attr]


def turns_of(*content: object) -> list[dict]:
    return [
        {"role": "user", "content": content[0] if len(content) == 1 else [*content]},
        {"role": "assistant", "content": "A"},
    ]


def turns_with(text: str = "Who?", **keys: list[str]) -> list[dict]:
    """Messages of which the user's has media in keys of its own."""
    asked, answered = turns_of(text)
    return [asked | keys, answered]


@pytest.mark.parametrize(
    ("row", "members", "media"),
    [
        ({"messages": turns_of("<image>Who?")}, ["jpg"], ["image jpg"]),
        ({"messages": turns_of({"type": "image"}, "Who?")}, ["jpg"], ["image jpg"]),
        ({"messages": turns_of("<image>and <image>?")}, ["0.jpg", "1.jpg"], ["image 0.jpg", "image 1.jpg"]),
        (
            {"messages": turns_of("<image>and <image>?"), "images": ["1.jpg", "0.jpg"]},
            ["0.jpg", "1.jpg"],
            ["image 1.jpg", "image 0.jpg"],
        ),
        ({"messages": turns_of("<image>Who?"), "image": "coco/17.jpg"}, ["jpg"], ["image jpg"]),
        ({"messages": turns_of("<image>Who?")}, ["mp4"], ["video mp4"]),
        ({"messages": turns_of({"type": "image_url", "image_url": {"url": "./x/7.jpg"}}, "?")}, ["jpg"], ["image jpg"]),
        (
            {"conversations": [{"from": "human", "value": "<image>\n?"}, {"from": "gpt", "value": "A"}]},
            ["png"],
            ["image png"],
        ),
        ({"messages": turns_of({"type": "image", "path": "jpg"}, "?")}, ["jpg", "seg", "cls"], ["image jpg"]),
        ({"messages": turns_with(images=["1.jpg", "0.jpg"])}, ["0.jpg", "1.jpg"], ["image 1.jpg", "image 0.jpg"]),
        ({"messages": turns_with("<image>?", images=["jpg"])}, ["jpg"], ["image jpg"]),
    ],
)
def test_marks_of_messages_take_the_members(row: dict, members: list[str], media: list[str]) -> None:
    raw = RawSample("./x/7", {name: name.encode() for name in members} | {"json": json.dumps(row).encode()})
    sample = decode_sample(raw, "shard/7")
    assert [f"{item.modality} {item.data.decode()}" for item in sample.media] == media  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("row", "members", "reason"),
    [
        ({"messages": turns_of("Who?")}, ["jpg"], r"0 place\(s\) for image items, but the row has 1"),
        ({"messages": turns_of("<image>Who?")}, [], r"1 place\(s\) for image items, but the row has 0"),
        ({"messages": turns_of("<image>Who?")}, ["jpg", "seg.png"], r"1 place\(s\) for image items, but the row has 2"),
        (
            {"caption": "a dog"},
            ["npy"],
            "member npy may be point_cloud or depth .* not guessed; say which with the option media",
        ),
        ({"captions": ["", " "]}, ["jpg"], "the caption is empty"),
        ({"messages": turns_of({"type": "image", "path": "0.png"}, "?")}, ["0.png", "1.png"], "not its member 1.png"),
        ({"messages": turns_of({"type": "image", "path": "jpg"}, "?")}, ["jpg", "a.npy"], "not its member a.npy"),
        ({"messages": turns_of("<image>?"), "images": ["1.png"]}, ["0.png", "1.png"], "not its member 0.png"),
        ({"messages": turns_with(images=["1.png"])}, ["0.png", "1.png"], "not its member 0.png"),
    ],
)
def test_members_without_a_place_are_no_silent_loss(row: dict, members: list[str], reason: str) -> None:
    raw = RawSample("7", dict.fromkeys(members, b"x") | {"json": json.dumps(row).encode()})
    with pytest.raises(SampleError, match=reason):
        decode_sample(raw, "shard/7")


def test_a_key_that_stands_twice_is_named() -> None:
    raw = RawSample("7", {"jpg": b"x", "json": b'{"images": ["jpg"], "images": [], "caption": "a dog"}'})
    with pytest.raises(SampleError, match="images"):
        decode_sample(raw, "shard/7")


def test_members_that_the_option_media_leaves_out_need_no_place() -> None:
    row = {"messages": turns_of({"type": "image", "path": "jpg"}, "Who?")}
    raw = RawSample("7", {"jpg": b"1", "seg.png": b"2", "json": json.dumps(row).encode()})
    assert [item.data for item in decode_sample(raw, "shard/7", {"jpg": "image"}).media] == [b"1"]


@pytest.mark.parametrize(
    ("row", "captions"),
    [
        ({"text": ["A dog barks", "barking"]}, ["A dog barks", "barking"]),
        ({"captions": ["", "A dog barks"]}, ["A dog barks"]),
        ({"caption": [{"text": "A dog barks"}]}, ["A dog barks"]),
        ({"text": "A dog barks", "tag": ["dog"]}, ["A dog barks"]),
    ],
)
def test_lists_of_captions_are_read(row: dict, captions: list[str]) -> None:
    sample = decode_sample(RawSample("1", {"flac": b"x", "json": json.dumps(row).encode()}), "1")
    assert sample.last_answer == captions[0]
    assert len(captions) == 1 or sample.meta["captions"] == captions


def test_names_of_files_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hostile = "pipe:touch ran;.tar"
    Path(write_shards(tmp_path, [2])[0]).rename(tmp_path / hostile)
    for path in ("*.tar", sorted(os.listdir(tmp_path)), ["*:*"], f"{hostile}"):
        assert expand_shards(path) == [hostile]
        assert [type(shard) for shard in expand_shards(path)] == [str]
        assert len(read_webdataset(path)) == 2
        assert [isinstance(entry, Sample) for entry in read_webdataset(path)] == [True, True]
    assert list(read_samples("pipe:touch ran; cat *.tar".replace("; cat *", ";")))  # a plain text is a file's name
    assert not (tmp_path / "ran").exists()
    (command,) = expand_shards("pipe:cat *.tar")
    assert isinstance(command, ShardCommand)
    assert len(list(read_samples(command))) == 2
