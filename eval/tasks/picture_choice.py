"""Multiple choice about pictures: ScienceQA, MMMU, MMBench, SEED-Bench, MMStar, CV-Bench, BLINK, MMVP."""

from eval.task import Generate, Task
from eval.tasks.benchmark_tasks import NO_PROBE
from eval.tasks.choice_tasks import LETTER, PLAIN, likeliest_choice, written_choice

_LISTED = "{question}\n{options}"


def _choices(
    name: str,
    data: str,
    description: str,
    *,
    prompt: str = _LISTED,
    post_prompt: str = LETTER,
    plain_prompt: str | None = PLAIN,
    ranked_prompt: str | None = "{question}",
    group: str = "",
    optional: tuple[str, ...] = (),
) -> tuple[Task, ...]:
    """Return two tasks: an answer is written and read, and the options are ranked by likelihood.

    Args:
        name: of the first; the second one is `NAME-likelihood`.
        data: where their items come from.
        description: one line for people.
        prompt, post_prompt, plain_prompt: of the written answer; see `Task`.
        ranked_prompt: after which options are ranked; None = there is no such task.
        group: the beginning of the scorers' names, such as `pairs-`.
        optional: see `Task`.
    """
    written = written_choice(
        name,
        description,
        data=data,
        modalities=("image",),
        optional=optional,
        prompt=prompt,
        post_prompt=post_prompt,
        plain_prompt=plain_prompt,
        scorer=f"{group}multiple-choice-v1",
        no_probe=NO_PROBE,
    )
    if ranked_prompt is None:
        return (written,)
    ranked = likeliest_choice(
        written,
        prompt=ranked_prompt,
        plain_prompt=f"Question: {ranked_prompt}\nAnswer:",
        scorer=f"{group}choice-mean-v1",
        remark="; the likeliest option is the answer.",
    )
    return written, ranked


def _mmbench(name: str, split: str, what: str, post_prompt: str) -> tuple[Task, ...]:
    return _choices(
        name,
        f"official:mmbench/{split}",
        f"{what}, circular: right only with every rotation of the options.",
        prompt="{hint}{question} There are several options:\n{options}\n",
        post_prompt=post_prompt,
        plain_prompt=f"Question: {{hint}}{_LISTED}\nAnswer:",
        ranked_prompt="{hint}{question}",
        group="circular-",
    )


_CHINESE = "\n请直接使用所提供的选项字母作为答案回答。"
_ONLY_LETTER = "Note: You only need to respond with {letters} without providing any additional information.\n"
_CONTEXT = "{context}{question}"
_CV_BENCH = {
    "cv-bench": ("all", "2D and 3D (its figure is `accuracy_by_category`)", "categories-"),
    "cv-bench-ade20k": ("ade20k", "2D on ADE20K", ""),
    "cv-bench-coco": ("coco", "2D on COCO", ""),
    "cv-bench-omni3d": ("omni3d", "3D on Omni3D", ""),
}
_PLAIN_PROMPT = "{question}\nAnswer:"

_MMMU = Task(
    name="mmmu",
    version=1,
    description="MMMU, validation: college questions with pictures between their words, options or open.",
    data="official:mmmu/validation",
    modalities=("image",),
    prompt="{question}\n\n{instruction}",
    plain_prompt="Question: {question}\nAnswer:",
    kind=Generate({"max_new_tokens": 128}),
    scorer="mmmu-v1",
    target="meta:answer",
    clusters=("media",),
    no_probe=NO_PROBE,
)
TASKS = (
    *_choices(
        "scienceqa-img",
        "official:scienceqa/img",
        "ScienceQA, test, the questions with a picture.",
        prompt=f"{_CONTEXT}\n{{options}}",
        plain_prompt=f"{_CONTEXT}\n{{options}}\nAnswer:",
        ranked_prompt=_CONTEXT,
    ),
    *_choices(
        "scienceqa",
        "official:scienceqa/full",
        "ScienceQA, test, with and without a picture.",
        prompt=f"{_CONTEXT}\n{{options}}",
        plain_prompt=f"{_CONTEXT}\n{{options}}\nAnswer:",
        ranked_prompt=_CONTEXT,
        optional=("image",),
    ),
    _MMMU,
    _MMMU.changed(
        name="mmmu-lmms-eval",
        description="MMMU, validation, read as lmms-eval reads it: an option is drawn where none can be read.",
        scorer="mmmu-lmms-eval-random-v1",
    ),
    *_mmbench("mmbench-en", "dev-en", "MMBench, English dev", LETTER),
    *_mmbench("mmbench-cn", "dev-cn", "MMBench, Chinese dev", _CHINESE),
    *_mmbench("mmbench-en-v11", "dev-en-v11", "MMBench 1.1, English dev", LETTER),
    *_mmbench("ccbench", "cc", "CCBench, Chinese culture", _CHINESE),
    *_choices("seed-bench", "official:seed-bench/image", "SEED-Bench, the questions about pictures."),
    *_choices(
        "mmstar",
        "official:mmstar/val",
        "MMStar: questions that cannot be answered without their picture.",
        prompt="{question}",
        post_prompt="\nAnswer with the option's letter from the given choices directly",
        plain_prompt=_PLAIN_PROMPT,
        ranked_prompt=None,
    ),
    *(
        task
        for name, (split, what, group) in _CV_BENCH.items()
        for task in _choices(
            name,
            f"official:cv-bench/{split}",
            f"CV-Bench, {what}.",
            group=group,
            prompt=_ONLY_LETTER + "\n{question}",
            post_prompt="",
            plain_prompt=_PLAIN_PROMPT,
            ranked_prompt=None,
        )
    ),
    *_choices(
        "blink",
        "official:blink/val",
        "BLINK, validation: perception in up to four pictures (its figure is `accuracy_by_category`).",
        group="categories-",
        prompt=_ONLY_LETTER + "{question}",
        post_prompt="",
        plain_prompt=_PLAIN_PROMPT,
        ranked_prompt=None,
    ),
    *_choices(
        "mmvp",
        "official:mmvp/corrected",
        "MMVP, pairs of pictures that CLIP takes for one, both right; labels as corrected.",
        group="pairs-",
    ),
    *_choices(
        "mmvp-published",
        "official:mmvp/test",
        "MMVP with the labels as its authors gave them, two pairs of which are exchanged.",
        group="pairs-",
    ),
)
