"""python -m eval motion_tasks.py:MOTION --model runs/motion/best"""

from eval.task import Choose, Task

MOTION = Task(
    name="motion",
    version=1,
    description="Which of seven motions was recorded?",
    data="test.jsonl",
    modalities=("motion",),
    prompt="What is going on? Answer in a few words.",
    kind=Choose("labels"),
    scorer="choice-pmi-v1",
    reference="train.jsonl",
    num_shuffles=4,
)

EMBEDDINGS = MOTION.changed(name="motion-embeddings", data="test-embeddings.jsonl", reference="train-embeddings.jsonl")
