"""The plan of a quickstart: what it trains and evaluates, on the starter data or on a folder of the user's own."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import track

from eval.task import Choose, Task
from eval.tasks.suites import get_tasks
from omni.media.errors import MediaError
from omni.media.image import load_image
from omni.media.sound import load_sound
from omni.readers import open_dataset, split_by_caption, write_manifest
from omni.samples.messages import Media, Sample, SampleError, check_answer
from omni.starter import GROUPS
from train.recipe import RECIPES, load_recipe

# modality -> the recipe whose model it is trained with, and the prompt
BOTH_PROMPT = "Describe what you see and hear in a few words."
RECIPE_OF = {
    "image": ("quickstart-image.yaml", "Describe the picture in a few words."),
    "sound": ("quickstart-sound.yaml", "Describe the sound in a few words."),
}
WEIGHTS = {"image": "efficientnet-lite0", "sound": "yamnet"}
LOADER_OF = {"image": load_image, "sound": load_sound}
MIN_TEST = 2  # held-out items below which there is nothing to choose between
TEST_SHARES = (0.2, 0.3, 0.4, 0.5)  # of the captions; the first one that holds out enough is taken
SHOWN_LEFT_OUT = 10
NUM_FREE = 4  # items that the model describes in its own words, for each question


@dataclass(frozen=True)
class Training:
    """One adapter to train: a recipe, and what is overridden on the command line."""

    modality: str
    recipe: Path
    overrides: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FreeQuestion:
    """A question that the model answers in its own words, about held-out media whose caption is known."""

    media: tuple[Media, ...]
    question: str
    caption: str


@dataclass(frozen=True)
class Plan:
    """Everything that a quickstart does."""

    assets: tuple[str, ...]  # starter assets that it needs
    trainings: tuple[Training, ...]
    tasks: tuple[Task, ...]
    questions: tuple[FreeQuestion, ...]


def starter_plan() -> Plan:
    """Return the plan for image and sound on the starter data; call it when the assets are there."""
    trainings = tuple(Training(name, RECIPES / recipe) for name, (recipe, _) in RECIPE_OF.items())
    pictures, both = (open_dataset(f"starter:stamps/{name}-test.jsonl") for name in ("image", "triplet"))
    questions = (
        *_free_questions([sample for sample in both if isinstance(sample, Sample)], BOTH_PROMPT),
        *_free_questions([sample for sample in pictures if isinstance(sample, Sample)], RECIPE_OF["image"][1]),
    )
    return Plan(GROUPS["quickstart"], trainings, tuple(get_tasks("quickstart")), questions)


def _free_questions(samples: Sequence[Sample], question: str) -> list[FreeQuestion]:
    """Return questions about some samples, evenly spread."""
    number = min(NUM_FREE, len(samples))
    shown = [samples[index * len(samples) // number] for index in range(number)]
    return [FreeQuestion(sample.media, question, sample.messages[-1].text.strip()) for sample in shown]


def folder_plan(folder: str, work: Path) -> Plan:
    """Return the plan for the user's own image and sound files with captions (a manifest, or file names as captions).

    Training and test manifests go to `work`; a caption is in one of them only.

    Raises:
        ValueError: the folder holds nothing that can be used, or too little of it.
    """
    samples, skipped = _usable_samples(folder)
    trainings, tasks, questions = [], [], []
    for modality, found in samples.items():
        recipe, prompt = RECIPE_OF[modality]
        train, test = _split([sample.meta["caption"] for sample in found])
        if len(train) < MIN_TEST or len(test) < MIN_TEST:
            skipped.append(f"{len(found)} {modality} file(s) are too few to train and to test on")
            continue
        manifests = {name: work / f"{modality}-{name}.jsonl" for name in ("train", "test")}
        write_manifest(manifests["train"], [found[index] for index in train])
        write_manifest(manifests["test"], [found[index] for index in test])
        source = {"path": str(manifests["train"]), "instructions": _instructions(recipe)}
        trainings.append(Training(modality, RECIPES / recipe, {"data.train": [source]}))
        tasks.append(_choice_task(modality, manifests, prompt, len(test)))
        questions += _free_questions([found[index] for index in test], prompt)
    for line in skipped[:SHOWN_LEFT_OUT]:
        print(f"left out: {line}")
    if len(skipped) > SHOWN_LEFT_OUT:
        print(f"left out: ... and {len(skipped) - SHOWN_LEFT_OUT} more")
    if not trainings:
        raise ValueError(
            f"{folder} has no pictures or sounds with captions to train on (at least some ten captions). Give "
            "each file its caption as its name (red_fox.png), as a text file next to it (fox.txt), or in manifest.jsonl"
        )
    weights = tuple(WEIGHTS[training.modality] for training in trainings)
    return Plan(("smollm2", "minilm", *weights), tuple(trainings), tuple(tasks), tuple(questions))


def _split(captions: Sequence[str]) -> tuple[list[int], list[int]]:
    train, test = split_by_caption(captions, TEST_SHARES[0])
    for share in TEST_SHARES[1:]:
        if len(test) < MIN_TEST:
            train, test = split_by_caption(captions, share)
    return train, test


def _usable_samples(folder: str) -> tuple[dict[str, list[Sample]], list[str]]:
    """Return samples with one readable picture or sound and a caption, by modality; and what was left out."""
    samples: dict[str, list[Sample]] = defaultdict(list)
    left_out: list[str] = []
    for entry in track(open_dataset(folder), description="reading", transient=True):
        try:
            sample = _checked(entry)
        except SampleError as error:
            left_out.append(f"{error.sample_id}: {error.reason}")
        else:
            samples[sample.media[0].modality].append(sample)
    return samples, left_out


def _checked(sample: Sample | SampleError) -> Sample:
    """Return the sample with the answer that is trained as its caption in `meta`.

    Broken files are seen here: training stops when they are many.

    Raises:
        SampleError: it is of no use to the quickstart.
    """
    if isinstance(sample, SampleError):
        raise sample
    check_answer(sample)
    modalities = [media.modality for media in sample.media]
    if len(modalities) != 1 or modalities[0] not in RECIPE_OF:
        held = " + ".join(modalities) or "only text"
        raise SampleError(sample.id, f"has {held}; the quickstart takes one picture or sound each")
    if not isinstance(sample.media[0].path, str):
        raise SampleError(sample.id, f"{sample.media[0].describe()} is no file; the quickstart takes files")
    try:
        LOADER_OF[modalities[0]](sample.media[0])
    except MediaError as error:
        raise SampleError(sample.id, error.problem) from error
    return Sample(sample.id, sample.messages, {**sample.meta, "caption": sample.messages[-1].text.strip()})


def _instructions(recipe: str) -> str | list[str] | None:
    """Return the instructions that the recipe trains with on its own data."""
    return load_recipe(RECIPES / recipe).data.train[0].instructions


def _choice_task(modality: str, manifests: dict[str, Path], prompt: str, num_items: int) -> Task:
    number = min(10, num_items)
    return Task(
        name=f"{modality}-caption-choice-{number}",
        version=2,
        description=f"Which of {number} captions belongs to the {modality}? Captions never seen in training.",
        data=str(manifests["test"]),
        modalities=(modality,),
        prompt=prompt,
        kind=Choose("grouped", num_candidates=number),
        scorer="choice-pmi-v1",
        reference=str(manifests["train"]),
        num_shuffles=2,
    )


def describe_media(media: Sequence[Media]) -> list[dict[str, Any]]:
    """Return the media that are files as the JSON parts that reports take."""
    return [{"type": item.modality, "path": item.path} for item in media if isinstance(item.path, str)]
