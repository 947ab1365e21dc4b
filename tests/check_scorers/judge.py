"""A judge: replies that are made so, those that lmms-eval reads too, and a set of answers by a server's verdicts."""

import ast
import json
import os
import random
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from eval.scorers.judge_client import parse_verdict
from tests.check_scorers.comparing import Outcome, compare, figures, item_values, written
from tests.check_scorers.wheels import LMMS_EVAL, Wheels

_DAMAGES = (
    *("Sure! {}", "{} I hope this helps.", "[{}]", "{}}}", "{{{}", "", "yes", "5", "```{}```", "{} {}", "null", "'{}"),
)
_WRONG = (
    *({"pred": "maybe", "score": 3}, {"pred": "yes", "score": 6}, {"pred": "no", "score": -1}, {"pred": "yes"}),
    *({"score": 4}, {"pred": "yes", "score": "4"}, {"pred": "yes", "score": True}, {"pred": None, "score": 1}, {}),
)


def replies(number: int, wheels: Wheels) -> Iterator[Outcome]:
    """Verdicts in the notations of Python and JSON, and replies that are none."""
    draw = random.Random(18)
    made, read = [], []
    parse = None
    if wheels.has(LMMS_EVAL):
        known = {"ast": ast, "eval_logger": SimpleNamespace(error=lambda text: None)}
        parse = wheels.functions(
            LMMS_EVAL, "lmms_eval/tasks/activitynetqa/utils.py", "parse_score", **known
        ).parse_score
    for _ in range(2 * number):
        said, score = draw.choice(("yes", "no")), draw.choice((0, 1, 2, 3, 4, 5))
        reply = _notation(draw, {"pred": said, "score": score})
        if draw.random() < 0.5:
            made.append((_numbers(reply), [said == "yes", score]))
            if parse is not None:
                theirs = parse(reply)
                read.append((_numbers(reply), [theirs[0] == "yes", theirs[1]]))
        elif draw.random() < 0.5:
            made.append((_numbers(draw.choice(_DAMAGES).format(reply, reply)), [np.nan, np.nan]))
        else:
            made.append((_numbers(_notation(draw, draw.choice(_WRONG))), [np.nan, np.nan]))
    yield compare("judge-v1", "verdict, or none", "replies made so", made)
    if parse is not None:
        yield compare("judge-v1", "verdict", f"{LMMS_EVAL} (its code)", read)


def _notation(draw: random.Random, verdict: dict[str, Any]) -> str:
    pairs = [*verdict.items()]
    draw.shuffle(pairs)
    text = draw.choice((str, json.dumps))(dict(pairs))
    return (
        draw.choice(("", " ", "\n")) + text.replace(", ", draw.choice((", ", ",", ",\n  "))) + draw.choice(("", "\n"))
    )


def _numbers(reply: str) -> list[float]:
    verdict = parse_verdict(reply)
    return [np.nan, np.nan] if verdict is None else [float(verdict.right), verdict.score]


class _Says(BaseHTTPRequestHandler):
    """A judge whose reply is the answer that it is to judge."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = body["messages"][-1]["content"].rpartition("Predicted answer: ")[2]
        data = json.dumps({"choices": [{"message": {"content": content}}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""


@contextmanager
def _server() -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Says)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with tempfile.TemporaryDirectory() as folder:
        address = f"http://127.0.0.1:{server.server_port}/v1"
        names = {"OMNI_JUDGE_URL": address, "OMNI_JUDGE_MODEL": "judge", "OMNI_JUDGE_KEY": ""}
        with patch.dict(os.environ, names | {"OMNI_JUDGE_CACHE": str(Path(folder) / "judge.jsonl")}):
            yield
    server.shutdown()
    thread.join()
    server.server_close()


def verdicts(number: int) -> Iterator[Outcome]:
    """The figures of a set of answers, of which some cannot be judged."""
    draw = random.Random(19)
    said = [(draw.choice(("yes", "no")), draw.randint(0, 5)) if draw.random() < 0.9 else None for _ in range(number)]
    texts = [
        f"{case} is hard" if one is None else str({"pred": one[0], "score": one[1]}) for case, one in enumerate(said)
    ]
    answers = [written(text, "a frog", id=str(case), cluster=case) for case, text in enumerate(texts)]
    judged = [one for one in said if one is not None]
    with _server():
        values, found = item_values("judge-v1", answers), figures("judge-v1", answers)
    own = [found[name] for name in ("accuracy", "judge_score", "not_judged")]
    theirs = [np.mean([one[0] == "yes" for one in judged]), np.mean([one[1] for one in judged])]
    yield compare(
        "judge-v1",
        "accuracy, score, not judged of the set",
        "means, restated",
        [(own, [*theirs, 1 - len(judged) / number])],
    )
    right = [np.nan if one is None else float(one[0] == "yes") for one in said]
    yield compare("judge-v1", "right, wrong or not judged", "what a server replies", zip(values, right, strict=True))
