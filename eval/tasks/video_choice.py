"""Multiple choice and classification of videos: NExT-QA, MVBench, Video-MME, EgoSchema, Kinetics-400 and others."""

from eval.data.sets.kinetics_labels import K400_LABELS
from eval.data.sets.mvbench import KINDS
from eval.task import Choose, Generate, Task
from eval.tasks.choice_tasks import LETTER, PLAIN, both_choices, written_choice
from eval.tasks.vqa import PLAIN as PLAIN_QUESTION

_LISTED = "{question}\n{options}"
_VIDEO = ("video",)

# lmms-eval's words, also for the videos without subtitles
_VIDEO_MME = (
    "Select the best answer to the following multiple-choice question based on the video and the subtitles. Respond "
    "with only the letter (A, B, C, or D) of the correct option.\n{question}\n{options}"
)
_MVBENCH = "Question:{question}\nOption:\n{marked_options}\n"
_ONLY_OPTION = "Only give the best option.\n"


def _mvbench(kind: str) -> Task:
    name = kind.replace("_", "-")
    return written_choice(
        f"mvbench-{name}",
        f"MVBench, {kind.replace('_', ' ')}: multiple choice about videos.",
        data=f"official:mvbench/{kind}",
        modalities=_VIDEO,
        prompt=_MVBENCH,
        post_prompt=_ONLY_OPTION,
    )


TASKS = (
    *both_choices(
        "next-qa",
        "NExT-QA, test: which of five answers is right, about causes, times and descriptions.",
        data="official:next-qa/mc-test",
        modalities=_VIDEO,
        prompt=_LISTED,
        post_prompt=LETTER,
    ),
    *both_choices(
        "mvbench",
        "MVBench, all twenty kinds: multiple choice about videos.",
        data="official:mvbench/all",
        modalities=_VIDEO,
        prompt=_MVBENCH,
        post_prompt=_ONLY_OPTION,
    ),
    *(_mvbench(kind) for kind in KINDS),
    *both_choices(
        "video-mme",
        "Video-MME: multiple choice about short, medium and long videos, without subtitles.",
        data="official:video-mme/test",
        modalities=_VIDEO,
        prompt=_VIDEO_MME,
        post_prompt="\nThe best answer is:",
    ),
    written_choice(
        "video-mme-subtitles",
        "Video-MME with all subtitles of the video in the question.",
        data="official:video-mme/test-subtitles",
        modalities=_VIDEO,
        prompt=f"This video's subtitles are listed below: \n{{subtitles}}\n{_VIDEO_MME}",
        plain_prompt=f"Subtitles: {{subtitles}}\n{PLAIN}",
        post_prompt="\nThe best answer is:",
    ),
    *both_choices(
        "egoschema",
        "EgoSchema, the 500 questions with public answers: five options about three minutes of a person's day.",
        data="official:egoschema/subset",
        modalities=_VIDEO,
        prompt=_LISTED,
        post_prompt=LETTER,
    ),
    *both_choices(
        "perception-test",
        "Perception Test, validation: which of three answers is right.",
        data="official:perception-test/val",
        modalities=_VIDEO,
        prompt=_LISTED,
        post_prompt=LETTER,
    ),
    *both_choices(
        "tempcompass",
        "TempCompass, multiple choice about actions, directions, speed, order and changes.",
        data="official:tempcompass/multi-choice",
        modalities=_VIDEO,
        prompt=_LISTED,
        post_prompt="\nPlease directly give the best option:",
    ),
    *both_choices(
        "tempcompass-captions",
        "TempCompass, caption matching: which caption fits the video, with letters before the captions.",
        data="official:tempcompass/caption-matching",
        modalities=_VIDEO,
        prompt=_LISTED,
        post_prompt="\nPlease directly give the best option:",
    ),
    Task(
        name="tempcompass-yes-no",
        version=1,
        description="TempCompass, questions with the answer yes or no.",
        data="official:tempcompass/yes-no",
        modalities=_VIDEO,
        prompt="{question}",
        post_prompt="\nPlease answer yes or no:",
        plain_prompt=PLAIN_QUESTION,
        kind=Generate({"max_new_tokens": 16}),
        scorer="yes-no-v1",
        target="meta:answer",
        clusters=("media",),
        no_probe="yes and no are no classes of videos",
    ),
    Task(
        name="k400",
        version=1,
        description="Kinetics-400, validation: which of 400 actions the video shows, zero-shot.",
        data="official:k400/val",
        modalities=_VIDEO,
        prompt="What is the person in the video doing?",
        plain_prompt="The person in the video is",
        kind=Choose("labels", labels={name: name for name in K400_LABELS}),
        scorer="classification-sum-v1",
        target="meta:label",
        clusters=("media",),
        no_probe="its training split is not among the files",
    ),
)
