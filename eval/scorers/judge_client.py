"""Ask a judge, any model behind an OpenAI-compatible address, and keep what it said."""

import ast
import hashlib
import json
import os
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omni.starter import home

URL, MODEL, KEY, CACHE = "OMNI_JUDGE_URL", "OMNI_JUDGE_MODEL", "OMNI_JUDGE_KEY", "OMNI_JUDGE_CACHE"
_ATTEMPTS = 4
_TIMEOUT = 120.0  # seconds
_AGAIN = frozenset({408, 409, 429, 500, 502, 503, 504})
# Part of the key under which a verdict is kept: rises with every change of the words below.
PROMPT_VERSION = 1
_SYSTEM = (
    "You judge answers to questions. You are given a question, its correct answer and a predicted answer. Decide "
    "whether the prediction means the same as the correct answer; other words for the same thing are fine. Reply with "
    "nothing but a Python dictionary: {'pred': 'yes' or 'no', 'score': a whole number from 0 to 5}, where 5 is a "
    "perfect match."
)


@dataclass(frozen=True)
class Verdict:
    """What the judge said of an answer: whether it is right, and a score from 0 to 5."""

    right: bool
    score: float


def parse_verdict(text: str) -> Verdict | None:
    """Return the verdict that a reply is, such as `{'pred': 'yes', 'score': 4}`; None if it is anything else.

    The reply is a dictionary in the notation of Python or JSON and nothing else, with `pred` yes or no, and `score` a
    number from 0 to 5. lmms-eval (lmms_eval/tasks/activitynetqa/utils.py) also reads a dictionary within a longer
    reply, which here is no verdict, takes any `pred` with yes in it for yes, and cuts the score to a whole number.
    """
    for read in (ast.literal_eval, json.loads):
        try:
            found = read(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, dict):
            said, score = found.get("pred"), found.get("score")
            if said not in ("yes", "no") or isinstance(score, bool) or not isinstance(score, int | float):
                return None
            return Verdict(said == "yes", float(score)) if 0 <= score <= 5 else None
    return None


class Judge:
    """A judge at an address; verdicts are kept in a file, by question, answers, model and prompt.

    Args:
        url: the address up to `/v1`, or that of its `chat/completions`.
        model: the name of the model there.
        key: sent as a bearer token; "" = none.
        cache: the file, one line of JSON a reply.
    """

    def __init__(self, url: str, model: str, key: str, cache: Path) -> None:
        url = url.rstrip("/")
        self._url = url if url.endswith("/chat/completions") else f"{url}/chat/completions"
        self.model, self._key, self._cache = model, key, cache
        self._lock = threading.Lock()
        self._kept = _read(cache)

    @classmethod
    def from_environment(cls) -> "Judge":
        """Return the judge that the environment names.

        Raises:
            ValueError: it names none; the message says how to.
        """
        url, model = os.environ.get(URL), os.environ.get(MODEL)
        if not url or not model:
            raise ValueError(
                f"there is no judge: set {URL} to an OpenAI-compatible address (such as http://localhost:8000/v1), "
                f"{MODEL} to the name of a model there and, if it wants one, {KEY} to a key; or take a scorer that "
                "needs no judge, such as exact-match-v2"
            )
        cache = os.environ.get(CACHE)
        return cls(url, model, os.environ.get(KEY, ""), Path(cache) if cache else home() / "judge.jsonl")

    def reply(self, question: str, right: str, answer: str) -> str:
        """Return what the judge says of an answer; what it said before is not asked again.

        Raises:
            OSError: it could not be reached, or refused, after several attempts; the message says which address.
        """
        key = hashlib.sha256(json.dumps([PROMPT_VERSION, self.model, question, right, answer]).encode()).hexdigest()
        if key not in self._kept:
            said = self._ask(f"Question: {question}\nCorrect answer: {right}\nPredicted answer: {answer}")
            with self._lock:
                self._kept[key] = said
                self._cache.parent.mkdir(parents=True, exist_ok=True)
                with self._cache.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"key": key, "model": self.model, "reply": said}) + "\n")
        return self._kept[key]

    def _ask(self, content: str) -> str:
        messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": content}]
        data = json.dumps({"model": self.model, "messages": messages, "temperature": 0, "max_tokens": 64}).encode()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        problem = ""
        for attempt in range(_ATTEMPTS):
            request = urllib.request.Request(self._url, data, headers)
            try:
                with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
                    return _content(json.loads(response.read()))
            except urllib.error.HTTPError as error:
                problem = f"{error.code} {error.reason}"
                if error.code not in _AGAIN:
                    break
            except (OSError, ValueError) as error:
                problem = str(error)
            if attempt + 1 < _ATTEMPTS:
                time.sleep(0.25 * 4**attempt)
        raise OSError(f"the judge at {self._url} did not answer: {problem}")


def _content(response: Any) -> str:
    try:
        return str(response["choices"][0]["message"]["content"])
    except (KeyError, IndexError, TypeError):
        raise ValueError(f"no chat completion: {str(response)[:200]}") from None


def _read(cache: Path) -> dict[str, str]:
    if not cache.is_file():
        return {}
    found: dict[str, str] = {}
    for line in cache.read_text(encoding="utf-8").splitlines():
        try:
            kept = json.loads(line)
            found[kept["key"]] = kept["reply"]
        except (ValueError, KeyError, TypeError):
            continue  # the last line of a run that was killed
    return found
