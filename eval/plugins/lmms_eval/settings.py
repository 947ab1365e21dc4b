"""From lmms-eval's `generation_kwargs` to the options of `OmniModel.generate`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# of `OmniModel.generate`, by the same names
PASSED = (
    *("max_new_tokens", "min_new_tokens", "num_beams", "length_penalty", "early_stopping", "repetition_penalty"),
    *("no_repeat_ngram_size", "use_cache"),
)
SAMPLING = ("temperature", "top_p", "top_k")
STOPS = ("until", "stop_sequences")
# what tasks say to single models, and why it changes nothing here
WITHOUT_EFFECT = {"image_aspect_ratio": "it is about LLaVA's tiles; each encoder here has its own preprocessing"}


@dataclass(frozen=True)
class Settings:
    """What is asked of the model.

    Attributes:
        options: those of `OmniModel.generate`.
        until: texts of which the first one that occurs ends the answer, and does not belong to it.
        notes: what the settings say without an effect here, in words.
    """

    options: dict[str, Any]
    until: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def cut(self, answer: str) -> str:
        """Return the answer up to the first text of `until`."""
        ends = [answer.find(text) for text in self.until if text in answer]
        return answer[: min(ends)].strip() if ends else answer


def read_settings(given: Mapping[str, Any], max_new_tokens: int, task: str) -> Settings:
    """Return the settings of a task; None as a value says nothing.

    Answers are drawn where the temperature is above 0 and `do_sample` is not false, or `do_sample` is true without a
    temperature. They are greedy otherwise, and what is about drawing alone is left out.

    Args:
        given: the task's `generation_kwargs`.
        max_new_tokens: the most tokens of an answer, where the task does not say.
        task: its name, for errors.

    Raises:
        ValueError: a setting that is not known here, with those that are.
    """
    said = {name: value for name, value in given.items() if value is not None}
    allowed = (*PASSED, *SAMPLING, "do_sample", "seed", *STOPS, *WITHOUT_EFFECT)
    if unknown := sorted(said.keys() - {*allowed}):
        raise ValueError(
            f"task {task!r}: generation_kwargs has {', '.join(unknown)}, which omni does not know; it knows "
            f"{', '.join(allowed)}. Take it out of the task's YAML, or use a task without it"
        )
    draws = _draws(said, task)
    if draws and "seed" in said:
        raise ValueError(
            f"task {task!r}: a seed for each request cannot be kept, since answers are drawn in batches; use "
            "lmms-eval's --seed, or do_sample: false"
        )
    options = {name: said[name] for name in PASSED if name in said}
    options.setdefault("max_new_tokens", max_new_tokens)
    if draws:
        options |= {"do_sample": True} | {name: said[name] for name in SAMPLING if name in said}
    until = tuple(text for name in STOPS for text in _texts(said.get(name, ()), name, task))
    if until:
        options["stop_strings"] = [*until]
    notes = tuple(f"task {task!r}: {name} has no effect: {why}" for name, why in WITHOUT_EFFECT.items() if name in said)
    return Settings(options, until, notes)


def _draws(said: Mapping[str, Any], task: str) -> bool:
    temperature = said.get("temperature")
    if temperature is None:
        return bool(said.get("do_sample", False))
    if isinstance(temperature, bool) or not isinstance(temperature, int | float) or temperature < 0:
        raise ValueError(f"task {task!r}: temperature must be a number from 0 on, not {temperature!r}")
    return temperature > 0 and bool(said.get("do_sample", True))


def _texts(value: Any, name: str, task: str) -> tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) and text for text in texts):
        raise ValueError(f"task {task!r}: {name} must be a text or a list of texts, none of them empty; got {value!r}")
    return tuple(texts)
