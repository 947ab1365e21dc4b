"""Questions about pictures with short answers: OK-VQA, VizWiz, TextVQA, GQA, RealWorldQA."""

from eval.task import Task
from eval.tasks import instructblip
from eval.tasks.benchmark_tasks import answers
from eval.tasks.vqa import PLAIN, SHORT_ANSWER

# lmms-eval's wording for OK-VQA and VizWiz: its first sentence is worth points where annotators gave no answer.
UNANSWERABLE = "\nWhen the provided information is insufficient, respond with 'Unanswerable'." + SHORT_ANSWER
INSTRUCTBLIP = "based on the given image respond to {question}"


def _annotated(name: str, data: str, description: str, *, prompt: str = "{question}", post_prompt: str) -> Task:
    """Return the task of a short answer that is compared with those of several annotators."""
    return answers(
        name,
        data,
        "image",
        description,
        scorer="vqa-accuracy-v1",
        target="meta:answers",
        prompt=prompt,
        post_prompt=post_prompt,
        plain_prompt=PLAIN,
    )


def _instructblip(name: str, data: str, what: str, scorer: str, target: str) -> Task:
    return answers(
        f"{name}-instructblip",
        data,
        "image",
        f"{what} as X-InstructBLIP asks it: its prompt, five beams.",
        scorer=scorer,
        target=target,
        prompt=INSTRUCTBLIP,
        settings=instructblip.SHORT_ANSWER,
    )


TASKS = (
    _annotated(
        "ok-vqa",
        "official:ok-vqa/val",
        "OK-VQA, validation: open questions that need knowledge, compared with five annotators.",
        post_prompt=UNANSWERABLE,
    ),
    _instructblip("ok-vqa", "official:ok-vqa/val", "OK-VQA, validation,", "vqa-accuracy-v1", "meta:answers"),
    _annotated(
        "vizwiz",
        "official:vizwiz/val",
        "VizWiz-VQA, validation: questions of blind people about their pictures, compared with ten annotators.",
        prompt="{capitalized}",
        post_prompt=UNANSWERABLE,
    ),
    _instructblip("vizwiz", "official:vizwiz/val", "VizWiz-VQA, validation,", "vqa-accuracy-v1", "meta:answers"),
    _annotated(
        "textvqa",
        "official:textvqa/val",
        "TextVQA, validation: questions about text in pictures, without its reading by a machine.",
        prompt="{capitalized}",
        post_prompt=SHORT_ANSWER,
    ),
    answers(
        "gqa",
        "official:gqa/testdev",
        "image",
        "GQA, balanced test-dev: questions made from scene graphs, with one right answer.",
        scorer="exact-match-gqa-v1",
        post_prompt=SHORT_ANSWER,
        plain_prompt=PLAIN,
    ),
    _instructblip("gqa", "official:gqa/val", "GQA, balanced validation,", "exact-match-v2", "meta:answer"),
    answers(
        "realworldqa",
        "official:realworldqa/test",
        "image",
        "RealWorldQA: everyday scenes; the question itself says how to answer, by a letter, a word or a number.",
        scorer="exact-match-v2",
    ),
)
