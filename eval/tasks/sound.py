"""Sound tasks on the sonic-pi samples and on the effect sounds of stamps."""

from eval.task import Choose, Probe, Task

PROMPT = "Describe the sound in a few words."

# The families of the samples, put like a caption. The words were chosen on the training split (three folds by caption,
# each predicted by a model that was trained on the other two), never on the test split.
FAMILIES = {
    "ambient sound": "An ambient hum.",
    "bass drum": "A bass drum.",
    "bass note": "A bass note.",
    "drum kit": "A hard drum.",
    "electric sound": "An electric sound.",
    "everyday sound": "A noise.",
    "glitch": "A glitch noise.",
    "guitar": "A guitar.",
    "loop": "A loop of music.",
    "percussion": "A percussion instrument.",
    "snare drum": "A snare drum.",
    "tabla": "A tabla stroke.",
    "toy electronics": "A toy sound.",
    "vinyl record": "A vinyl scratch.",
}

TASKS = (
    Task(
        name="sound-family-choice",
        version=3,
        description="Which of 14 families of samples does the sound belong to?",
        data="starter:sonic-pi/sound-test.jsonl",
        modalities=("sound",),
        prompt=PROMPT,
        kind=Choose("labels", labels=FAMILIES),
        scorer="choice-pmi-v1",
        reference="starter:sonic-pi/sound-train.jsonl",
        num_references=24,
        target="meta:family",
        clusters=("media",),
        num_shuffles=4,
        probe=Probe("starter:sonic-pi/sound-train.jsonl"),
        train="starter:sonic-pi/sound-train.jsonl",
        train_target="answer",
    ),
    Task(
        name="sound-stamp-choice-10",
        version=3,
        description="Which of 10 stamp captions makes this sound?",
        data="starter:stamps/sound-test.jsonl",
        modalities=("sound",),
        prompt=PROMPT,
        kind=Choose("grouped", num_candidates=10),
        scorer="choice-pmi-v1",
        reference="starter:stamps/sound-train.jsonl",
        train="starter:stamps/sound-train.jsonl",
        num_references=16,
        num_shuffles=4,
    ),
)
