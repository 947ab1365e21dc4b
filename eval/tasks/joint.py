"""Tasks on a picture and a sound of the same thing: does the model use both?"""

from eval.task import Choose, Match, Task

DATA = "starter:stamps/triplet-test.jsonl"
PROMPT = "Describe what you see and hear in a few words."

TASKS = (
    Task(
        name="joint-caption-choice-10",
        version=3,
        description="Which of 10 captions belongs to picture and sound? Also with one of them alone.",
        data=DATA,
        modalities=("image", "sound"),
        prompt=PROMPT,
        kind=Choose("grouped", num_candidates=10),
        scorer="choice-pmi-v1",
        reference="starter:stamps/triplet-train.jsonl",
        train="starter:stamps/triplet-train.jsonl",
        only=(("image",), ("sound",)),
        num_shuffles=4,
    ),
    Task(
        name="joint-sound-match",
        version=2,
        description="Is the caption likelier with the picture and its own sound than with another stamp's sound?",
        data=DATA,
        modalities=("image", "sound"),
        prompt=PROMPT,
        kind=Match(replaced="sound", num_mismatches=5),
        scorer="match-v1",
    ),
)
