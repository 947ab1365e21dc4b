"""Sound tasks on the sonic-pi samples and on the effect sounds of stamps."""

from eval.task import Choose, Probe, Task

PROMPT = "Describe the sound."

TASKS = (
    Task(
        name="sound-family-choice",
        version=1,
        description="Which family of samples does the sound belong to?",
        data="starter:sonic-pi/sound-test.jsonl",
        modalities=("sound",),
        prompt=PROMPT,
        kind=Choose("labels"),
        scorer="choice-pmi-v1",
        target="meta:family",
        clusters=("media",),
        num_shuffles=4,
        probe=Probe("starter:sonic-pi/sound-train.jsonl"),
    ),
    Task(
        name="sound-stamp-choice-10",
        version=1,
        description="Which of 10 stamp captions makes this sound?",
        data="starter:stamps/sound-test.jsonl",
        modalities=("sound",),
        prompt=PROMPT,
        kind=Choose("sampled", num_candidates=10),
        scorer="choice-pmi-v1",
        num_shuffles=4,
    ),
)
