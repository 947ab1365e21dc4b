"""What tells encoders apart in the feature cache, and which caches of before are still read."""

import hashlib
import json
import pickle
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from omni.config.components import build, import_class
from omni.encoders import Encoder, Features, FrameEncoder, PrecomputedFeatures
from omni.encoders.encoding import encode_items
from omni.encoders.fingerprint import accepted, earlier
from omni.encoders.released import EncoderDescription, ReleasedEncoder
from omni.feature_cache import FeatureCache
from omni.feature_cache.encoding import PinnedFingerprints, encode_with_cache, prepare_with_cache
from omni.joint_space import EmbeddingIndex
from omni.media.item import Media
from tests.tiny_space import tiny_space

# A class of a user's own: whatever it keeps is public and plain, so that the formula of before told all of it.
OPEN_CLASS = """
import numpy as np
import torch

from omni.encoders import Encoder, Features


class Scaled(Encoder):
    modality, dim, max_features = "sensor", 3, 4

    def __init__(self, scale: float = 1.0, modality: str = "sensor") -> None:
        super().__init__()
        self.modality = modality
        self.scale = scale
        self.register_buffer("offset", torch.ones(3))

    def preprocess(self, media):
        return {"values": torch.from_numpy(np.asarray(media.data, dtype=np.float32))[None]}

    def encode(self, inputs):
        values = inputs["values"] * self.scale + self.offset
        return Features(values, torch.ones(values.shape[:2], dtype=torch.bool))
"""
# The same, but what it was given is in a private attribute.
CLOSED_CLASS = OPEN_CLASS.replace("self.scale", "self._scale")


class Sensor(Encoder):
    """An encoder of a user's own that hides what it was given."""

    modality, dim, max_features = "sensor", 3, 4
    uncounted_arguments = ("device",)

    def __init__(self, setting: Any = None, gain: float = 1.0, device: str = "cpu", **more: Any) -> None:
        super().__init__()
        self._setting = setting
        self.table = {"gain": gain, "device": device, **more}


class Layered(Encoder):
    """An encoder of a user's own whose settings are in its layers."""

    modality, dim, max_features = "sensor", 3, 4

    def __init__(self, width: int = 2, network: nn.Module | None = None) -> None:
        super().__init__()
        self.pool = nn.AvgPool1d(width)
        self.network = network


class Emptying(Encoder):
    """An encoder of a user's own that takes apart what it is given."""

    modality, dim, max_features = "sensor", 3, 4

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__()
        self._kind = options.pop("kind")


class Listed(Sensor):
    """An encoder of a user's own that says itself what counts."""

    def __init__(self, shown: int, hidden: Any) -> None:
        super().__init__(hidden)
        self.shown = shown

    def preprocessing_config(self) -> dict[str, Any]:
        return {"shown": self.shown}


class Louder(PrecomputedFeatures):
    """A subclass of one of omni's, with an argument that its parent does not know of."""

    def __init__(self, gain: float, modality: str = "sensor") -> None:
        super().__init__(modality, dim=3)
        self._gain = gain


class Window:
    """A part of a user's own with a private setting."""

    def __init__(self, length: int) -> None:
        self._length = length


class Measured:
    """A part of a user's own that says what tells it apart; what it keeps besides differs each time."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.made_at = time.perf_counter_ns()

    def fingerprint(self) -> str:
        return f"measured {self.number}"


def double(value: float) -> float:
    return 2 * value


def triple(value: float) -> float:
    return 3 * value


def sensor(scale: int) -> Media:
    return Media("sensor", data=np.full((2, 3), scale, dtype=np.float32))


def write_class(folder: Path, source: str = OPEN_CLASS) -> str:
    """Write a file of a user's own; returns the class path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scaled.py").write_text(source)
    return f"{folder / 'scaled.py'}:Scaled"


def fingerprint_of_before(encoder: Encoder, settings: str) -> str:
    """By the formula before arguments counted: module and class, version, public plain attributes, weights."""
    digest = hashlib.sha256(f"{type(encoder).__module__}.{type(encoder).__qualname__} 1 {settings}".encode())
    for name, value in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


