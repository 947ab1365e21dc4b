"""Answers of a vLLM server to what our encoders and adapters make of conversations.

Text goes through the LLM's table of embeddings here, so that the engine only ever sees embeddings; tokens come back,
and become text here. So a greedy answer is the one of `OmniModel.generate`.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import replace
from threading import Lock, Thread
from typing import Any, Self

from torch import Tensor

from omni.answering.answer import Answer
from omni.answering.answering import Answering
from omni.answering.choosing import Chosen
from omni.answering.contract import OnEvent
from omni.answering.engine.client import EngineError, VLLMClient, encode_embeddings
from omni.answering.engine.served import ServedLLM, find_served, make_probe
from omni.answering.events import Finished, QueueFullError, Reason, Statistics
from omni.answering.prompts import embed_prompts
from omni.answering.row import Limits, Row
from omni.answering.sampling import Sampling
from omni.answering.token_text import TokenTexts
from omni.llm.language_model import SHARED_LORA
from omni.model import OmniModel
from omni.model.preparation import Messages
from omni.samples.messages import Sample, SampleError, TooLongError

# what ends an answer that our own limits do not end; "length" is then the engine's context, "abort" an engine's end
_REASONS: dict[str | None, Reason] = {"stop": "stop", "length": "context"}


class VLLMAnswering:
    """Answers conversations through a vLLM server; scores, embeddings and beam searches are computed here.

    The engine is checked when this is made: it must serve the model's LLM, and take embeddings. It is started by
    `vllm serve FOLDER --enable-prompt-embeds`, with `--enable-lora --lora-modules NAME=DIR/lora` for a LoRA.

    Args:
        model: the model, whose LLM stays here too, for scores and embeddings.
        url: the engine's address, such as `http://127.0.0.1:8001`.
        token: the engine's `--api-key`; None = it has none.
        max_running: the most conversations that the engine is given at once.
        max_waiting: the most that wait for that.
        silence: seconds after which an engine that says nothing is asked whether it lives.
        options: further arguments of `Answering`, which computes what stays here.

    Raises:
        EngineError: the engine cannot be reached, takes no embeddings, or serves another LLM.
        ValueError: no address, or media that are seen inside the LLM's layers.
    """

    def __init__(
        self,
        model: OmniModel,
        url: str,
        *,
        token: str | None = None,
        max_running: int = 64,
        max_waiting: int = 256,
        silence: float = 10.0,
        **options: Any,
    ) -> None:
        _check_adapters(model)
        self.model = model
        self.max_running, self.max_waiting = max_running, max_waiting
        self._texts = TokenTexts(model.llm.tokenizer)
        self._lock = Lock()
        self._running = self._waiting = 0
        self._counts: Counter[str] = Counter()
        probe = make_probe(model)
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="omni-engine", daemon=True)
        self._thread.start()
        try:
            self._client = self._run(_client(url, token, silence))
            self._served: ServedLLM = self._run(find_served(self._client, probe))
        except BaseException:
            self._stop_loop()
            raise
        self._places = asyncio.Semaphore(max_running)
        self._local = Answering(model, max_waiting=max_running + max_waiting, **options)
        self._closed = False

    @property
    def context_length(self) -> int:
        """Most tokens, media and answer included, that the engine can read."""
        served, own = self._served.max_length, self.model.llm.context_length
        return own if served is None else min(own, served)

    # --- what it is asked ---

    def submit(
        self,
        messages: Messages | Sample,
        sampling: Sampling = Sampling(),  # noqa: B008 (it cannot change)
        *,
        timeout: float | None = None,
        on_event: OnEvent | None = None,
    ) -> Answer:
        """Begin to answer a conversation, and return its answer at once; see `AnswersQuestions.submit`.

        A beam search is computed here. Whatever is wrong with the conversation, or the engine, is raised by the answer.

        Raises:
            QueueFullError: as many wait already as may.
            SampleError: a penalty on repetition, which the engine would put on tokens that it does not know.
            RuntimeError: it is closed.
        """
        if sampling.num_beams > 1:
            return self._local.submit(messages, sampling, timeout=timeout, on_event=on_event)
        if sampling.repetition_penalty != 1:
            raise SampleError(
                "(conversation)",
                "repetition_penalty: vLLM counts the tokens of the conversation in, which embeddings have none of; use "
                "presence_penalty or frequency_penalty",
            )
        with self._lock:
            if self._closed:
                raise RuntimeError("this VLLMAnswering is closed")
            if self._waiting >= self.max_waiting:
                self._counts["refused"] += 1
                raise QueueFullError(self.max_waiting, 1.0)
            self._waiting += 1
        task: list[asyncio.Task[None]] = []
        answer = Answer(lambda: self._later(cancel), on_event, self._count)
        deadline = None if timeout is None else time.monotonic() + timeout

        def start() -> None:
            task.append(self._loop.create_task(self._answer(messages, sampling, deadline, answer)))

        def cancel() -> None:
            self._loop.call_soon(task[0].cancel)  # not at once: a task that never began would end without a word

        self._later(start)
        return answer

    def score(
        self,
        messages: Messages | Sample,
        candidates: Sequence[str],
        normalization: str = "sum",
        *,
        timeout: float | None = None,
    ) -> Tensor:
        """Return what `OmniModel.score` returns, computed here: an engine gives no likelihoods of embeddings."""
        return self._local.score(messages, candidates, normalization, timeout=timeout)

    def embed(self, messages: Messages | Sample, prompt: str | None = None, *, timeout: float | None = None) -> Tensor:
        """Return what `OmniModel.embed` returns for one conversation, computed here."""
        return self._local.embed(messages, prompt, timeout=timeout)

    def call(self, compute: Callable[[], Any], *, timeout: float | None = None) -> Any:
        """Return what `compute` returns, which may use the model; see `Answering.call`."""
        return self._local.call(compute, timeout=timeout)

    def statistics(self) -> Statistics:
        """Return what it does and has done; seconds in encoders are those of this process."""
        with self._lock:
            counts, running, waiting = Counter(self._counts), self._running, self._waiting
        return replace(
            self._local.statistics(),
            running=running,
            waiting=waiting,
            answered=counts["stop"] + counts["length"] + counts["context"],
            cancelled=counts["cancelled"],
            timed_out=counts["timeout"],
            failed=counts["error"],
            refused=counts["refused"],
            prompt_tokens=counts["prompt_tokens"],
            answer_tokens=counts["answer_tokens"],
            encoder_seconds=counts["encoder_milliseconds"] / 1000,
        )

    def close(self) -> None:
        """Cancel everything and let go of the model; the second time nothing happens."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._run(self._cancel_all())
        self._local.close()
        self._stop_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- one conversation, in the event loop ---

    async def _answer(
        self, messages: Messages | Sample, sampling: Sampling, deadline: float | None, answer: Answer
    ) -> None:
        row: Row | None = None
        holds_place = False
        reason: Reason
        try:
            async with asyncio.timeout(None if deadline is None else max(0.0, deadline - time.monotonic())):
                await self._places.acquire()
                holds_place = True
                with self._lock:
                    self._waiting -= 1
                    self._running += 1
                row = await asyncio.to_thread(self._begin, messages, sampling, answer)
                await self._follow(row)
            return
        except asyncio.CancelledError:
            reason = "cancelled"
        except TimeoutError:
            reason = "timeout"
        except Exception as error:  # of this conversation, or of the engine
            answer.take(error)
            return
        finally:
            with self._lock:
                self._running -= holds_place
                self._waiting -= not holds_place
            if holds_place:
                self._places.release()
        if row is None:
            answer.take(Finished(reason))
        else:
            row.finish(reason)

    def _begin(self, messages: Messages | Sample, sampling: Sampling, answer: Answer) -> Row:
        """Read and encode the media, and check what the engine would not."""
        example = self.model.prepare(messages)
        self._served_name(example.modalities)
        began = time.monotonic()
        (prompt,) = self._local.call(lambda: embed_prompts(self.model, [example]))
        with self._lock:
            self._counts["encoder_milliseconds"] += round(1000 * (time.monotonic() - began))
        llm, length = self.model.llm, prompt.length
        if length >= self.context_length:
            text = (
                f"{length} tokens, media included, leave no room for an answer in the {self.context_length} that the "
                "engine reads; shorten the conversation, or start vLLM with a larger --max-model-len"
            )
            raise TooLongError(example.id, text, length, self.context_length)
        embeds = prompt.embedded.embeds
        if embeds.shape[1] != llm.hidden_size or embeds.dtype != llm.dtype or not bool(embeds.isfinite().all()):
            raise ValueError(
                f"{example.id}: the embeddings are {list(embeds.shape)} of {embeds.dtype}, with values that may be no "
                f"numbers; the engine takes finite ones of width {llm.hidden_size} and {llm.dtype}. Check its media"
            )
        limits = Limits.of(sampling, length, self.context_length)
        ends = self.model.end_token_ids
        return Row(prompt, sampling, limits, ends, llm.tokenizer, self._texts, answer.take, lambda: None)

    async def _follow(self, row: Row) -> None:
        """Take the tokens of an answer as they come."""
        prompt = row.prompt
        with self._lock:
            self._counts["prompt_tokens"] += prompt.length
        body = _options(row, self._served_name(prompt.example.modalities))
        async with aclosing(self._client.stream(body)) as events:
            async for event in events:
                for choice in event.get("choices", ()):
                    for chosen in _chosen(choice, row.sampling.top_logprobs, self._client.url):
                        row.take(chosen)
                        if row.ended is not None:
                            return
                    reason: Reason | None = _REASONS.get(choice.get("finish_reason"))
                    if reason is not None:
                        row.finish(reason)
                        return
        raise EngineError(f"the engine at {self._client.url} sent no end of an answer; look at its log")

    def _served_name(self, modalities: frozenset[str]) -> str:
        """The name of the model that the engine serves for conversations with these media."""
        loras = (modalities | {SHARED_LORA}) & {*self.model.llm.lora_names()}
        name = self._served.names.get(loras)
        if name is None:
            told = " and ".join(sorted(loras - {SHARED_LORA})) or "no modality"
            raise EngineError(
                f"the engine at {self._client.url} serves no LLM with the LoRA of {told}: it takes one LoRA a request, "
                "so serve each by --lora-modules NAME=DIR/lora/NAME, and several at once as the folder that "
                f"`python -m omni export merged-llm --modalities {','.join(sorted(loras - {SHARED_LORA}))}` writes"
            )
        return name

    # --- the event loop ---

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _later(self, work: Callable[[], Any]) -> None:
        self._loop.call_soon_threadsafe(work)

    async def _cancel_all(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()

    def _stop_loop(self) -> None:
        self._later(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _count(self, ended: Finished | Exception) -> None:
        with self._lock:
            self._counts["error" if isinstance(ended, Exception) else ended.reason] += 1
            self._counts["answer_tokens"] += 0 if isinstance(ended, Exception) else ended.answer_tokens


async def _client(url: str, token: str | None, silence: float) -> VLLMClient:
    return VLLMClient(url, token, silence)


def _check_adapters(model: OmniModel) -> None:
    for name in model.modalities:
        adapter = model.modality(name).adapter
        if not adapter.in_sequence:
            raise ValueError(
                f"modalities.{name}.adapter: the LLM's layers attend to what {type(adapter).__name__} makes, which no "
                "engine computes; answer without --engine, or train an adapter whose tokens stand in the sequence"
            )


def _options(row: Row, name: str) -> dict[str, Any]:
    """The body of a request; every option is given, since the LLM's folder would decide about the others."""
    sampling = row.sampling
    return {
        "model": name,
        "prompt_embeds": encode_embeddings(row.prompt.embedded.embeds),
        "max_tokens": row.limits.most,
        "min_tokens": min(sampling.min_new_tokens, row.limits.most),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k or -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": sampling.seed,
        "stop_token_ids": [*row.end_token_ids],
        "logprobs": sampling.top_logprobs,
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
    }


def _chosen(choice: dict[str, Any], num_top: int | None, url: str) -> list[Chosen]:
    """The tokens of an event, with their likelihoods if there are any."""
    token_ids = choice.get("token_ids") or []
    if not token_ids and choice.get("text"):
        raise EngineError(f"the engine at {url} sends no token ids; omni needs vLLM 0.11 or newer")
    given = choice.get("logprobs") or {}
    values = given.get("token_logprobs") or [0.0] * len(token_ids)
    tops = given.get("top_logprobs") or [{}] * len(token_ids)
    found = []
    for token_id, value, top in zip(token_ids, values, tops, strict=False):
        pairs = [(int(token.removeprefix("token_id:")), likelihood) for token, likelihood in (top or {}).items()]
        found.append(Chosen(token_id, value, tuple(sorted(pairs, key=lambda pair: -pair[1])[:num_top])))
    return found
