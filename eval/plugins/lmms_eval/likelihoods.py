"""Requests of lmms-eval's `loglikelihood`, and their answers by `OmniModel.score_batch`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from omni.model import OmniModel
from omni.samples.messages import Sample


@dataclass(frozen=True)
class Continuation:
    """One text that may follow a question.

    Attributes:
        position: among the requests.
        context: the text of the question.
        text: the continuation without the white space around it.
        visuals: the media of the question.
        sample_id: names the row in errors.
    """

    position: int
    context: str
    text: str
    visuals: Any
    sample_id: str


def sample_id_of(doc_id: int, task: str, split: str) -> str:
    """Return what errors call a row."""
    return f"{task}, {split}, doc {doc_id}"


def read_continuations(
    requests: Sequence[tuple[Any, ...]], doc_of: Callable[[int, str, str], Any]
) -> list[list[Continuation]]:
    """Return the continuations by question, those of a question together, so that it is read once.

    Args:
        requests: the arguments of each: `(context, continuation or doc_to_target, doc_to_visual, doc_id, task, split)`.
        doc_of: gives the row of `(doc_id, task, split)`.

    Raises:
        ValueError: a request for the likelihood of a text without a question, or an empty continuation.
    """
    questions: dict[tuple[str, int, str, str], list[Continuation]] = {}
    for position, arguments in enumerate(requests):
        if len(arguments) != 6:
            raise ValueError(
                f"a task asks for the likelihood of {arguments[-1]!r} without a question (the metric acc_mutual_info), "
                "which a chat model does not have; take the metric acc. `python -m eval` has PMI by other media"
            )
        context, target, doc_to_visual, doc_id, task, split = arguments
        sample_id = sample_id_of(doc_id, task, split)
        doc = doc_of(doc_id, task, split)
        text = str(target if isinstance(target, str) else target(doc)).strip()
        if not text:
            raise ValueError(f"{sample_id}: an answer to be scored is empty; a likelihood needs a text")
        found = questions.setdefault((context, doc_id, task, split), [])
        visuals = found[0].visuals if found else doc_to_visual(doc)
        found.append(Continuation(position, context, text, visuals, sample_id))
    return [*questions.values()]


def scores_of(model: OmniModel, sample: Sample, texts: Sequence[str]) -> list[tuple[float, bool]]:
    """Return for each text its log-likelihood in nats, and whether it is the model's greedy answer."""
    lengths = [len(model.llm.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    greedy = model.generate(sample, max_new_tokens=max(lengths) + 1)  # the last one ends the answer
    scores = model.score(sample, texts).tolist()
    return [(score, greedy == text) for score, text in zip(scores, texts, strict=True)]