DIFFERENT: dict[str, tuple[Any, Any]] = {
    "numbers": (1, 2),
    "texts and numbers": ("1", 1),
    "dictionaries": ({"a": 1}, {"a": 2}),
    "dictionaries in another order": ({"crop": 1, "turn": 2}, {"turn": 2, "crop": 1}),
    "numbers as keys": ({1: "a"}, {"1": "a"}),
    "lists of dictionaries": ([{"a": 1}, {"b": 2}], [{"a": 1}, {"b": 3}]),
    "sets": ({1, 2}, {1, 3}),
    "bytes": (b"a", b"b"),
    "paths": (Path("a"), Path("b")),
    "arrays": (np.arange(3), np.arange(3.0)),
    "tensors": (torch.zeros(3), torch.zeros(3, dtype=torch.float16)),
    "components": (
        {"class_path": "mine.Window", "init_args": {"length": 1}},
        {"class_path": "mine.Window", "init_args": {"length": 2}},
    ),
    "encoders": (Sensor(1), Sensor(2)),
    "objects with private settings": (Window(1), Window(2)),
    "objects with a fingerprint of their own": (Measured(1), Measured(2)),
    "functions": (double, triple),
    "partial functions": (partial(double, 1), partial(double, 2)),
    "classes": (Window, Measured),
    "number formats": (torch.float32, torch.float16),
    "modules": (nn.AvgPool1d(2), nn.AvgPool1d(3)),
    "modules that are kept elsewhere": (nn.Linear(2, 2), nn.Linear(2, 2)),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_whatever_the_constructor_was_given_tells_encoders_apart(one: Any, other: Any) -> None:
    assert Sensor(one).fingerprint() == Sensor(setting=one).fingerprint() != Sensor(other).fingerprint()
    assert Sensor([{"inner": one}]).fingerprint() != Sensor([{"inner": other}]).fingerprint()
    assert pickle.loads(pickle.dumps(Sensor(one))).fingerprint() == Sensor(one).fingerprint()


EQUAL: dict[str, tuple[Any, Any]] = {
    "lists and tuples": ([1, (2, 3)], (1, [2, 3])),
    "paths and texts": (Path("a"), "a"),
    "numbers of numpy": (np.int64(2), 2),
    "arrays in another order of memory": (np.ones((2, 3)), np.ones((3, 2)).T),
    "sets": ({1, 2, 3}, {3, 2, 1}),
    "equal objects": (Window(3), Window(3)),
    "files of components in other folders": ({"class_path": "a/own.py:Own"}, {"class_path": "b/own.py:Own"}),
}


@pytest.mark.parametrize(("one", "other"), EQUAL.values(), ids=EQUAL)
def test_what_means_the_same_has_the_same_fingerprint(one: Any, other: Any) -> None:
    assert Sensor(one).fingerprint() == Sensor(other).fingerprint()


def test_a_default_counts_the_same_whether_given_or_not_and_other_keywords_count() -> None:
    first = Sensor().fingerprint()
    assert Sensor(None, 1.0).fingerprint() == first == Sensor(gain=1.0).fingerprint()
    assert len({first, Sensor(gain=2.0).fingerprint(), Sensor(extra=1).fingerprint()}) == 3
    assert Sensor(a=1, b=2).fingerprint() == Sensor(b=2, a=1).fingerprint()


def test_settings_of_layers_count_and_weights_that_are_loaded_later_count_as_loaded() -> None:
    assert Layered(2).fingerprint() != Layered(3).fingerprint()
    one, other = Layered(network=nn.Linear(2, 2)), Layered(network=nn.Linear(2, 2))
    assert one.fingerprint() != other.fingerprint()
    other.load_state_dict(one.state_dict())
    assert one.fingerprint() == other.fingerprint() != Layered(network=nn.Sequential(nn.Linear(2, 2))).fingerprint()


def test_what_a_constructor_takes_out_of_its_arguments_counts() -> None:
    assert Emptying({"kind": "a"}).fingerprint() != Emptying({"kind": "b"}).fingerprint()


def test_a_change_of_an_inner_encoder_changes_the_outer_one() -> None:
    outer = Sensor(inner := Sensor(1))
    before = outer.fingerprint()
    inner.max_features = 5
    assert outer.fingerprint() != before


def test_what_is_declared_does_not_count() -> None:
    assert Sensor(device="cuda").fingerprint() == Sensor().fingerprint()
    assert Listed(1, "a").fingerprint() == Listed(1, "b").fingerprint() != Listed(2, "a").fingerprint()


def test_an_argument_of_a_subclass_counts_though_its_parent_lists_its_settings() -> None:
    assert Louder(1.0).fingerprint() == Louder(1.0).fingerprint() != Louder(2.0).fingerprint()


@pytest.mark.parametrize("argument", [lambda value: value, [{"function": lambda value: value}], (n for n in [1])])
def test_what_cannot_be_told_is_refused_with_the_argument_and_the_way_out(argument: Any) -> None:
    encoder = Sensor(argument)  # which may still be used without a cache
    with pytest.raises(
        ValueError, match=r"fingerprint of Sensor cannot hold its argument 'setting': .*uncounted_argum"
    ):
        encoder.fingerprint()


def test_what_refers_to_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="'setting': a list in it refers to itself"):
        Sensor(loop).fingerprint()


