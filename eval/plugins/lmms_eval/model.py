"""What the two classes of models that lmms-eval knows have in common: loading, batches, answers, likelihoods."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import torch
from accelerate import Accelerator
from lmms_eval.api.instance import GenerationResult, Instance  # pyright: ignore[reportMissingImports]  # has an environment of its own
from lmms_eval.api.model import lmms  # pyright: ignore[reportMissingImports]
from loguru import logger  # pyright: ignore[reportMissingImports]  # lmms-eval's
from tqdm import tqdm

from eval.plugins.lmms_eval.conversations import simple_conversation
from eval.plugins.lmms_eval.likelihoods import Continuation, read_continuations, scores_of
from eval.plugins.lmms_eval.settings import Settings, read_settings
from omni.model import OmniModel
from omni.samples.messages import Sample

MAX_NEW_TOKENS = 1024  # what most models of lmms-eval take where a task names no length
_AUTO_BATCH = 16


class Likelihood(tuple, GenerationResult):
    """A log-likelihood in nats, and whether the text is the greedy answer, as the pair of lmms-eval's contract.

    The evaluator of 0.7.3 turns plain pairs into text before it scores them (`unwrap_generation_output`), and fails at
    every task of the type `multiple_choice`; what a `GenerationResult` holds it leaves alone.
    """

    def __new__(cls, value: float, is_greedy: bool) -> Self:
        return super().__new__(cls, (value, is_greedy))

    def __init__(self, value: float, is_greedy: bool) -> None:
        GenerationResult.__init__(self, (value, is_greedy))


class OmniLmms(lmms):
    """A folder of a trained model, as lmms-eval asks it.

    Args (of `--model_args`, with commas):
        model: the folder that `OmniModel.save` or training wrote; `pretrained` is another name for it.
        device: where it runs; default: the GPU if there is one.
        batch_size: conversations in one call of the model, or `auto`.
        max_batch_size: what `auto` means.
        dtype: `float32`, `bfloat16` or `float16`; default: as the folder says.
        trust_code: run code that the folder names; see SECURITY.md.
        max_new_tokens: the most tokens of an answer where the task does not say.

    Raises:
        ValueError: arguments that cannot be used.
        FileNotFoundError: there is no such folder.
    """

    settings_at: ClassVar[int]  # where the arguments of a request have the task's generation settings

    def __init__(
        self,
        model: str | None = None,
        pretrained: str | None = None,
        device: str | None = None,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
        dtype: str | None = None,
        trust_code: bool = False,
        max_new_tokens: int = MAX_NEW_TOKENS,
        **unknown: Any,
    ) -> None:
        super().__init__()
        if unknown:
            raise ValueError(
                f"--model_args has {', '.join(sorted(unknown))}, which omni does not know; it knows model, device, "
                "batch_size, dtype, trust_code and max_new_tokens"
            )
        if (model is None) == (pretrained is None):
            raise ValueError("--model_args needs the folder of a trained model, once: model=DIR (or pretrained=DIR)")
        self.batch_size = _batch_size(batch_size, max_batch_size)
        self.max_new_tokens = max_new_tokens
        self.accelerator = Accelerator()  # lmms-eval gathers the results of several processes through it
        self._rank = self.accelerator.process_index
        self._world_size = self.accelerator.num_processes
        if self._world_size > 1 or (device is None and torch.cuda.is_available()):
            device = str(self.accelerator.device)
        folder = str(pretrained if model is None else model)
        self.model = OmniModel.load(folder, trust_code=trust_code, device=device, dtype=dtype).eval()
        self.device = self.model.device
        self._said: set[str] = set()

    @abstractmethod
    def conversation(self, arguments: tuple[Any, ...]) -> Sample:
        """Return what a request of `generate_until` shows the model."""

    @abstractmethod
    def rounds(self, arguments: tuple[Any, ...], ask: Callable[[Sample], str]) -> list[str]:
        """Return the answers of all rounds of a request of `generate_until_multi_round`."""

    def doc(self, doc_id: int, task: str, split: str) -> Any:
        """Return the row that a request is about."""
        return self.task_dict[task][split][doc_id]

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Return the answers to requests, in their order."""
        answers = [""] * len(requests)
        bar = tqdm(total=len(requests), disable=self.rank != 0, desc="omni answers")
        for settings, group in self._groups([request.args for request in requests]):
            for start in range(0, len(group), self.batch_size):
                part = group[start : start + self.batch_size]
                texts = self.model.generate([self.conversation(requests[i].args) for i in part], **settings.options)
                for i, text in zip(part, texts, strict=True):
                    answers[i] = settings.cut(text)
                    asked = (requests[i].args[0], requests[i].args[self.settings_at])
                    self.cache_hook.add_partial("generate_until", asked, answers[i])
                bar.update(len(part))
        bar.close()
        return answers

    def generate_until_multi_round(self, requests: list[Instance]) -> list[list[str]]:
        """Return the answers of all rounds, for each request; a round is a conversation of its own."""
        found: list[list[str]] = [[] for _ in requests]
        bar = tqdm(total=len(requests), disable=self.rank != 0, desc="omni answers")
        for settings, group in self._groups([request.args for request in requests]):

            def ask(sample: Sample, settings: Settings = settings) -> str:
                return settings.cut(self.model.generate(sample, **settings.options))

            for i in group:
                found[i] = self.rounds(requests[i].args, ask)
                asked = (requests[i].args[0], requests[i].args[self.settings_at])
                self.cache_hook.add_partial("generate_until_multi_round", asked, found[i])
                bar.update(1)
        bar.close()
        return found

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Return the log-likelihood in nats of each continuation, and whether the model would write it by itself.

        The white space around a continuation is left out: lmms-eval puts a blank between question and answer, where
        here the prompt of the model stands. The token that ends an answer counts, as in `OmniModel.score`.
        """
        found: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        bar = tqdm(total=len(requests), disable=self.rank != 0, desc="omni scores")
        for question in read_continuations([request.args for request in requests], self.doc):
            sample = self._question(question[0])
            values = scores_of(self.model, sample, [one.text for one in question])
            for one, value in zip(question, values, strict=True):
                found[one.position] = Likelihood(*value)
                self.cache_hook.add_partial("loglikelihood", requests[one.position].args, value)
            bar.update(len(question))
        bar.close()
        return found

    def generate_visual_cot(self, requests: list[Instance]) -> list[str]:
        """Refuse: such tasks want a model that draws pictures."""
        raise ValueError(
            f"task {requests[0].args[-2]!r} asks the model for pictures (visual_cot), and omni writes texts only; "
            "leave the task out"
        )

    def _groups(self, arguments: Sequence[tuple[Any, ...]]) -> list[tuple[Settings, list[int]]]:
        """Return the positions of the requests that have the same settings; what has no effect is said here."""
        groups: dict[str, tuple[Settings, list[int]]] = {}
        for i, one in enumerate(arguments):
            task, given = one[-2], one[self.settings_at] or {}
            key = repr((task, given))
            if key not in groups:
                groups[key] = read_settings(given, self.max_new_tokens, task), []
                for note in groups[key][0].notes:
                    logger.warning(note)
            groups[key][1].append(i)
        return [*groups.values()]

    def _question(self, one: Continuation) -> Sample:
        return simple_conversation(one.context, one.visuals, [*self.model.modalities], one.sample_id)


def _batch_size(value: int | str, most: int | None) -> int:
    if value == "auto":
        return most or _AUTO_BATCH
    if not str(value).isdecimal() or int(value) < 1:
        raise ValueError(f"batch_size must be a whole number from 1 on, or auto, not {value!r}")
    return int(value)
