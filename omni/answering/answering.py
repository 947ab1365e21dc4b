"""Answers many conversations at once, in a thread that owns the model while it runs."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from threading import Lock, Thread
from typing import Self, TypeVar, cast

from torch import Tensor

from omni.answering.answer import Answer
from omni.answering.contract import OnEvent
from omni.answering.events import Finished, QueueFullError, Statistics
from omni.answering.jobs import Call, Job, Question
from omni.answering.sampling import Sampling
from omni.answering.stepping import Stepper
from omni.answering.waiting import WaitingLine
from omni.model import OmniModel
from omni.model.preparation import Messages
from omni.model.recent_features import RecentFeatures
from omni.samples.messages import Sample

logger = logging.getLogger(__name__)

_READ_AHEAD = 8  # conversations beyond those that can be answered at once, whose media are read while they wait

T = TypeVar("T")


class Answering:
    """Answers conversations in a running batch, and runs other calls of the model between its steps.

    A conversation joins between two steps and leaves when its answer ends; its greedy answer is that of
    `OmniModel.generate` alone, and that of a seed is the same alone or among others. An LLM that cannot batch
    conversations exactly, and beam searches, are answered one at a time. While an `Answering` is open nobody else may
    use the model. All methods may be called from any thread.

    Args:
        model: the model, which is put into evaluation mode.
        max_rows: the most conversations that are answered at once.
        max_tokens: the most tokens, pads and answers included, that these may have together at their ends.
        max_waiting: the most conversations and calls that wait for their turn.
        kept_media_bytes: how many bytes of encoded media are kept, by their content, so that another question about
            them encodes nothing; a model with a feature cache uses that instead.

    Raises:
        ValueError: a limit below 1, or a negative number of bytes.
    """

    def __init__(
        self,
        model: OmniModel,
        *,
        max_rows: int = 16,
        max_tokens: int = 16384,
        max_waiting: int = 64,
        kept_media_bytes: int = 256 << 20,
    ) -> None:
        limits = {"max_rows": (max_rows, 1), "max_tokens": (max_tokens, 1), "max_waiting": (max_waiting, 1)}
        for name, (value, least) in (limits | {"kept_media_bytes": (kept_media_bytes, 0)}).items():
            if value < least:
                raise ValueError(f"{name} is {value}, but must be at least {least}")
        self.model = model.eval()
        self._waiting = WaitingLine(max_waiting, max_rows + _READ_AHEAD)
        self._ended: Counter[str] = Counter()
        self._counting = Lock()
        self._stepper = Stepper(model, max_rows, max_tokens, self._give_up_late)
        self._keeps_features = model.feature_cache is None and model.recent_features is None
        if self._keeps_features:
            model.recent_features = RecentFeatures(kept_media_bytes)
        self._threads = [
            Thread(target=self._step, name="omni-answering", daemon=True),
            Thread(target=self._read, args=(False,), name="omni-reading", daemon=True),
            # texts do not wait for a video that takes long to read
            Thread(target=self._read, args=(True,), name="omni-reading-texts", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def batches(self) -> bool:
        """Whether conversations are answered in one batch; else one at a time. The LLM is tried when first asked."""
        return self.call(self._stepper.find_out_whether_it_batches)

    # --- what it is asked ---

    def submit(
        self,
        messages: Messages | Sample,
        sampling: Sampling = Sampling(),  # noqa: B008 (it cannot change)
        *,
        timeout: float | None = None,
        on_event: OnEvent | None = None,
    ) -> Answer:
        """Begin to answer a conversation, and return its answer at once; its media are read by a thread of this object.

        Whatever is wrong with the conversation is raised by the answer.

        Args:
            messages: the conversation.
            sampling: how to choose tokens.
            timeout: seconds after which the answer ends, whatever there is of it.
            on_event: is called with each piece, then with how the answer ended or the error, from a thread that must
                not be kept waiting.

        Raises:
            QueueFullError: as many wait already as may.
            RuntimeError: it is closed.
        """
        answer = Answer(lambda: self._cancel(question), on_event, self._note_end)
        question = Question(messages, _deadline(timeout), sampling=sampling, answer=answer)
        self._enqueue(question)
        return answer

    def score(
        self,
        messages: Messages | Sample,
        candidates: Sequence[str],
        normalization: str = "sum",
        *,
        timeout: float | None = None,
    ) -> Tensor:
        """Return what `OmniModel.score` returns; it is computed between steps of the running batch.

        Raises:
            QueueFullError: as many wait already as may.
            TimeoutError: it did not begin in time.
        """
        return self._wait_for(messages, lambda: self.model.score(messages, candidates, normalization), timeout)

    def embed(self, messages: Messages | Sample, prompt: str | None = None, *, timeout: float | None = None) -> Tensor:
        """Return what `OmniModel.embed` returns for one conversation; it is computed between steps.

        Raises:
            QueueFullError: as many wait already as may.
            TimeoutError: it did not begin in time.
        """
        return self._wait_for(messages, lambda: self.model.embed(messages, prompt), timeout)

    def call(self, compute: Callable[[], T], *, timeout: float | None = None) -> T:
        """Return what `compute` returns, which may use the model: nothing else does so in the meantime.

        Raises:
            QueueFullError: as many wait already as may.
            TimeoutError: it did not begin in time.
        """
        return self._wait_for(None, compute, timeout)

    def statistics(self) -> Statistics:
        """Return what it does and has done."""
        counts, recent = self._stepper.counts, self.model.recent_features
        with self._counting:
            ended = Counter(self._ended)
        return Statistics(
            running=self._stepper.num_rows,
            waiting=len(self._waiting),
            answered=ended["stop"] + ended["length"] + ended["context"],
            cancelled=ended["cancelled"],
            timed_out=ended["timeout"],
            failed=ended["error"],
            refused=ended["refused"],
            prompt_tokens=counts.prompt_tokens,
            answer_tokens=counts.answer_tokens,
            steps=counts.steps,
            cache_tokens=self._stepper.num_cache_tokens,
            encoder_seconds=counts.encoder_seconds,
            prefill_seconds=counts.prefill_seconds,
            step_seconds=counts.step_seconds,
            media_kept=0 if recent is None else len(recent),
            media_kept_bytes=0 if recent is None else recent.num_bytes,
            media_encoded=counts.media_encoded,
            media_hits=counts.media_hits,
        )

    def close(self) -> None:
        """Cancel everything, and let go of the model; the second time nothing happens."""
        for job in self._waiting.close():
            job.give_up("cancelled")
        for thread in self._threads:
            thread.join()
        if self._keeps_features:
            self.model.recent_features = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the queue ---

    def _enqueue(self, job: Job) -> None:
        try:
            self._waiting.add(job)
        except QueueFullError:
            self._count("refused")
            raise

    def _wait_for(self, messages: Messages | Sample | None, compute: Callable[[], T], timeout: float | None) -> T:
        call = Call(messages, _deadline(timeout), compute=compute)
        self._enqueue(call)
        return cast(T, call.result.result())

    def _cancel(self, question: Question) -> None:
        question.cancelled = True
        if self._waiting.remove(question):
            question.give_up("cancelled")

    def _note_end(self, ended: Finished | Exception) -> None:
        self._count("error" if isinstance(ended, Exception) else ended.reason)

    def _count(self, what: str) -> None:
        with self._counting:
            self._ended[what] += 1

    def _give_up_late(self) -> None:
        for job in self._waiting.remove_late():
            job.give_up("timeout")

    # --- the threads ---

    def _read(self, texts_only: bool) -> None:
        """Read the media of those that wait, the first ones first; or take care of those that have none.

        One thread reads media: encoders of users need not bear several.
        """
        while (job := self._waiting.next_to_read(texts_only)) is not None:
            try:
                assert job.messages is not None
                job.example = self.model.prepare(job.messages)
            except Exception as error:  # belongs to this conversation
                job.error = error
            self._waiting.note_read()

    def _step(self) -> None:
        """Answer and compute until it is closed."""
        while self._waiting.wait(lambda: self._stepper.num_rows > 0):
            self._give_up_late()
            jobs = self._waiting.take(self._stepper.num_admissible)
            try:
                self._work(jobs)
            except Exception as error:  # of ours: whoever waits must learn of it
                logger.exception("the thread that answers failed")
                for job in jobs:
                    job.fail(error)
                self._stepper.fail(error)
        self._stepper.close()

    def _prepare_for_several(self) -> None:
        """Find out whether conversations can be answered at once, when there are several for the first time."""
        ready = self._waiting.num_ready()
        if ready and ready + self._stepper.num_rows > 1:
            self._stepper.find_out_whether_it_batches()

    def _work(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.error is not None:
                job.fail(job.error)
        sound = [job for job in jobs if job.error is None]
        for call in [job for job in sound if isinstance(job, Call)]:
            self._stepper.run(call)
        questions = [job for job in sound if isinstance(job, Question)]
        if questions:
            self._stepper.admit(questions)
        self._stepper.step()


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout
