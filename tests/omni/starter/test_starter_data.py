"""What the builders make of the packages: rules on names and captions, and the finished manifests."""

import collections
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from omni import starter
from omni.starter.data_asterisk import parse_transcripts
from omni.starter.data_furniture import parse_catalogue, phrase_of
from omni.starter.data_sonic_pi import describe
from omni.starter.data_wesnoth import group_frames, read_stem, unit_names
from omni.starter.manifest import article, clean_caption, is_test

MANIFESTS = {
    "stamps": ("image", "sound", "speech", "triplet"),
    "sonic-pi": ("sound",),
    "asterisk": ("speech",),
    "fashion-mnist": ("image",),
    "furniture": ("object",),
    "wesnoth": ("video",),
}


def fetched(name: str) -> Path:
    """Folder of an asset; the test is skipped where it has not been fetched."""
    try:
        return starter.path(name)
    except FileNotFoundError as error:
        pytest.skip(str(error))


def rows(asset: str, manifest: str) -> list[dict[str, Any]]:
    """All rows of a manifest."""
    return [json.loads(line) for line in (fetched(asset) / f"{manifest}.jsonl").read_text("utf-8").splitlines()]


def test_captions_become_one_plain_line() -> None:
    assert clean_caption("\u2013 A \u201cStop\u201d  sign\u2014it\u2019s red\u2026\r") == 'A "Stop" sign - it\'s red...'


def test_split_follows_the_documented_hash() -> None:
    value = int(hashlib.sha256(b"a frog.").hexdigest()[:8], 16) % 100
    assert is_test(" A Frog. ") == (value < 20)
    shares = np.mean([is_test(f"caption {index}") for index in range(5000)])
    assert 0.18 < shares < 0.22


@pytest.mark.parametrize(
    ("noun", "expected"),
    [("owl", "an owl"), ("frog", "a frog"), ("unit", "a unit"), ("SUV", "an SUV"), ("808 drum", "an 808 drum")],
)
def test_articles_follow_the_spoken_word(noun: str, expected: str) -> None:
    assert article(noun) == expected


@pytest.mark.parametrize(
    ("stem", "family", "phrase"),
    [
        ("drum_cymbal_soft", "drum kit", "a soft drum cymbal"),
        ("bd_808", "bass drum", "an 808 bass drum"),
        ("guit_e_fifths", "guitar", "guitar fifths in E"),
        ("bass_hard_c", "bass note", "a hard bass note in C"),
        ("tabla_ghe8", "tabla", "a tabla stroke ghe"),
        ("elec_hi_snare", "electric sound", "a high electric snare"),
        ("loop_drone_g_97", "loop", "a drone loop in G"),
        ("misc_crow", "everyday sound", "a crow"),
    ],
)
def test_sample_names_become_phrases(stem: str, family: str, phrase: str) -> None:
    assert describe(stem) == (family, phrase)


def test_transcripts_leave_out_noises_and_remarks() -> None:
    listing = (
        "; comment\n\nactivated: Activated.\nbeep: [this is a simple beep tone]\nletters/at: at [@]\n"
        'silence/1: (1 second of silence)\nspy-iax2: IAX (note: does not say "2")\njoin: <beep ascending>\nempty:\n'
    )
    assert parse_transcripts(listing) == {"activated": "Activated.", "letters/at": "at", "spy-iax2": "IAX"}


def test_furniture_catalogue_is_read_with_escapes() -> None:
    entries = parse_catalogue("id=x\nname#1=Bill 10\\u20ac\nwidth#1=71.9\nname#12=Sofa\n")
    assert entries == {1: {"name": "Bill 10\u20ac", "width": "71.9"}, 12: {"name": "Sofa"}}


@pytest.mark.parametrize(
    ("name", "phrase"),
    [("Coffee table", "a coffee table"), ("Tulips", "tulips"), ("Glass", "a glass"), ("TV stand", "a TV stand")],
)
def test_furniture_names_become_phrases(name: str, phrase: str) -> None:
    assert phrase_of(name) == phrase


def test_frames_are_in_numeric_order_and_short_sequences_left_out() -> None:
    pictures = [f"orcs/grunt-die-{number}.png" for number in (10, 2, 1)] + ["orcs/grunt-hit-1.png", "orcs/grunt.png"]
    numbers = [int(frame.rpartition("-")[2].removesuffix(".png")) for frame in group_frames(pictures)["orcs/grunt-die"]]
    assert numbers == [1, 2, 10]
    assert list(group_frames(pictures)) == ["orcs/grunt-die"]


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("elves-wood/archer+female-bow-attack", ("elves-wood/archer+female", "attacking from afar")),
        ("drakes/clasher-se-blade-defend", ("drakes/clasher", "defending")),
        ("undead/zombie-bat-die2", ("undead/zombie-bat", "dying")),
        ("monsters/jinn-bottom", None),
    ],
)
def test_file_names_tell_unit_and_action(stem: str, expected: tuple[str, str] | None) -> None:
    assert read_stem(stem) == expected


