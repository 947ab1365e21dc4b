"""What is ranked in `python -m eval.speed ranking`: models, questions about pictures, and labels.

Shapes: C frames, H height, W width.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from adapters import Resampler
from eval.speed.shapes import RANDOM_SHAPES, RandomViT, build_shape
from omni.config import LLMConfig
from omni.llm.loading import load_llm
from omni.media.item import Media
from omni.model import OmniModel
from omni.model.modality import Modality
from omni.samples.messages import Message, Text
from omni.starter import resolve

# ViT-Ti (Touvron et al. 2021, arXiv:2012.12877): small next to the LLM, as encoders are in practice
VIT_TINY = {"hidden_size": 192, "num_hidden_layers": 12, "num_attention_heads": 3, "intermediate_size": 768}
VIT_TINY |= {"image_size": 224, "patch_size": 16}
NUM_QUERIES = 32  # media tokens of a picture or a frame, as in BLIP-2 and X-InstructBLIP
PROMPT = "What is this? Answer in a few words."

# The classes of ModelNet40 (Wu et al. 2015, arXiv:1406.5670)
MODELNET40 = (
    "airplane bathtub bed bench bookshelf bottle bowl car chair cone cup curtain desk door dresser flower_pot "
    "glass_box guitar keyboard lamp laptop mantel monitor night_stand person piano plant radio range_hood sink sofa "
    "stairs stool table tent toilet tv_stand vase wardrobe xbox"
)
# The classes of ESC-50 (Piczak 2015, doi:10.1145/2733373.2806390)
ESC50 = (
    "dog rooster pig cow frog cat hen insects sheep crow rain sea_waves crackling_fire crickets chirping_birds "
    "water_drops wind pouring_water toilet_flush thunderstorm crying_baby sneezing clapping breathing coughing "
    "footsteps laughing brushing_teeth snoring drinking_sipping door_knock mouse_click keyboard_typing "
    "door_wood_creaks can_opening washing_machine vacuum_cleaner clock_alarm clock_tick glass_breaking helicopter "
    "chainsaw siren car_horn engine train church_bells airplane fireworks hand_saw"
)
ACTIONS = ["carrying", "finding", "painting", "washing", "breaking", "holding", "dropping", "selling"]
COLOURS = [
    "red",
    "green",
    "blue",
    "black",
    "white",
    "yellow",
    "brown",
    "grey",
    "small",
    "large",
    "old",
    "new",
    "broken",
]
COLOURS += ["clean", "dirty", "wooden", "heavy", "light"]
PLACES = "in a kitchen,in a forest,on a street,by the sea,at night,in the snow,on a farm,in a shop,in a school"


@dataclass(frozen=True)
class Case:
    """Labels that are ranked for one picture or video."""

    name: str
    target: float  # the speedup that is asked for; 0 = none
    num_frames: int
    labels: tuple[str, ...]


@dataclass(frozen=True)
class RankingShape:
    """A model and what it ranks."""

    name: str
    description: str
    model: OmniModel
    cases: tuple[Case, ...]
    many: tuple[str, ...]  # labels to show that memory is bounded
    side: int  # pixels of a frame

    def question(self, case: Case) -> tuple[Message, ...]:
        """Return the conversation of a case: one media item of random frames, then the question."""
        generator = np.random.default_rng(len(case.labels))
        frames = generator.integers(0, 256, (case.num_frames, self.side, self.side, 3), dtype=np.uint8)
        return (Message("user", (Media("image", data=frames), Text(PROMPT))),)


def build_ranking_shape(name: str) -> RankingShape:
    """Build the shape `name`, on the GPU if there is one.

    Raises:
        ValueError: a shape for GPUs without one.
        FileNotFoundError: starter assets that were not fetched.
    """
    torch.manual_seed(0)
    if name == "starter":
        return _starter(name)
    shape = build_shape("tiny" if name == "tiny" else "eva-vicuna-video", None, 1, 1)
    shape.model.eval()
    sizes = RANDOM_SHAPES[shape.name]
    words = _vocabulary_words(sizes.llm["vocab_size"])
    cases = [replace(case, labels=tuple(map(words, case.labels))) for case in _cases()]
    what = f"random weights of the sizes of {shape.name}, {sizes.num_queries} media tokens a frame, labels of words"
    return RankingShape(name, what, shape.model, tuple(cases), tuple(map(words, _many())), sizes.vision["image_size"])


def _starter(name: str) -> RankingShape:
    llm = load_llm(LLMConfig(resolve("starter:smollm2")))
    encoder = RandomViT(VIT_TINY)
    adapter = Resampler(encoder.dim, llm.hidden_size, num_queries=NUM_QUERIES, embedding_rms=llm.embedding_rms)
    model = OmniModel(llm, {"image": Modality(encoder, adapter, "image: ", join_clips=False)})
    what = f"SmolLM2-135M, a ViT of ViT-Ti's size and a Resampler ({NUM_QUERIES} tokens a frame) with random weights"
    return RankingShape(name, what, model.eval(), tuple(_cases()), tuple(_many()), VIT_TINY["image_size"])


def _cases() -> list[Case]:
    modelnet, esc = _names(MODELNET40), _names(ESC50)
    acted = [f"Somebody {action} {label}." for label, action in zip(modelnet, itertools.cycle(ACTIONS))]
    return [
        Case("40 labels (ModelNet40)", 5, 1, tuple(f"{label[0].upper()}{label[1:]}." for label in modelnet)),
        Case("50 labels (ESC-50)", 8, 1, tuple(f"The sound of {label}." for label in esc)),
        Case("40 candidates, 5 frames", 12, 5, tuple(acted)),
    ]


def _many() -> list[str]:
    """10,000 different labels; the first 1,000 have no place."""
    things = [
        f"A {colour} {label.removeprefix('a ').removeprefix('an ')}"
        for colour, label in itertools.product(COLOURS, dict.fromkeys(_names(MODELNET40) + _names(ESC50)))
    ][:1000]
    return [f"{thing}{place}." for place in ["", *(f" {place}" for place in PLACES.split(","))] for thing in things][
        :10_000
    ]


def _names(text: str) -> list[str]:
    names = [name.replace("_", " ") for name in text.split()]
    return [f"{'an' if name[0] in 'aeiou' else 'a'} {name}" for name in names]


def _vocabulary_words(size: int) -> Callable[[str], str]:
    """Return a function from a label to as many words of a vocabulary w3, w4, ..., the same for the same words."""
    numbers: dict[str, int] = {}

    def convert(label: str) -> str:
        return " ".join(f"w{3 + numbers.setdefault(word, len(numbers)) % (size - 3)}" for word in label.split())

    return convert
