"""Multiple choice from one declaration, in two ways: the model writes a letter, or the likeliest option counts."""

from typing import Any

from eval.task import Choose, Generate, Task

# Post-prompt of lmms-eval for questions with options.
LETTER = "\nAnswer with the option's letter from the given choices directly."
PLAIN = "Question: {question}\n{options}\nAnswer:"
PLAIN_UNLISTED = "Question: {question} Answer:"
NO_PROBE = "options are each item's own, there are no classes to probe for"


def written_choice(name: str, description: str, *, max_new_tokens: int = 16, **values: Any) -> Task:
    """Return the task in which the model writes, and the option that its answer names is read out of it.

    Args:
        name: the task's name.
        description: one line for people.
        max_new_tokens: the most tokens of an answer.
        values: the task's other fields. The rows have their `options`, and the text of the right one as `answer`.
    """
    usual = {"version": 1, "target": "meta:answer", "clusters": ("media",), "no_probe": NO_PROBE, "plain_prompt": PLAIN}
    usual |= {"scorer": "multiple-choice-v1"}
    kind = Generate({"max_new_tokens": max_new_tokens}, candidates="meta:options")
    return Task(name=name, description=description, kind=kind, **usual | values)


def likeliest_choice(
    written: Task,
    *,
    prompt: str | None = "{question}",
    plain_prompt: str = PLAIN_UNLISTED,
    scorer: str = "choice-mean-v1",
    remark: str = ". The likeliest option counts.",
) -> Task:
    """Return the task in which the option with the largest mean log-likelihood of a token counts.

    That is how lmms-eval's tasks `..._mcppl` choose.

    Args:
        written: the same questions with a written answer.
        prompt: how they are asked, by default without a list of the options; None = as the rows have them.
        plain_prompt: for an LLM without a chat template; it has no meaning where the prompt is None.
        scorer: ranks the options.
        remark: what the description ends with, in place of its full stop.
    """
    return Task(
        name=f"{written.name}-likelihood",
        version=1,
        description=written.description.rstrip(".") + remark,
        data=written.data,
        modalities=written.modalities,
        optional=written.optional,
        prompt=prompt,
        plain_prompt=None if prompt is None else plain_prompt,
        kind=Choose("meta:options"),
        scorer=scorer,
        target=written.target,
        clusters=written.clusters,
        no_probe=written.no_probe,
    )


def both_choices(name: str, description: str, **values: Any) -> tuple[Task, Task]:
    """Return the task with a written answer, and that with the likeliest option; see `written_choice`."""
    written = written_choice(name, description, **values)
    return written, likeliest_choice(written)
