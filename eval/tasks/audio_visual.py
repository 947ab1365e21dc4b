"""Questions about videos and their sound, with both, and with one of them alone."""

from typing import Any

from eval.task import Generate, Task
from eval.tasks import instructblip
from eval.tasks.choice_tasks import LETTER, both_choices, likeliest_choice, written_choice
from eval.tasks.vqa import PLAIN, SHORT_ANSWER

_BOTH = ("sound", "video")
_SHOWN = {"": _BOTH, "-sound": ("sound",), "-video": ("video",)}
_SAID = {"": "with sound and video", "-sound": "with the sound alone", "-video": "with the video alone"}
_LISTED = "{question}\n{options}"


def _music_avqa(suffix: str) -> tuple[Task, Task]:
    """Return MUSIC-AVQA in lmms-eval's words for short answers, and as X-InstructBLIP asks it."""
    common: dict[str, Any] = {
        "version": 1,
        "data": "official:music-avqa/test",
        "modalities": _SHOWN[suffix],
        "scorer": "exact-match-v2",
        "target": "meta:answer",
        "clusters": ("media",),
        "no_probe": "answers are open-ended, there are no classes to probe for",
    }
    written = Task(
        name=f"music-avqa{suffix}",
        description=f"MUSIC-AVQA, test: questions about musical performances, {_SAID[suffix]}.",
        prompt="{question}",
        post_prompt=SHORT_ANSWER,
        plain_prompt=PLAIN,
        kind=Generate({"max_new_tokens": 16}),
        **common,
    )
    settings = instructblip.SHORT_ANSWER | ({"max_new_tokens": 5} if suffix == "-sound" else {})
    theirs = Task(
        name=f"music-avqa{suffix}-instructblip",
        description=f"MUSIC-AVQA, test, as X-InstructBLIP asks it, {_SAID[suffix]}.",
        prompt=instructblip.QUESTION_PROMPT,
        media_options=instructblip.FIVE_FRAMES if "video" in _SHOWN[suffix] else {},
        kind=Generate(settings),
        **common,
    )
    return written, theirs


def _avqa(suffix: str) -> tuple[Task, Task]:
    return both_choices(
        f"avqa{suffix}",
        f"AVQA, validation: which of four answers about a video and its sound is right, {_SAID[suffix]}.",
        data="official:avqa/val",
        modalities=_SHOWN[suffix],
        prompt=_LISTED,
        post_prompt=LETTER,
    )


_WATCH = (
    "Carefully watch this video and pay attention to every detail. Based on your observations, select the best option "
    "that accurately addresses the question.\nThese are the frames of a video{sound}. Select the best answer to the "
    "following multiple-choice question based on the video. Respond with only the letter (A, B, C, or D) of the "
    "correct option.\n{question}\n{options}\n"
)
_SPEAKERS = {
    "": "based on the audiovisual clip. Respond with only the letter (A, B, C, or D) of the correct option.",
    "-sound": "based on the audio clip. Focus on the audio and respond with only the letter (A, B, C, or D).",
    "-video": "based on the silent visual clip. Rely on the visuals only and respond with the letter (A, B, C, or D).",
}


def _world_sense(suffix: str) -> Task:
    heard = " and the corresponding audio" if suffix == "" else ""
    return written_choice(
        f"worldsense{suffix}",
        f"WorldSense: multiple choice about videos and their sound, {_SAID[suffix]}.",
        data="official:worldsense/test",
        modalities=_SHOWN[suffix],
        prompt=_WATCH.replace("{sound}", heard),
    )


def _speakers(suffix: str) -> Task:
    return written_choice(
        f"av-speakerbench{suffix}",
        f"AV-SpeakerBench: who says what, {_SAID[suffix]}.",
        data="official:av-speakerbench/test",
        modalities=_SHOWN[suffix],
        prompt="Select the best answer to the following multiple-choice question "
        f"{_SPEAKERS[suffix]}\n{{question}}\n{{options}}\n",
        post_prompt="The best answer is:",
    )


_OMNI = (
    "Question:\n{question}\n\nOptions:\n{options}\n\nAnswer with the option's letter from the given choices directly."
)


def _omni_bench(suffix: str, description: str, modalities: tuple[str, ...], context: str) -> Task:
    return written_choice(
        f"omnibench{suffix}",
        f"OmniBench: multiple choice {description}.",
        data="official:omnibench/test",
        modalities=modalities,
        prompt=context + _OMNI,
        plain_prompt=f"{context}{{question}}\n{{options}}\nAnswer:",
        max_new_tokens=32,
    )


_OMNI_BENCH = _omni_bench("", "about a picture and a sound", ("sound", "image"), "")
_ODYSSEY = written_choice(
    "av-odyssey",
    "AV-Odyssey: multiple choice about sounds with pictures or videos, which may be the options.",
    data="official:av-odyssey/test",
    modalities=("sound", "image", "video"),
    optional=("image", "video"),
    prompt=None,
    plain_prompt=None,
    post_prompt=LETTER,
)

TASKS = (
    *(task for suffix in _SHOWN for task in _music_avqa(suffix)),
    *(task for suffix in _SHOWN for task in _avqa(suffix)),
    _OMNI_BENCH,
    likeliest_choice(_OMNI_BENCH),
    _omni_bench(
        "-image-content",
        "about a sound and the words for a picture, as a control",
        ("sound",),
        "Visual Context for the audio:\n{image_content}\n\n",
    ),
    _omni_bench(
        "-audio-content",
        "about a picture and the words for a sound, as a control",
        ("image",),
        "Audio context for the images:\n{audio_content}\n\n",
    ),
    _world_sense(""),
    likeliest_choice(_world_sense("")),
    _world_sense("-video"),
    _ODYSSEY,
    likeliest_choice(_ODYSSEY, prompt=None),
    *map(_speakers, _SHOWN),
    likeliest_choice(_speakers("")),
)
