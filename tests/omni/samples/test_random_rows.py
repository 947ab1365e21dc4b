"""Rows at random: each ends in a sample with all media that its keys name, or in a SampleError."""

import random
from typing import Any

from omni.samples.media_keys import MARKS, MEDIA_KEYS
from omni.samples.messages import SampleError, parse_sample

NUM_ROWS = 1000
FILES = (["a.jpg"], ["a.jpg", "b.jpg"], [["a.jpg", "b.jpg"]])  # one key's media, and how many items they are
NOTHING = (None, "", [], [None], 3, "words", {"x": 1})


def random_text(source: random.Random) -> str:
    pieces = (*MARKS, "<img>", "</image>", "Who?", "\n", " ", "html ", ". ")
    return "".join(source.choice(pieces) for _ in range(source.randint(0, 4)))


def random_part(source: random.Random) -> Any:
    part: dict[str, Any] = {"type": source.choice(["text", "image", "video", "audio", "image_url", None, 3])}
    keys = ("text", "image", "path", "index", "url", "image_url", "source", "bytes", "fps", "options", "video")
    for key in source.sample(keys, source.randint(0, 2)):
        values = (None, "a.jpg", 0, -1, {"url": "a.jpg"}, ["a.jpg"], "", {"type": "base64", "data": "AAAA"})
        part[key] = source.choice(values)
    return part


def random_turn(source: random.Random) -> Any:
    parts = [random_part(source) for _ in range(source.randint(0, 3))]
    content = source.choice([random_text(source), random_text(source), parts, None, 3])
    forms = ({"role": "user", "content": content}, {"role": "assistant", "content": content})
    return source.choice([*forms, {"from": "human", "value": content}, {"user": content, "assistant": "A"}, content])


def test_no_row_loses_media_or_raises_anything_else() -> None:
    num_samples = 0
    for seed in range(NUM_ROWS):
        source = random.Random(seed)
        turns = [{"role": "user", "content": random_text(source)}]
        turns += [random_turn(source) for _ in range(source.choice([0, 0, 1, 2]))]
        row: dict[str, Any] = {"id": seed, source.choice(["messages", "conversations"]): turns}
        given = 0
        for key in source.sample(sorted(MEDIA_KEYS), source.choice([0, 1, 1, 2])):
            files = source.choice([None, *FILES])
            row[key] = source.choice(NOTHING) if files is None else files
            given += 0 if files is None else len(files) if "video" not in key or isinstance(files[0], list) else 1
        modalities = source.choice([None, {"image", "sound", "video"}, {"speech", "image"}])
        if source.random() < 0.3 and isinstance(turns[-1], dict):  # as Ollama has them
            key, ending = source.choice([("images", "png"), ("videos", "mp4")])
            turns[-1][key] = [f"c.{ending}", f"d.{ending}"]
            given += 2
        try:
            sample = parse_sample(row, source.choice([None, "/data"]), modalities)
        except SampleError:
            continue
        num_samples += 1
        assert len(sample.media) >= given, row
    assert num_samples > NUM_ROWS / 20
