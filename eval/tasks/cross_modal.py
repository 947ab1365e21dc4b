"""Choices between media of different kinds: DisCRn and XModBench."""

from typing import Any

from eval.data.sets.cross_modal import XMOD_PAIRS
from eval.task import Generate, Task
from eval.tasks import instructblip
from eval.tasks.choice_tasks import likeliest_choice, written_choice

_TWO_INPUTS = (
    "You are given two inputs. Select exactly one of the two by reference to its relative position (first or second) "
    "that best answers the question. {question}"
)
_NAMES = {"audio": "sound", "image": "image", "video": "video"}


def _discrn(pair: str, modalities: tuple[str, str], said: str, length_penalty: float) -> tuple[Task, Task, Task]:
    """Return DisCRn with a written answer, with the likeliest of two answers, and as X-InstructBLIP asks it."""
    common: dict[str, Any] = {
        "version": 1,
        "data": f"official:discrn/{pair}",
        "modalities": modalities,
        "clusters": ("media",),
        "no_probe": "the answer is a place, there are no classes to probe for",
    }
    written = Task(
        name=f"discrn-{pair}",
        description=f"DisCRn: which of two, {said}, answers the question.",
        prompt=_TWO_INPUTS,
        post_prompt="\nAnswer with first or second.",
        plain_prompt="Question: {question} Answer (first or second):",
        kind=Generate({"max_new_tokens": 10}),
        scorer="first-second-v1",
        target="meta:answer",
        **common,
    )
    theirs = Task(
        name=f"discrn-{pair}-instructblip",
        description=f"DisCRn, {said}, as X-InstructBLIP asks it: its prompt, two frames, five beams.",
        prompt=instructblip.DISCRN_PROMPT,
        media_options=instructblip.TWO_FRAMES if "video" in modalities else {},
        kind=Generate(instructblip.SHORT_ANSWER | {"length_penalty": length_penalty}),
        scorer="first-second-v1",
        target="meta:answer",
        **common,
    )
    likeliest = likeliest_choice(written, prompt=_TWO_INPUTS)
    return written, likeliest.changed(target="meta:answer"), theirs


def _xmod(pair: str) -> tuple[Task, Task]:
    condition, options = pair.split("_")
    written = written_choice(
        f"xmodbench-{pair.replace('_', '-')}",
        f"XModBench: which {options} of four fits the {condition}.",
        data=f"official:xmodbench/{pair}",
        modalities=tuple(dict.fromkeys(_NAMES[one] for one in (condition, options) if one in _NAMES)),
        clusters=(),
        prompt=None,
        plain_prompt=None,
        post_prompt="\nAnswer with the option's letter (A, B, C, or D) directly.",
    )
    return written, likeliest_choice(written, prompt=None)


TASKS = (
    *_discrn("audio-video", ("sound", "video"), "a sound and a video", -1.0),
    *_discrn("image-3d", ("image", "point_cloud"), "a picture and a 3D model", 1.0),
    *(task for pair in XMOD_PAIRS for task in _xmod(pair)),
)
