"""The HTTP interface of a vLLM server: what it serves, and completions of embeddings.

Shapes: L tokens, D width of the LLM.
"""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import torch
from torch import Tensor

_CONNECT_SECONDS = 5.0
_SHORT_SECONDS = 30.0  # for what needs no computing
_SILENCE_SECONDS = 10.0  # after which an engine that says nothing is asked whether it lives

# vLLM 0.32 ends when a batch has both token ids and embeddings, and it has put a LoRA around the table of embeddings.
_LORA_HINT = "; with LoRAs, start it with --lora-target-modules and the modules that they change"


class EngineError(ConnectionError):
    """Says that the engine is gone, refuses, or serves something else; the message says what to do."""


@dataclass(frozen=True)
class EngineModel:
    """A model that an engine serves.

    Attributes:
        name: by which requests name it.
        parent: the name of the LLM that it is a LoRA of; None = it is the LLM.
        max_length: the most tokens of a conversation with its answer; None = not stated.
    """

    name: str
    parent: str | None = None
    max_length: int | None = None


class VLLMClient:
    """Speaks to one vLLM server; to be used inside one event loop.

    Args:
        url: where it is, such as `http://127.0.0.1:8001`, with or without `/v1`.
        token: its `--api-key`; None = it has none.
        silence: seconds after which an engine that says nothing is asked whether it lives.
    """

    def __init__(self, url: str, token: str | None = None, silence: float = _SILENCE_SECONDS) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self.silence = silence
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        timeout = httpx.Timeout(_SHORT_SECONDS, connect=_CONNECT_SECONDS, pool=None)
        limits = httpx.Limits(max_connections=None)
        try:
            self._http = httpx.AsyncClient(
                base_url=self.url, headers=headers, timeout=timeout, limits=limits, trust_env=False
            )
            if self._http.base_url.scheme not in ("http", "https") or not self._http.base_url.host:
                raise httpx.InvalidURL("it must begin with http:// or https://, and name a host")
        except httpx.InvalidURL as error:
            raise ValueError(f"the engine's address {url!r} is none: {error}") from error

    async def models(self) -> list[EngineModel]:
        """Return what the engine serves.

        Raises:
            EngineError: it cannot be reached, refuses, or is no vLLM.
        """
        try:
            found = self._content(await self._http.get("/v1/models"))
            return [EngineModel(str(one["id"]), one.get("parent"), one.get("max_model_len")) for one in found["data"]]
        except httpx.HTTPError as error:
            raise self._lost(error) from error
        except (KeyError, TypeError, AttributeError) as error:
            raise EngineError(f"what is at {self.url} does not list models as vLLM does ({error!r})") from error

    async def complete(self, body: Mapping[str, Any]) -> Any:
        """Return the whole answer to a request."""
        request = self._http.build_request("POST", "/v1/completions", json=body, timeout=None)
        return self._content(await self._alive(self._http.send(request)))

    async def stream(self, body: Mapping[str, Any]) -> AsyncIterator[Any]:
        """Yield the events of a request as they come; leaving the iterator ends the request there too.

        Raises:
            EngineError: the engine refuses, is gone, or ends before its answer does.
        """
        request = self._http.build_request("POST", "/v1/completions", json={**body, "stream": True}, timeout=None)
        response = await self._alive(self._http.send(request, stream=True))
        try:
            if response.status_code != httpx.codes.OK:
                await self._alive(response.aread())
                raise self._refusal(response)
            lines = response.aiter_lines()
            while (line := await self._alive(anext(lines, None))) is not None:
                data = line.removeprefix("data:").strip()
                if data == "[DONE]":
                    return
                if line.startswith("data:"):
                    yield self._parsed(data)
            raise EngineError(f"the engine at {self.url} ended in the middle of an answer; look at its log{_LORA_HINT}")
        except httpx.HTTPError as error:
            raise self._lost(error) from error
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _alive(self, awaited: Any) -> Any:
        """Wait for something for as long as the engine lives."""
        task = asyncio.ensure_future(awaited)
        try:
            while not (await asyncio.wait({task}, timeout=self.silence))[0]:
                await self._check_health()
            return task.result()
        except httpx.HTTPError as error:
            raise self._lost(error) from error
        finally:
            task.cancel()

    async def _check_health(self) -> None:
        """Raise EngineError unless the engine says that it is well."""
        try:
            response = await self._http.get("/health")
        except httpx.HTTPError as error:
            raise self._lost(error) from error
        if response.status_code != httpx.codes.OK:
            raise EngineError(f"the engine at {self.url} is not well (status {response.status_code}); look at its log")

    def _content(self, response: httpx.Response) -> Any:
        if response.status_code != httpx.codes.OK:
            raise self._refusal(response)
        return self._parsed(response.text)

    def _parsed(self, text: str) -> Any:
        try:
            found = json.loads(text)
        except ValueError as error:
            raise EngineError(f"what is at {self.url} does not answer in JSON; is it a vLLM server?") from error
        if isinstance(found, dict) and "error" in found:
            raise EngineError(f"the engine at {self.url} failed: {_words(found)}; look at its log{_LORA_HINT}")
        return found

    def _refusal(self, response: httpx.Response) -> EngineError:
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return EngineError(f"the engine at {self.url} wants another token than it was sent (its --api-key)")
        if response.status_code == httpx.codes.NOT_FOUND:
            return EngineError(f"there is no vLLM server at {self.url}, or it no longer serves this model")
        try:
            words = _words(response.json())
        except ValueError:
            words = response.text[:200]
        hint = "; start it with --enable-prompt-embeds" if "prompt-embeds" in words or "prompt_embeds" in words else ""
        return EngineError(f"the engine at {self.url} refuses (status {response.status_code}): {words}{hint}")

    def _lost(self, error: httpx.HTTPError) -> EngineError:
        reason = str(error) or type(error).__name__
        return EngineError(f"the engine at {self.url} cannot be reached, or was lost ({reason}); start it again")


def encode_embeddings(embeds: Tensor) -> str:
    """Return embeddings [L, D] in the form of vLLM's `prompt_embeds`: base64 of what `torch.save` writes."""
    buffer = io.BytesIO()
    torch.save(embeds.detach().cpu().contiguous().clone(), buffer)
    return base64.b64encode(buffer.getvalue()).decode()


def _words(found: Any) -> str:
    error = found.get("error", found) if isinstance(found, dict) else found
    message = error.get("message", error) if isinstance(error, dict) else error
    return str(message)[:300]
