"""Queries and galleries: what is one entry, what is right, and what is left out."""

from typing import Any

import pytest

from eval.items.gallery import Query, queries_of
from eval.items.item import Item
from eval.items.loading import LoadedItems
from eval.kinds import Retrieve
from omni.media.item import Media


def row(number: int, texts: tuple[str, ...], **media: Any) -> Item:
    shown = tuple(Media(name, data=one.encode()) for name, own in media.items() for one in own)
    return Item(f"r{number}", shown, "", texts[0], number, references=texts)


def queries(kind: Retrieve, *rows: Item) -> list[Query]:
    return [one for one in queries_of(kind, LoadedItems(rows, (), len(rows))).items if isinstance(one, Query)]


FROG = row(0, ("A frog.",), image=["frog"], sound=["croak"])
OTHER_FROG = row(1, ("a frog",), image=["other frog"], sound=["croak"])
DOG = row(2, ("A dog.", "A hound."), image=["dog"])


def test_rows_with_a_text_in_common_are_right_and_the_same_content_is_one_entry() -> None:
    found = queries(Retrieve("image", "sound"), FROG, OTHER_FROG, row(3, ("rain",), sound=["drip"]))
    assert [len(one.gallery.entries) for one in found] == [2, 2]  # the croak of both frogs is one file
    assert [one.relevant for one in found] == [(0,), (0,)]
    assert found[0].cluster == found[1].cluster
    by_row = queries(Retrieve("image", "sound", right="row"), FROG, OTHER_FROG)
    assert [one.relevant for one in by_row] == [(0,), (1,)]
    assert by_row[0].cluster != by_row[1].cluster


def test_texts_are_one_however_they_are_spelled() -> None:
    found = queries(Retrieve("image", "text"), FROG, OTHER_FROG, DOG)
    assert [entry.name for entry in found[0].gallery.entries] == ["A frog.", "A dog.", "A hound."]
    assert [one.relevant for one in found] == [(0,), (0,), (1, 2)]
    searched = queries(Retrieve("text", "image"), FROG, OTHER_FROG, DOG)
    assert [(one.id, one.relevant) for one in searched] == [("r0", (0, 1)), ("r2#1", (2,)), ("r2#2", (2,))]


def test_each_of_several_media_is_an_entry_of_its_own() -> None:
    two = row(0, ("a frog",), image=["front", "back"], sound=["croak"])
    found = queries(Retrieve("sound", "image"), two, DOG)
    assert [one.relevant for one in found] == [(0, 1)]
    both = queries(Retrieve("image+sound", "text"), two, DOG)
    assert [len(one.media) for one in both] == [3]


def test_within_one_modality_the_last_item_is_found_by_those_before() -> None:
    views = [row(number, (f"thing {number}",), image=[f"front {number}", f"back {number}"]) for number in range(3)]
    found = queries(Retrieve("image", "image"), *views)
    assert [one.media[0].data for one in found] == [b"front 0", b"front 1", b"front 2"]
    assert [one.relevant for one in found] == [(0,), (1,), (2,)]
    edited = [row(number, (f"make {number} red",), image=[f"front {number}", f"red {number}"]) for number in range(2)]
    composed = queries(Retrieve("image+text", "image"), *edited)
    assert [part.modality for part in composed[0].media] == ["image", "text"]


def test_what_cannot_be_searched_is_counted_or_named() -> None:
    silent, loaded = row(4, ("snow",), image=["snow"]), row(5, ("mist",), depth=["mist"])
    found = queries_of(Retrieve("sound", "image"), LoadedItems((FROG, DOG, silent, loaded), (), 4))
    assert [(one.id, one.reason) for one in found.bad] == [
        ("r5", "has no query and no entry of the gallery (sound and image)")
    ]
    alone = row(6, ("rain",), sound=["drip"])
    query = queries(Retrieve("sound", "image"), FROG, DOG, alone)[0]
    assert (query.gallery.num_left_out, len(query.gallery.entries)) == (1, 2)
    with pytest.raises(
        ValueError, match=r"1 queries \(sound\), 1 of them without anything right to find, and 1 entries"
    ):
        queries(Retrieve("sound", "image"), alone, DOG)
