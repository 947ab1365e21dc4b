"""Video tasks on the animations of Wesnoth's actors."""

from eval.task import Choose, Task

TASKS = (
    Task(
        name="video-caption-choice-10",
        version=2,
        description="Which of 10 captions belongs to the animation? Actors never seen in training.",
        data="starter:wesnoth/video-test.jsonl",
        modalities=("video",),
        prompt="Describe the video.",
        kind=Choose("grouped", num_candidates=10),
        scorer="choice-pmi-v1",
        reference="starter:wesnoth/video-train.jsonl",
        train="starter:wesnoth/video-train.jsonl",
        clusters=("media", "answer"),
        num_shuffles=2,
        no_probe="captions are open-ended, there are no classes to probe for",
    ),
)
