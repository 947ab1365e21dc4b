"""Questions about pictures with two answers: POPE, MME, HallusionBench, NaturalBench, VSR, and Raven-style matrices."""

from eval.task import Choose, Generate, Task
from eval.tasks.benchmark_tasks import NO_PROBE
from eval.tasks.vqa import SHORT_ANSWER

_YES_NO = {"yes": "Yes", "no": "No"}


def _written(
    name: str,
    data: str,
    description: str,
    scorer: str,
    *,
    prompt: str = "{question}",
    post_prompt: str = "",
    optional: tuple[str, ...] = (),
) -> Task:
    return Task(
        name=name,
        version=1,
        description=description,
        data=data,
        modalities=("image",),
        optional=optional,
        prompt=prompt,
        post_prompt=post_prompt,
        plain_prompt="Question: {question}\nAnswer:",
        kind=Generate({"max_new_tokens": 16}),
        scorer=scorer,
        target="meta:answer",
        clusters=("media",),
        no_probe=NO_PROBE,
    )


def _likeliest(name: str, data: str, description: str, scorer: str, optional: tuple[str, ...] = ()) -> Task:
    return Task(
        name=f"{name}-likelihood",
        version=1,
        description=f"{description.rstrip('.')}; the likelier of yes and no is the answer.",
        data=data,
        modalities=("image",),
        optional=optional,
        prompt="{question}",
        plain_prompt="Question: {question}\nAnswer:",
        kind=Choose("labels", labels=_YES_NO),
        scorer=scorer,
        target="meta:answer",
        clusters=("media",),
        no_probe=NO_PROBE,
    )


def _pope(split: str) -> tuple[Task, Task]:
    name, data = f"pope-{split}", f"official:pope/{split}"
    description = f"POPE, {split}: is the object in the picture?"
    return (
        _written(name, data, description, "yes-no-v1", post_prompt=SHORT_ANSWER),
        _likeliest(name, data, description, "yes-no-v1"),
    )


def _hallusion(name: str, split: str, what: str, optional: tuple[str, ...] = ()) -> tuple[Task, Task]:
    data = f"official:hallusionbench/{split}"
    description = f"HallusionBench, {what} (the accuracy of single questions is next to it)."
    return (
        _written(name, data, description, "groups-yes-no-v1", optional=optional),
        _likeliest(name, data, description, "groups-yes-no-v1", optional),
    )


TASKS = (
    *(task for split in ("random", "popular", "adversarial") for task in _pope(split)),
    _written(
        "mme",
        "official:mme/test",
        "MME: both questions about a picture right (next to it: single questions, and the sums that MME reports).",
        "mme-yes-no-v1",
        prompt="{bare_question}",
        post_prompt=SHORT_ANSWER,
    ),
    *_hallusion("hallusionbench", "image", "with a picture, all of a question right"),
    *_hallusion("hallusionbench-figure", "image-by-figure", "with a picture, all of a figure right"),
    *_hallusion("hallusionbench-all", "all", "with and without a picture, all of a question right", ("image",)),
    Task(
        name="naturalbench",
        version=1,
        description="NaturalBench: both questions about both pictures right (G-Acc; Q-Acc, I-Acc next to it).",
        data="official:naturalbench/test",
        modalities=("image",),
        prompt="{question} {instruction}",
        plain_prompt="Question: {question}\nAnswer:",
        kind=Generate({"max_new_tokens": 16}, candidates="meta:options"),
        scorer="naturalbench-multiple-choice-v1",
        target="meta:answer",
        clusters=("media",),
        no_probe=NO_PROBE,
    ),
    *(
        Task(
            name=f"vsr-{split}",
            version=1,
            description=f"Visual Spatial Reasoning, {split} split: is a statement about the picture true?",
            data=f"official:vsr/{split}",
            modalities=("image",),
            prompt='Based on the image, is this statement true or false? "{question}" Answer:',
            kind=Choose("labels", labels={"true": "true", "false": "false"}),
            scorer="classification-sum-v1",
            target="meta:label",
            clusters=("media",),
            no_probe=NO_PROBE,
        )
        for split in ("random", "zeroshot")
    ),
    Task(
        name="raven-iq",
        version=1,
        description="Raven-style matrices as in Kosmos-1: the candidate for which yes is likeliest completes it.",
        data="official:raven-iq/test",
        modalities=("image",),
        prompt=None,
        kind=Choose("labels", labels=_YES_NO),
        scorer="likeliest-yes-v1",
        target="meta:answer",
        clusters=("media",),
        no_probe=NO_PROBE,
    ),
)
