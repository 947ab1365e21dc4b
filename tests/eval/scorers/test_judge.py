"""A judge behind a real HTTP server: verdicts, what is kept, what is tried again, and what cannot be judged."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from eval.items.item import Item
from eval.run.runner import evaluate
from eval.scorers import SCORERS, WrittenAnswer
from eval.scorers.judge_client import Verdict, parse_verdict
from eval.task import Generate, Task
from tests.eval.scorers.test_multi_label import write
from tests.tiny import tiny_model


class Handler(BaseHTTPRequestHandler):
    """Judges an answer right if it says frog; fails in other ways where the answer asks for it."""

    asked: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        told = body["messages"][-1]["content"]
        again = any(body == one["body"] for one in self.asked)
        self.asked.append({"body": body, "path": self.path, "key": self.headers.get("Authorization")})
        answer = told.rpartition("Predicted answer: ")[2]
        if answer == "forbidden" or (answer == "busy" and not again):
            self.send_error(403 if answer == "forbidden" else 503)
            return
        verdict = "Yes, it is." if answer == "chatty" else "{'pred': 'no', 'score': 1}"
        content = "{'pred': 'yes', 'score': 4}" if answer in ("frog", "busy") else verdict
        data = json.dumps({"choices": [{"message": {"content": content}}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    handler = type("Own", (Handler,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("OMNI_JUDGE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("OMNI_JUDGE_MODEL", "judge-7b")
    monkeypatch.setenv("OMNI_JUDGE_KEY", "secret")
    monkeypatch.setenv("OMNI_JUDGE_CACHE", str(tmp_path / "kept" / "judge.jsonl"))
    yield handler.asked
    server.shutdown()
    thread.join()
    server.server_close()


def answers(*texts: str) -> list[WrittenAnswer]:
    return [WrittenAnswer(Item(str(n), (), "What is it?", "a frog", n), text) for n, text in enumerate(texts)]


def test_answers_are_judged_once_and_kept(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    found = SCORERS["judge-v1"].score(answers("frog", "dog", "busy"), condition="own", seed=0)
    assert found.estimates["accuracy"].value == pytest.approx(2 / 3)
    assert found.estimates["judge_score"].value == pytest.approx(3)
    assert found.estimates["not_judged"].value == 0
    assert found.settings == {"judge": "judge-7b, prompt 1"}
    assert len(asked) == 4  # the busy one twice
    assert {(one["path"], one["key"]) for one in asked} == {("/v1/chat/completions", "Bearer secret")}
    assert "Question: What is it?\nCorrect answer: a frog" in asked[0]["body"]["messages"][1]["content"]
    with (tmp_path / "kept" / "judge.jsonl").open("a") as file:
        file.write('{"key": "half a li')
    SCORERS["judge-v1"].score(answers("frog", "dog", "busy"), condition="own", seed=0)
    assert len(asked) == 4


def test_what_cannot_be_judged_is_counted_and_not_wrong(asked: list[dict[str, Any]]) -> None:
    found = SCORERS["judge-v1"].score(answers("frog", "chatty", "forbidden", "dog"), condition="own", seed=0)
    assert (found.estimates["accuracy"].value, found.estimates["not_judged"].value) == (0.5, 0.5)
    assert [item.value for item in found.items if item.value == item.value] == [1, 0]
    assert found.items[1].note == "not judged: the judge replied 'Yes, it is.'"
    assert "403" in found.items[2].note


def test_no_judge_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMNI_JUDGE_URL", raising=False)
    with pytest.raises(ValueError, match="set OMNI_JUDGE_URL to an OpenAI-compatible address"):
        SCORERS["judge-v1"].chance([])


def test_a_task_without_a_verdict_is_not_computed(
    asked: list[dict[str, Any]], tiny_llm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Task("open", 1, "", str(write(tmp_path)), ("image",), "what", Generate(), "judge-v1", target="meta:labels")
    model = tiny_model(tiny_llm)
    (result,) = evaluate(model, [task], progress=False).tasks
    assert result.status == "computed"
    assert result.settings["judge"] == "judge-7b, prompt 1"
    monkeypatch.setenv("OMNI_JUDGE_URL", "http://127.0.0.1:9/v1/nothing-here/chat/completions")
    monkeypatch.setenv("OMNI_JUDGE_MODEL", "another")
    monkeypatch.setattr("eval.scorers.judge_client._ATTEMPTS", 1)
    (result,) = evaluate(model, [task], progress=False).tasks
    assert result.status == "not computed"
    assert "no answer could be judged: the judge at http://127.0.0.1:9/" in result.reason


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("{'pred': 'yes', 'score': 4}", Verdict(True, 4)),
        (' {"pred": "no", "score": 0.5}\n', Verdict(False, 0.5)),
        ("{'pred': 'yes', 'score': 6}", None),
        ("{'pred': 'maybe', 'score': 3}", None),
        ("{'pred': 'yes', 'score': True}", None),
        ("{'pred': 'yes'}", None),
        ("{'pred': ['yes'], 'score': 3}", None),
        ("The answer: {'pred': 'yes', 'score': 4}", None),
        ("['yes', 4]", None),
        ("", None),
    ],
)
def test_a_verdict_is_read_strictly(reply: str, verdict: Verdict | None) -> None:
    assert parse_verdict(reply) == verdict
