"""A joint space of texts and pictures is loaded by sentence-transformers alone and gives the same embeddings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import BertConfig, BertModel

from omni.__main__ import main
from omni.config import from_dict
from omni.exporting.sentence_transformer import export_sentence_transformer
from omni.joint_space import JointSpace, JointSpaceConfig, build_space
from tests.omni.exporting.test_llava import tower
from tests.tiny import tiny_tokenizer
from tests.tiny_space import tiny_space

pytestmark = pytest.mark.plugins
TEXTS = ["a frog", "the dog heard a bell, and a drum", "x " * 100]


def space(folder: Path, text_head: dict[str, Any], image_head: dict[str, Any], **image: Any) -> JointSpace:
    """A space over a tiny BERT and a tiny CLIP."""
    tokenizer = tiny_tokenizer(None)
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **sizes)).save_pretrained(
        folder / "bert"
    )
    tokenizer.save_pretrained(folder / "bert")
    weights = tower(folder / "clip", "clip")
    modalities = {
        "text": {
            "encoder": {
                "class_path": "omni.encoders.TextEncoder",
                "init_args": {"name": str(folder / "bert"), "max_tokens": 32},
            },
            "head": text_head,
        },
        "image": {
            "encoder": {"class_path": "omni.encoders.HuggingFaceEncoder", "init_args": {"name": weights, **image}},
            "head": image_head,
        },
    }
    return build_space(from_dict(JointSpaceConfig, {"modalities": modalities, "dim": 24}, "joint_space"))


def head(name: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": f"omni.joint_space.{name}", "init_args": arguments}


@pytest.mark.parametrize(
    ("text_head", "image_head"),
    [
        (head("IdentityHead"), head("LinearHead", pooling="first")),
        (head("MLPHead", hidden_dim=20, pooling="first"), head("MLPHead", hidden_dim=40)),
    ],
)
def test_embeddings_are_the_spaces(tmp_path: Path, text_head: dict[str, Any], image_head: dict[str, Any]) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    made = space(tmp_path, text_head, image_head)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 30, 50, 3), dtype=np.uint8)
    pictures = [Image.fromarray(one) for one in pixels]
    expected = made.embed({"text": TEXTS, "image": pictures})
    made.save(tmp_path / "space")
    words = ["export", "sentence-transformers", str(tmp_path / "space"), "--output", str(tmp_path / "router")]
    assert main(words) == 0
    loaded = sentence_transformers.SentenceTransformer(str(tmp_path / "router"), device="cpu")
    for name, items in (("text", TEXTS), ("image", pictures)):
        found = torch.from_numpy(loaded.encode(items))
        torch.testing.assert_close(found, expected[name], atol=1e-5, rtol=0)
    assert "Effective licence" in (tmp_path / "router" / "README.md").read_text()


def test_what_a_router_cannot_say_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    linear = head("LinearHead")
    cases = [
        (tiny_space(), r"modalities\.image\.encoder: .*SensorEncoder is no network"),
        (space(tmp_path, linear, linear, keep_class_token=False), r"image\.encoder: a Router pools all"),
        (space(tmp_path, linear, linear, layers=-2), r"layers must be -1"),
        (space(tmp_path, linear, linear, dtype="bfloat16"), r"image\.encoder\.dtype: torch\.bfloat16"),
    ]
    for made, message in cases:
        with pytest.raises(ValueError, match=message):
            export_sentence_transformer(made, tmp_path / "router")
    assert not (tmp_path / "router").exists()