@pytest.mark.parametrize("source", [OPEN_CLASS, CLOSED_CLASS], ids=["open", "closed"])
def test_a_class_in_a_file_keeps_its_fingerprint_when_the_file_moves(
    tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = f"package_{hashlib.sha256(source.encode()).hexdigest()[:8]}"
    here = build({"class_path": write_class(tmp_path / "here", source)})
    there = build({"class_path": write_class(tmp_path / package, source)})
    monkeypatch.syspath_prepend(str(tmp_path))
    imported = build({"class_path": f"{package}.scaled.Scaled"})
    assert type(here) is not type(there) is not type(imported)
    assert here.fingerprint() == there.fingerprint() == imported.fingerprint()


def test_classes_of_one_name_are_told_apart_by_settings_and_weights(tmp_path: Path) -> None:
    one = import_class(write_class(tmp_path / "one"))
    other = import_class(write_class(tmp_path / "other"))
    assert one(scale=2.0).fingerprint() != other(scale=3.0).fingerprint()
    heavier = other(scale=2.0)
    heavier.offset.add_(1)
    assert one(scale=2.0).fingerprint() != heavier.fingerprint()


def test_a_declared_name_stands_for_its_class_alone(tmp_path: Path) -> None:
    declared = OPEN_CLASS.replace("    modality, dim", '    fingerprint_name = "scaled 1"\n    modality, dim')
    one = import_class(write_class(tmp_path / "one", declared))
    path = write_class(tmp_path / "two", declared.replace("Scaled", "Renamed"))
    renamed = import_class(path.replace(":Scaled", ":Renamed"))
    assert one().fingerprint() == renamed().fingerprint()
    derived: type[Encoder] = type("Derived", (one,), {})
    assert derived().fingerprint() != one().fingerprint()


def encode(cache: FeatureCache, encoder: Encoder, media: Media) -> Features:
    """As models do."""
    fingerprint = PinnedFingerprints().of(encoder)
    item = prepare_with_cache(cache, fingerprint, encoder, media)
    return encode_with_cache(cache, fingerprint, lambda items: encode_items(encoder, items), [item])[0]


BEFORE = '{"modality": "sensor", "scale": 2.0}'


def test_a_cache_of_before_is_read_and_new_entries_have_the_new_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = build({"class_path": write_class(tmp_path), "init_args": {"scale": 2.0}})
    old = fingerprint_of_before(encoder, BEFORE)
    assert accepted(encoder.fingerprint()) == (encoder.fingerprint(), old)
    written = encode_items(encoder, [prepare_with_cache(FeatureCache(tmp_path / "none"), old, encoder, sensor(1))])[0]
    before = FeatureCache(tmp_path / "cache")
    before.put(sensor(1).content_hash(), old, written)
    before.close()
    cache = FeatureCache(tmp_path / "cache")
    encode(cache, encoder, sensor(2))
    again = pickle.loads(pickle.dumps(encoder))
    for one in (encoder, again):
        monkeypatch.setattr(one, "encode", lambda inputs: pytest.fail("an encoder ran"))
    assert torch.equal(encode(cache, encoder, sensor(1)).values, written.values)
    assert cache.contains(sensor(1).content_hash(), encoder.fingerprint())
    assert {folder.name[:32] for folder in (tmp_path / "cache").iterdir()} == {old[:32], encoder.fingerprint()[:32]}
    released = ReleasedEncoder(EncoderDescription.of(encoder), lambda: pytest.fail("an encoder was built"))
    assert torch.equal(encode(cache, again, sensor(1)).values, written.values)
    assert torch.equal(encode(cache, released, sensor(2)).values, encode(cache, encoder, sensor(2)).values)
    assert torch.equal(encode(cache, released, sensor(1)).values, written.values)


def test_a_cache_of_before_is_not_read_where_it_could_be_of_another_encoder(tmp_path: Path) -> None:
    path = write_class(tmp_path, CLOSED_CLASS)
    encoders = [build({"class_path": path, "init_args": {"scale": scale}}) for scale in (1.0, 2.0)]
    one, other = (fingerprint_of_before(encoder, '{"modality": "sensor"}') for encoder in encoders)
    assert one == other  # which was the mistake
    assert all(one not in accepted(encoder.fingerprint()) for encoder in encoders)


@pytest.mark.parametrize("encoder", [Layered(), Louder(1.0)], ids=["layers", "inherited list"])
def test_settings_that_were_not_told_before_have_no_earlier_fingerprint(encoder: Encoder) -> None:
    assert earlier(encoder.fingerprint()) is None
    assert accepted(encoder.fingerprint()) == (encoder.fingerprint(),)


def test_a_buffer_that_is_not_saved_hides_a_setting(tmp_path: Path) -> None:
    unsaved = 'self.register_buffer("scale", torch.tensor(scale), persistent=False)'
    path = write_class(tmp_path, OPEN_CLASS.replace("self.scale = scale", unsaved))
    one, other = (build({"class_path": path, "init_args": {"scale": scale}}).fingerprint() for scale in (1.0, 2.0))
    assert one != other
    assert earlier(one) is None


def test_an_outer_encoder_is_found_under_the_earlier_fingerprint_of_the_inner_one(tmp_path: Path) -> None:
    inner = build({"class_path": write_class(tmp_path), "init_args": {"scale": 2.0}})
    outer = FrameEncoder(inner, num_frames=2)
    settings = outer.preprocessing_config() | {"image_encoder": fingerprint_of_before(inner, BEFORE)}
    text = f"omni.encoders.nested.FrameEncoder 1 {json.dumps(settings, sort_keys=True)}"
    assert earlier(outer.fingerprint()) == hashlib.sha256(text.encode()).hexdigest() != outer.fingerprint()
    hidden = FrameEncoder(build({"class_path": write_class(tmp_path / "closed", CLOSED_CLASS)}), num_frames=2)
    assert earlier(hidden.fingerprint()) is None


def test_an_index_of_before_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = build({"class_path": write_class(tmp_path), "init_args": {"scale": 2.0}})
    old = fingerprint_of_before(encoder, BEFORE)
    space, space_of_before = tiny_space(), tiny_space()
    for one in (space, space_of_before):
        one.modality("image").encoder = encoder
    now = space.fingerprints()
    monkeypatch.setattr(encoder, "fingerprint", lambda: old)
    before = space_of_before.fingerprints()
    assert now["image"] != before["image"]
    assert now["sound"] == before["sound"]
    index = EmbeddingIndex.build(np.eye(3), space=before)
    index.save(tmp_path / "index")
    EmbeddingIndex.load(tmp_path / "index").check_space(lambda: now)
    with pytest.raises(ValueError, match="another joint space"):
        EmbeddingIndex.build(np.eye(3), space=before | {"image": "0" * 64}).check_space(lambda: now)
