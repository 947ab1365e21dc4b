"""A task that says something that nothing understands is an error when it is made, never another task."""

from typing import Any

import pytest

from eval.task import Choose, Generate, Kind, Match, Task


def task(**values: Any) -> Task:
    base: dict[str, Any] = {"prompt": None, "kind": Choose("answers"), "scorer": "choice-sum-v1"}
    return Task("birds", 1, "Birds.", "birds.jsonl", ("sound",), **base | values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"kind": Choose("typo")},
            "candidates must be one of 'labels', 'answers', 'sampled', 'grouped', 'meta:KEY', not 'typo'",
        ),  # pyright: ignore[reportArgumentType]
        ({"kind": Choose("answers", labels={"owl": "An owl."})}, r"labels belong to Choose\('labels'\)"),
        ({"kind": Choose("labels", labels={1: "One."})}, "labels are texts"),  # pyright: ignore[reportArgumentType]
        ({"kind": Choose("labels", labels={"owl": ""})}, "labels are texts"),
        ({"kind": Choose("sampled", num_candidates=1)}, "num_candidates must be at least 2"),
        ({"kind": Choose("grouped", num_candidates=1)}, "num_candidates must be at least 2"),
        ({"kind": Match("sound", num_mismatches=0)}, "num_mismatches must be at least 1"),
        ({"kind": Match("image")}, "not among"),
        ({"clusters": ("medium",)}, "clusters are made by 'media' and 'answer', not by 'medium'"),
        ({"clusters": "media"}, "clusters is a list"),
        ({"only": (("image",),)}, "only shows 'image'"),
        ({"only": ("sound",)}, "only is a list"),
        ({"media_options": {"video": {"num_frames": 5}}}, "media_options names 'video'"),
        ({"kind": Generate(candidates="options")}, "candidates of Generate must be 'meta:KEY', not 'options'"),
        ({"kind": Generate(candidates="meta:")}, "candidates of Generate must be 'meta:KEY'"),
        ({"kind": Generate(candidates="meta:options", right_by="number")}, "right_by must be one of"),  # pyright: ignore[reportArgumentType]
        ({"target": "label"}, "neither 'answer' nor 'meta:KEY'"),
        ({"limit": 0}, "limit must be at least 1"),
        ({"num_references": 0}, "num_references must be at least 1"),
    ],
)
def test_what_nothing_understands_is_an_error(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        task(**values)


def test_modalities_are_a_list() -> None:
    with pytest.raises(ValueError, match="modalities is a list"):
        Task("birds", 1, "", "birds.jsonl", "sound", None, Choose("answers"), "choice-sum-v1")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Choose("labels", labels={"owl": "An owl."}), "names no data to train it on; Task(probe=Probe(TRAINING_DATA))"),
        (Choose("answers"), "names no data to train it on"),
        (Choose("labels", several=True), "several labels"),
        (Choose("sampled"), "candidates of its own"),
        (Choose("meta:options"), "candidates of its own"),
        (Generate(), "answers are open-ended"),
    ],
)
def test_why_there_is_no_probe_follows_from_how_the_task_asks(kind: Kind, said: str) -> None:
    assert said in kind.why_no_probe()
    assert task(kind=kind).no_probe == ""
