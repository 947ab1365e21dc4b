"""Questions about videos with a short answer: MSVD-QA, MSRVTT-QA, ActivityNet-QA and the open form of NExT-QA."""

from typing import Any

from eval.task import Generate, Task
from eval.tasks import instructblip
from eval.tasks.vqa import PLAIN, SHORT_ANSWER

_OPEN = "answers are open-ended, there are no classes to probe for"


def _open_task(name: str, description: str, data: str, **values: Any) -> Task:
    usual = {
        "version": 1,
        "modalities": ("video",),
        "prompt": "{question}",
        "kind": Generate({"max_new_tokens": 16}),
        "scorer": "exact-match-v2",
        "target": "meta:answer",
        "clusters": ("media",),
        "no_probe": _OPEN,
    }
    return Task(name=name, description=description, data=data, **usual | values)


def _theirs(name: str, title: str, data: str, prompt: str) -> Task:
    return _open_task(
        f"{name}-instructblip",
        f"{title} as X-InstructBLIP asks it: its prompt, five frames, five beams.",
        data,
        prompt=prompt,
        media_options=instructblip.FIVE_FRAMES,
        kind=Generate(instructblip.SHORT_ANSWER),
    )


_COMPARED = "open questions about videos, compared with the one right answer."
_WRITTEN = {"post_prompt": SHORT_ANSWER, "plain_prompt": PLAIN}

TASKS = (
    _open_task("msvd-qa", f"MSVD-QA, test: {_COMPARED}", "official:msvd-qa/test", **_WRITTEN),
    _theirs("msvd-qa", "MSVD-QA, test", "official:msvd-qa/test", instructblip.QUESTION_PROMPT),
    _open_task("msrvtt-qa", f"MSRVTT-QA, test: {_COMPARED}", "official:msrvtt-qa/test", **_WRITTEN),
    _theirs("msrvtt-qa", "MSRVTT-QA, test", "official:msrvtt-qa/test", instructblip.VIDEO_PROMPT),
    _open_task(
        "activitynet-qa",
        f"ActivityNet-QA, test: {_COMPARED} Without the judge that papers use.",
        "official:activitynet-qa/test",
        post_prompt=f" {SHORT_ANSWER.strip()}",
        plain_prompt=PLAIN,
    ),
    _open_task(
        "activitynet-qa-judge",
        f"ActivityNet-QA, test: {_COMPARED} By a judge at an address of yours.",
        "official:activitynet-qa/test",
        post_prompt=f" {SHORT_ANSWER.strip()}",
        plain_prompt=PLAIN,
        scorer="judge-v1",
    ),
    _open_task(
        "next-qa-open",
        "NExT-QA, open questions, test: compared with one or two right answers, word for word, and by WUPS.",
        "official:next-qa/oe-test",
        post_prompt="\nAnswer a question using a short phrase or sentence.",
        plain_prompt=PLAIN,
        kind=Generate({"max_new_tokens": 32}),
        scorer="wups-v1",
        target="meta:answers",
    ),
)
