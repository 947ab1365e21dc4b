"""What tasks of benchmarks share: classes, captions, answers and multiple choice."""

from collections.abc import Sequence
from typing import Any

from eval.task import Choose, Generate, Task
from eval.tasks.choice_tasks import LETTER, PLAIN, likeliest_choice

NO_PROBE = "the benchmark is zero-shot: nothing of it is trained on"
_CHOICE = "{question}\n{options}"


def classes(
    name: str,
    data: str,
    modality: str,
    description: str,
    *,
    prompt: str,
    answer_form: str = "{answer}",
    names: Sequence[str] = (),
    scorer: str = "classification-pmi-v1",
    templates: tuple[str, ...] = (),
) -> Task:
    """Return the task that ranks the names of classes by their likelihood; the right one is the row's `label`.

    Args:
        name: of the task.
        data: where its items come from.
        modality: the one that is shown.
        description: one line for people.
        prompt: the user's text.
        answer_form: what the model is to say for a class.
        names: of the classes, readable; none = those that each row lists under `options`.
        scorer: ranks and scores.
        templates: the label prompts of a joint space; see `Choose`.
    """
    if names:
        kind = Choose("labels", labels={one: one for one in names}, templates=templates)
    else:
        kind = Choose("meta:options", templates=templates)
    return Task(
        name=name,
        version=1,
        description=description,
        data=data,
        modalities=(modality,),
        prompt=prompt,
        kind=kind,
        scorer=scorer,
        target="meta:label",
        answer_form=answer_form,
        clusters=("media",),
        no_probe=NO_PROBE,
    )


def captions(
    name: str, data: str, modality: str, description: str, *, prompt: str, settings: dict[str, Any] | None = None
) -> Task:
    """Return the task of a caption in the model's own words, compared with the row's `captions`.

    Args:
        name: of the task.
        data: where its items come from.
        modality: the one that is shown.
        description: one line for people.
        prompt: the user's text.
        settings: of generation; None = greedy, at most 64 tokens.
    """
    return Task(
        name=name,
        version=1,
        description=description,
        data=data,
        modalities=(modality,),
        prompt=prompt,
        kind=Generate(settings or {"max_new_tokens": 64}),
        scorer="caption-coco-v1",
        target="meta:captions",
        clusters=("media",),
    )


def answers(
    name: str,
    data: str,
    modality: str,
    description: str,
    *,
    scorer: str,
    target: str = "meta:answer",
    prompt: str = "{question}",
    post_prompt: str = "",
    plain_prompt: str | None = None,
    settings: dict[str, Any] | None = None,
) -> Task:
    """Return the task of an answer in the model's own words.

    Args:
        name: of the task.
        data: where its items come from.
        modality: the one that is shown.
        description: one line for people.
        scorer: compares.
        target: the right answers of a row.
        prompt, post_prompt, plain_prompt: see `Task`.
        settings: of generation; None = greedy, at most 16 tokens.
    """
    return Task(
        name=name,
        version=1,
        description=description,
        data=data,
        modalities=(modality,),
        prompt=prompt,
        post_prompt=post_prompt,
        plain_prompt=plain_prompt,
        kind=Generate(settings or {"max_new_tokens": 16}),
        scorer=scorer,
        target=target,
        clusters=("media",),
        no_probe="answers are open-ended, there are no classes to probe for",
    )


def choices(name: str, data: str, modality: str, description: str) -> tuple[Task, Task]:
    """Return two tasks of multiple choice: an answer is written and read, and the options are ranked by likelihood.

    Rows have `options`, and the text of the right one as `answer`.
    """
    written = answers(
        name,
        data,
        modality,
        description,
        scorer="multiple-choice-v1",
        prompt=_CHOICE,
        post_prompt=LETTER,
        plain_prompt=PLAIN,
    )
    ranked = likeliest_choice(
        written, plain_prompt="Question: {question}\nAnswer:", remark=", by the likelihood of each option."
    )
    return written, ranked
