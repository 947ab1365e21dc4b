"""What the quickstart trains and evaluates: on the starter data, or on a folder of the user's own."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.suites import get_tasks
from eval.task import Choose, Task
from omni.messages import Media, Sample, SampleError
from omni.readers import open_dataset, split_by_caption, write_manifest
from omni.starter import GROUPS

RECIPES = Path(__file__).parents[2] / "train" / "recipes"

# modality -> the recipe whose model it is trained with, and the prompt
RECIPE_OF = {
    "image": ("quickstart-image.yaml", "Describe the picture."),
    "sound": ("quickstart-sound.yaml", "Describe the sound."),
}
WEIGHTS = {"image": "efficientnet-lite0", "sound": "yamnet"}
MIN_TEST = 2  # held-out items below which there is nothing to choose between


@dataclass(frozen=True)
class Training:
    """One adapter to train: a recipe and what is set beside it on the command line."""

    modality: str
    recipe: Path
    overrides: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What a quickstart does."""

    assets: tuple[str, ...]  # starter assets that it needs
    trainings: tuple[Training, ...]
    tasks: tuple[Task, ...]
    question: str
    joint: tuple[Media, ...]  # media that the question is asked about, at most one of each modality


def starter_plan() -> Plan:
    """Image and sound on the starter data; call it when the assets are there."""
    trainings = tuple(Training(name, RECIPES / recipe) for name, (recipe, _) in RECIPE_OF.items())
    triplets = open_dataset("starter:stamps/triplet-test.jsonl")
    first = next(sample for sample in (triplets[i] for i in range(len(triplets))) if isinstance(sample, Sample))
    tasks = tuple(get_tasks("quickstart"))
    return Plan(GROUPS["quickstart"], trainings, tasks, "Describe what you see and hear.", first.media)


def folder_plan(folder: str, work: Path) -> Plan:
    """Image and sound files of the user's own with captions (a manifest, or file names as captions).

    Training and test manifests go to `work`; a caption is in one of them only.

    Raises:
        ValueError: nothing there that can be used, or too little of it.
    """
    samples, skipped = _usable_samples(folder)
    trainings, tasks, joint = [], [], []
    for modality, found in samples.items():
        recipe, prompt = RECIPE_OF[modality]
        train, test = split_by_caption([sample.meta["caption"] for sample in found])
        if len(train) < MIN_TEST or len(test) < MIN_TEST:
            skipped.append(f"{len(found)} {modality} file(s) are too few to train and to test on")
            continue
        manifests = {name: work / f"{modality}-{name}.jsonl" for name in ("train", "test")}
        write_manifest(manifests["train"], [found[index] for index in train])
        write_manifest(manifests["test"], [found[index] for index in test])
        source = {"path": str(manifests["train"]), "instructions": [prompt]}
        trainings.append(Training(modality, RECIPES / recipe, {"data.train": [source]}))
        tasks.append(_choice_task(modality, manifests, prompt, len(test)))
        joint.append(found[test[0]].media[0])
    for line in skipped:
        print(f"left out: {line}")
    if not trainings:
        raise ValueError(
            f"{folder} has no pictures or sounds with captions to train on (at least some ten captions). Give "
            "each file its caption as its name (red_fox.png), as a text file beside it (fox.txt), or in manifest.jsonl"
        )
    weights = tuple(WEIGHTS[training.modality] for training in trainings)
    question = "Describe what you see and hear." if len(joint) > 1 else RECIPE_OF[trainings[0].modality][1]
    return Plan(("smollm2", "minilm", *weights), tuple(trainings), tuple(tasks), question, tuple(joint))


def _usable_samples(folder: str) -> tuple[dict[str, list[Sample]], list[str]]:
    """Samples with a single picture or sound and a caption, by modality; and in words what was left out."""
    samples: dict[str, list[Sample]] = defaultdict(list)
    left_out: dict[str, int] = defaultdict(int)
    dataset = open_dataset(folder)
    for index in range(len(dataset)):
        sample = dataset[index]
        if isinstance(sample, SampleError):
            left_out[sample.reason] += 1
            continue
        caption = sample.meta.get("caption") or sample.messages[-1].text
        modalities = [media.modality for media in sample.media]
        if len(modalities) != 1 or modalities[0] not in RECIPE_OF or not caption.strip():
            left_out[
                f"rows of {' + '.join(modalities) or 'text only'}: the quickstart takes one picture or sound each"
            ] += 1
            continue
        samples[modalities[0]].append(Sample(sample.id, sample.messages, {**sample.meta, "caption": caption.strip()}))
    return samples, [f"{count} x {reason}" for reason, count in left_out.items()]


def _choice_task(modality: str, manifests: dict[str, Path], prompt: str, num_items: int) -> Task:
    number = min(10, num_items)
    return Task(
        name=f"{modality}-caption-choice-{number}",
        version=1,
        description=f"Which of {number} captions belongs to the {modality}? Captions never seen in training.",
        data=str(manifests["test"]),
        modalities=(modality,),
        prompt=prompt,
        kind=Choose("sampled", num_candidates=number),
        scorer="choice-pmi-v1",
        reference=str(manifests["train"]),
        num_shuffles=2,
    )


def describe_media(media: Sequence[Media]) -> list[dict[str, Any]]:
    """Media that are files as the JSON parts that reports take."""
    return [{"type": item.modality, "path": item.path} for item in media if isinstance(item.path, str)]
