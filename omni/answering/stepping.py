"""What the thread of an `Answering` does: encoding, reading, steps, and calls of the model in between."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from omni.answering.alone import answer_alone
from omni.answering.jobs import Call, Question
from omni.answering.prompts import embed_prompts
from omni.answering.row import Limits, Prompt, Row
from omni.answering.running_batch import RunningBatch, can_hold, can_join
from omni.answering.token_text import TokenTexts
from omni.model import OmniModel

_PREFILL_TOKENS = 2048  # that are read in one call, pads included: those who wait for their next token wait for it


@dataclass
class Counts:
    """What was done so far; see `Statistics`."""

    prompt_tokens: int = 0
    answer_tokens: int = 0
    steps: int = 0
    encoder_seconds: float = 0.0
    prefill_seconds: float = 0.0
    step_seconds: float = 0.0
    media_encoded: int = 0
    media_hits: int = 0


class Stepper:
    """Answers conversations in batches, one for each set of LoRAs; for one thread.

    Args:
        model: the model.
        max_rows: the most conversations at once.
        max_tokens: the most places that their caches may take in the end, pads included; a single conversation may
            take more.
        poll: is called at each token while a conversation is answered alone.
    """

    def __init__(self, model: OmniModel, max_rows: int, max_tokens: int, poll: Callable[[], None]) -> None:
        self._model = model
        self._max_rows = max_rows
        self._max_tokens = max_tokens
        self._poll = poll
        self._texts = TokenTexts(model.llm.tokenizer)
        self._all_loras = frozenset(model.llm.lora_names())
        self._active_loras = self._all_loras
        self._batches: dict[frozenset[str], RunningBatch] = defaultdict(lambda: RunningBatch(model))
        self._alone = 0  # conversations that are being answered alone
        self._can_hold = can_hold(model)
        self._can_join: bool | None = None  # found out when the second conversation comes: it takes seconds
        self.counts = Counts()

    @property
    def num_rows(self) -> int:
        """Conversations that are being answered."""
        rows = [row for batch in [*self._batches.values()] for row in batch.rows]
        return self._alone + sum(row.ended is None for row in rows)

    @property
    def num_cache_tokens(self) -> int:
        """Places that the caches take, pads included."""
        return sum(len(batch.rows) * batch.num_columns for batch in [*self._batches.values()])

    @property
    def num_cache_bytes(self) -> int:
        """Bytes that the caches take."""
        return sum(batch.num_bytes for batch in [*self._batches.values()])

    def find_out_whether_it_batches(self) -> bool:
        """Return whether several conversations can be answered at once; the first time it takes runs of the LLM."""
        if self._can_join is None:
            self._use_loras(self._all_loras)
            self._can_join = self._can_hold and can_join(self._model)
        return self._can_join

    def goes_alone(self, question: Question) -> bool:
        """Return whether a conversation cannot be in a batch, not even in one of its own."""
        return not self._can_hold or question.sampling.num_beams > 1

    def num_admissible(self, questions: Sequence[Question]) -> int:
        """Return how many of these conversations, the first ones, may be answered now together with those that are.

        One that goes alone comes alone. There is one at a time until it is known whether several can be answered.
        """
        if questions and self.goes_alone(questions[0]):
            return 1
        ends = {
            loras: [row.prompt.length + row.limits.most for row in batch.rows]
            for loras, batch in self._batches.items()
            if batch.rows
        }
        longest = 0
        for count, question in enumerate(questions):
            example = question.example
            assert example is not None
            if self.goes_alone(question):
                return count
            most = Limits.of(question.sampling, example.length, self._model.llm.context_length).most
            ends.setdefault(self._model.loras_of(example), []).append(example.length + most)
            num_rows = sum(map(len, ends.values()))
            num_tokens = sum(len(found) * max(found) for found in ends.values())
            longest = max(longest, example.length)
            if num_rows > 1 and not self._can_join:
                return count
            is_read_long = count > 0 and (count + 1) * longest > _PREFILL_TOKENS
            if num_rows > self._max_rows or is_read_long or (num_tokens > self._max_tokens and num_rows > 1):
                return count
        return len(questions)

    def admit(self, questions: Sequence[Question]) -> None:
        """Encode and read conversations, and choose their first tokens; one that goes alone is answered to its end.

        An error reaches those whose it is.
        """
        groups: dict[frozenset[str], list[Row]] = defaultdict(list)
        for question, prompt in self._embed(questions):
            groups[prompt.loras].append(self._row(question, prompt))
        for loras, rows in groups.items():
            self._use_loras(loras)
            if self.goes_alone(questions[0]):
                self._answer_alone(rows[0])
            else:
                self._join(self._batches[loras], rows)

    def step(self) -> None:
        """Choose a token for every conversation."""
        for loras, batch in [*self._batches.items()]:
            for row in batch.rows:
                reason = row.interruption()
                if reason is not None:
                    row.finish(reason)
            batch.remove_ended()
            if not batch.rows:
                continue
            self._use_loras(loras)
            self.counts.steps += 1
            self.counts.answer_tokens += len(batch.rows)
            try:
                with self._timed("step_seconds"):
                    batch.step()
            except Exception as error:  # such as no memory for another column: those of this batch are lost
                batch.fail(error)

    def run(self, call: Call) -> None:
        """Run something else of the model."""
        self._use_loras(self._all_loras)
        call.run()

    def fail(self, error: Exception) -> None:
        """End all answers with an error."""
        for batch in self._batches.values():
            batch.fail(error)

    def close(self) -> None:
        """End all answers, and leave the model as it was."""
        for batch in self._batches.values():
            for row in batch.rows:
                row.finish("cancelled")
            batch.remove_ended()
        self._use_loras(self._all_loras)

    def _embed(self, questions: Sequence[Question]) -> list[tuple[Question, Prompt]]:
        """Those whose media can be encoded; together, or one by one where there are bad ones among them."""
        examples = [question.example for question in questions if question.example is not None]
        try:
            with self._timed("encoder_seconds"), torch.no_grad():
                prompts = embed_prompts(self._model, examples)
                if self._model.device.type == "cuda":
                    torch.cuda.synchronize(self._model.device)
        except Exception as error:
            if len(questions) > 1:
                return [found for question in questions for found in self._embed([question])]
            questions[0].fail(error)
            return []
        for question, prompt in zip(questions, prompts, strict=True):
            question.example = None  # what was preprocessed is large, and needed no more
            self.counts.media_hits += prompt.cached_media
            self.counts.media_encoded += len(prompt.media_tokens) - prompt.cached_media
        return [*zip(questions, prompts, strict=True)]

    def _row(self, question: Question, prompt: Prompt) -> Row:
        return Row(
            prompt,
            question.sampling,
            Limits.of(question.sampling, prompt.length, self._model.llm.context_length),
            self._model.end_token_ids,
            self._model.llm.tokenizer,
            self._texts,
            question.answer.take,
            question.interruption,
        )

    def _join(self, batch: RunningBatch, rows: Sequence[Row]) -> None:
        try:
            with self._timed("prefill_seconds"):
                batch.join(rows)
        except Exception as error:
            if len(rows) == 1:
                rows[0].fail(error)
            else:
                for row in rows:
                    self._join(batch, [row])
            return
        self.counts.answer_tokens += len(rows)
        self.counts.prompt_tokens += sum(row.prompt.length for row in rows)

    def _answer_alone(self, row: Row) -> None:
        self._alone = 1
        try:
            with self._timed("step_seconds"):
                answer_alone(self._model, row, self._poll)
        except Exception as error:
            row.fail(error)
        finally:
            self._alone = 0
        self.counts.answer_tokens += row.num_tokens
        self.counts.prompt_tokens += row.prompt.length

    def _use_loras(self, names: frozenset[str]) -> None:
        if names != self._active_loras:
            self._model.llm.activate_lora(names)
            self._active_loras = names

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            setattr(self.counts, name, getattr(self.counts, name) + time.perf_counter() - started)
