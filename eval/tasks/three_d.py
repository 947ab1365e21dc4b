"""3D tasks on models of furniture."""

from eval.task import Choose, Task

TASKS = (
    Task(
        name="object-caption-choice-10",
        version=2,
        description="Which of 10 captions belongs to the 3D model? Makers never seen in training.",
        data="starter:furniture/object-test.jsonl",
        modalities=("point_cloud",),
        prompt="Describe the object.",
        kind=Choose("grouped", num_candidates=10),
        scorer="choice-pmi-v1",
        reference="starter:furniture/object-train.jsonl",
        train="starter:furniture/object-train.jsonl",
        clusters=("media", "answer"),
        num_shuffles=2,
        no_probe="captions are open-ended, there are no classes to probe for",
    ),
)
