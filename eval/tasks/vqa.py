"""Questions about pictures that ten annotators answered: VQAv2 and those in its form."""

from eval.task import Generate, Task
from eval.tasks import instructblip

# lmms-eval's wording; a short answer is what VQA accuracy compares.
SHORT_ANSWER = "\nAnswer the question using a single word or phrase."
PLAIN = "Question: {question} Short answer:"

TASKS = (
    Task(
        name="vqav2",
        version=1,
        description="VQAv2, validation: open questions about pictures, compared with ten annotators.",
        data="official:vqav2/val",
        modalities=("image",),
        prompt="{question}",
        post_prompt=SHORT_ANSWER,
        plain_prompt=PLAIN,
        kind=Generate({"max_new_tokens": 16}),
        scorer="vqa-accuracy-v1",
        target="meta:answers",
        clusters=("media",),
        no_probe="answers are open-ended, there are no classes to probe for",
    ),
    Task(
        name="vqav2-instructblip",
        version=1,
        description="VQAv2 as X-InstructBLIP asks it: its prompt, five beams.",
        data="official:vqav2/val",
        modalities=("image",),
        prompt="based on the given image respond to {question}",
        kind=Generate(instructblip.SHORT_ANSWER),
        scorer="vqa-accuracy-v1",
        target="meta:answers",
        clusters=("media",),
        no_probe="answers are open-ended, there are no classes to probe for",
    ),
)
