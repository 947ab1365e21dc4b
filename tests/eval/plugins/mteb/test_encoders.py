"""The encoders alone, without mteb: rows in, embeddings out."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from datasets import Audio, Dataset, Video
from PIL import Image
from torch.utils.data import DataLoader

from eval.plugins.mteb import ModelEncoder, SpaceEncoder
from eval.plugins.mteb.batches import names_of
from eval.plugins.mteb.encoder import OmniEncoder
from tests.eval.plugins.tiny_media import media_model, media_space

TASK = SimpleNamespace(name="Stamps")


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8))


def wave(seed: int, rate: int = 8000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(seed).uniform(-1, 1, 800), rate, format="WAV")
    return file.getvalue()


def encode(encoder: OmniEncoder, dataset: Any, batch_size: int = 2) -> np.ndarray:
    loader = DataLoader(dataset, batch_size=batch_size)
    return encoder.encode(loader, task_metadata=TASK, hf_split="test", hf_subset="default")


def test_rows_of_one_medium_have_the_embeddings_of_the_space() -> None:
    space = media_space("image", "sound")
    encoder = SpaceEncoder(space, "me/tiny")
    pictures = [picture(i) for i in range(5)]
    found = encode(encoder, [{"image": one, "label": 3} for one in pictures])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, space.embed({"image": pictures})["image"].numpy(), atol=1e-6)
    texts = ["a frog", "a dog", "bells"]
    found = encode(encoder, [{"text": one} for one in texts])
    np.testing.assert_allclose(found, space.embed({"text": texts})["text"].numpy(), atol=1e-6)


def test_rows_of_several_media_are_composed_as_in_the_space() -> None:
    space = media_space("image", "sound")
    rows = [
        {"image": picture(i), "text": f"frog {i}", "audio": {"array": np.ones(8), "sampling_rate": 8000}}
        for i in (0, 1)
    ]
    rows[1]["audio"] = None  # a row may lack one
    found = encode(SpaceEncoder(space, "me/tiny"), rows)
    sound = space.embed({"sound": [(np.ones(8), 8000)]})["sound"][0]
    wanted = [
        space.compose([({"image": [rows[0]["image"]]}, 1), ("frog 0", 1), (sound, 1)]),
        space.compose([({"image": [rows[1]["image"]]}, 1), ("frog 1", 1)]),
    ]
    np.testing.assert_allclose(found, torch.stack(wanted).numpy(), atol=1e-6)


def test_columns_of_sounds_are_decoded_by_omni() -> None:
    space = media_space("sound")
    files = [wave(0), wave(1, 16000), wave(2)]
    dataset = Dataset.from_dict({"audio": [{"bytes": one, "path": None} for one in files]}).cast_column(
        "audio", Audio()
    )
    found = encode(SpaceEncoder(space, "me/tiny"), dataset)
    np.testing.assert_allclose(found, space.embed({"sound": files})["sound"].numpy(), atol=1e-6)


def test_columns_of_videos_are_decoded_by_omni(tmp_path: Path) -> None:
    space = media_space("video")
    clips = []
    for i in range(2):
        clips.append(str(tmp_path / f"{i}.gif"))
        picture(i).save(clips[-1], save_all=True, append_images=[picture(i + 5)])
    dataset = Dataset.from_dict({"video": [{"bytes": None, "path": clip} for clip in clips]}).cast_column(
        "video", Video()
    )
    found = encode(SpaceEncoder(space, "me/tiny"), dataset)
    np.testing.assert_allclose(found, space.embed({"video": clips})["video"].numpy(), atol=1e-6)


def test_rows_have_the_embeddings_of_the_model(tiny_llm: Path) -> None:
    model = media_model(tiny_llm, ("image", "sound"))
    encoder = ModelEncoder(model, "me/tiny")
    assert [*encoder.names] == ["image", "audio", "text"]
    rows = [{"image": picture(0), "text": "a frog"}, {"image": picture(1), "text": "a dog"}]
    wanted = model.embed(
        [
            [
                {
                    "role": "user",
                    "content": [{"type": "image", "image": row["image"]}, {"type": "text", "text": row["text"]}],
                }
            ]
            for row in rows
        ],
        encoder.prompt,
    )
    found = encoder.encode(
        DataLoader(rows, batch_size=2, collate_fn=list),  # type: ignore[arg-type]
        task_metadata=TASK,
        hf_split="test",
        hf_subset="default",
    )
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


def test_the_revision_changes_with_the_weights_and_the_prompt(tiny_llm: Path) -> None:
    space = media_space("image")
    before = SpaceEncoder(space, "me/tiny").revision
    assert SpaceEncoder(space, "me/tiny").revision == before
    with torch.no_grad():
        next(space.modality("image").head.parameters()).add_(1)
    assert SpaceEncoder(space, "me/tiny").revision != before
    model = media_model(tiny_llm, ("image",))
    assert ModelEncoder(model, "me/tiny").revision != ModelEncoder(model, "me/tiny", prompt=None).revision


def test_similarities_are_cosines() -> None:
    encoder = SpaceEncoder(media_space("image"), "me/tiny")
    first, second = np.array([[3.0, 0], [0, 2]]), torch.tensor([[1.0, 1.0], [0.0, 5.0]])
    half = 0.5**0.5
    torch.testing.assert_close(encoder.similarity(first, second), torch.tensor([[half, 0.0], [half, 1.0]]))
    torch.testing.assert_close(encoder.similarity_pairwise(first, second), torch.tensor([half, 1.0]))


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{"text": "a"}, {"video": 3}], "Stamps, test, default: row 1 has video, and the model reads image, text only"),
        ([{"text": "a"}, {"text": "b"}, {"label": 1}], "row 2 has none of image, text"),
        ([{"text": "a"}, {"text": " "}], r"Stamps, test, default: text number 1.*empty"),
    ],
)
def test_rows_that_cannot_be_embedded_are_named(rows: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        encode(SpaceEncoder(media_space("image"), "me/tiny"), rows)


def test_names_that_could_mean_several_things_are_refused() -> None:
    assert names_of(["speech", "image"]) == {"image": "image", "audio": "speech"}
    assert names_of(["sound", "speech"], "speech") == {"audio": "speech"}
    with pytest.raises(ValueError, match="say which one"):
        names_of(["sound", "speech"])
    with pytest.raises(ValueError, match="audio='music' is none of the modalities: sound"):
        names_of(["sound"], "music")
    with pytest.raises(ValueError, match="OWNER/MODEL"):
        SpaceEncoder(media_space("image"), "tiny")