def test_units_are_named_by_their_definition_without_the_translators_remark() -> None:
    text = '[unit_type]\n name= _ "female^Saurian Flanker"\n image="units/saurians/flanker.png"\n'
    assert unit_names([text]) == {"saurians/flanker": "Saurian Flanker"}


@pytest.mark.starter
@pytest.mark.parametrize(("asset", "task"), [(asset, task) for asset, tasks in MANIFESTS.items() for task in tasks])
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_row_has_only_media_in_the_user_turn_and_all_files_exist(asset: str, task: str, split: str) -> None:
    folder = fetched(asset)
    all_rows = rows(asset, f"{task}-{split}")
    assert all_rows
    assert len({row["id"] for row in all_rows}) == len(all_rows)
    for row in all_rows:
        user, assistant = row["messages"]
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        for part in user["content"]:
            assert part["type"] != "text"
            paths = part["path"] if isinstance(part["path"], list) else [part["path"]]
            assert all((folder / path).stat().st_size > 0 for path in paths)
        (answer,) = assistant["content"]
        assert answer["text"] == row["meta"]["caption"] == clean_caption(row["meta"]["caption"])
        assert row["meta"]["licence"] == starter.ASSETS[asset].licence


@pytest.mark.starter
@pytest.mark.parametrize("asset", ["stamps", "sonic-pi", "asterisk"])
def test_no_test_caption_occurs_in_training_of_any_task(asset: str) -> None:
    captions = {
        split: {
            row["meta"]["caption"].strip().lower()
            for task in MANIFESTS[asset]
            for row in rows(asset, f"{task}-{split}")
        }
        for split in ("train", "test")
    }
    assert captions["train"]
    assert captions["test"]
    assert not captions["train"] & captions["test"]
    assert all(is_test(caption) for caption in captions["test"])


@pytest.mark.starter
def test_stamps_have_the_known_counts_and_svg_drawings_are_not_blank() -> None:
    images = rows("stamps", "image-train") + rows("stamps", "image-test")
    assert len(images) == 701  # 538 PNG and 163 SVG
    assert len(rows("stamps", "sound-train") + rows("stamps", "sound-test")) == 107
    assert len({row["meta"]["category"] for row in images}) >= 14
    assert not any("_mirror" in row["id"] or "/symbols/" in row["id"] for row in images)
    with Image.open(fetched("stamps") / "media/animals/insects/cartoon/ant.png") as drawing:  # sized in points
        assert max(drawing.size) == 512
        assert 0.02 < np.mean(np.asarray(drawing.convert("RGBA"))[..., 3] > 0) < 0.98


@pytest.mark.starter
def test_triplets_hold_picture_and_sound_of_the_same_stamp() -> None:
    for row in rows("stamps", "triplet-train") + rows("stamps", "triplet-test"):
        image, sound = row["messages"][0]["content"]
        assert (image["type"], sound["type"]) == ("image", "sound")
        assert Path(image["path"]).with_suffix("") == Path(sound["path"]).with_suffix("")
        assert (row["meta"]["image"], row["meta"]["sound"]) == (image["path"], sound["path"])


@pytest.mark.starter
def test_sonic_pi_has_14_families() -> None:
    families = collections.Counter(
        row["meta"]["family"] for row in rows("sonic-pi", "sound-train") + rows("sonic-pi", "sound-test")
    )
    assert (len(families), families.total()) == (14, 165)


@pytest.mark.starter
def test_fashion_mnist_has_the_official_test_split_and_a_balanced_training_part() -> None:
    test, train = rows("fashion-mnist", "image-test"), rows("fashion-mnist", "image-train")
    assert collections.Counter(row["meta"]["label_index"] for row in test) == dict.fromkeys(range(10), 1000)
    assert set(collections.Counter(row["meta"]["label_index"] for row in train).values()) == {500}
    first = [row["meta"]["label"] for row in test[:4]]
    assert first == ["Ankle boot", "Pullover", "Trouser", "Trouser"]  # the published order
    with Image.open(fetched("fashion-mnist") / test[0]["meta"]["image"]) as picture:
        assert (picture.size, picture.mode) == ((28, 28), "L")


@pytest.mark.starter
def test_test_makers_and_units_are_unseen_in_training() -> None:
    for asset, task, key in (("furniture", "object", "maker"), ("wesnoth", "video", "unit")):
        train = {row["meta"][key] for row in rows(asset, f"{task}-train")}
        test = {row["meta"][key] for row in rows(asset, f"{task}-test")}
        assert test
        assert not train & test
