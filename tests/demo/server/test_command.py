"""`python -m demo.server` as its users start it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from demo.server.__main__ import main
from demo.server.limits import Limits
from demo.server.served import load_served, name_of
from tests.demo.server.serving import asked
from tests.tiny import tiny_model
from tests.tiny_space import tiny_space

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folders(tiny_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    tiny_model(tiny_llm).save(folder / "my-run" / "best")
    tiny_space().save(folder / "my-space")
    return folder


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """The real command with its address and what it said; it is killed at the end if it still runs."""
    command = [sys.executable, "-m", "demo.server", "--port", "0", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if "Ctrl-C" in line:
                    break
            found = re.search(r"http://[\w.:\[\]]+", "".join(said))
            assert found, said
            yield process, found[0], said
        finally:
            process.kill()


def test_it_serves_every_network_with_a_token_until_it_is_told_to_stop(folders: Path) -> None:
    both = ("--model", str(folders / "my-run/best"), "--space", str(folders / "my-space"))
    with started(*both, "--host", "0.0.0.0", "--max_tokens", "7") as (process, url, said):
        assert "omni serves my-run, my-space" in said[0]
        token = next(line.split()[-1] for line in said if "token" in line)
        assert httpx.get(f"{url}/v1/models").status_code == 401
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
            models = client.get("/v1/models").json()["data"]
            assert [model["id"] for model in models] == ["my-run", "my-space"]
            assert models[0]["limits"]["max_tokens"] == 7
            answer = client.post("/v1/chat/completions", json={"model": "my-run", "messages": asked()})
            assert answer.json()["usage"]["completion_tokens"] <= 7
            silence = {"type": "sound", "data": [[0.0, 0.0, 0.0]] * 4}
            assert client.post("/v1/embeddings", json={"model": "my-space", "input": silence}).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stdout is not None
        assert process.stdout.read().strip() == "stopped"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--model", "nowhere"), "--model"),
        (("--model", "{model}", "--space", "nowhere"), "--space"),
        (("--model", "{model}", "--space", "{model}"), "no joint space"),
        (("--model", "{space}", "--space", "{space}"), "leave --space out"),
        (("--model", "{model}", "--token", "short"), "--token"),
        (("--model", "{model}", "--max_media", "0"), "--max_media"),
        (("--model", "{model}", "--max_seconds", "nan"), "--max_seconds"),
        (("--model", "{model}", "--host", "192.0.2.1"), "cannot listen"),
        (("--model", "{model}", "--port", "99999"), "cannot listen"),
    ],
)
def test_what_cannot_be_used_is_said_before_long(
    folders: Path, arguments: tuple[str, ...], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"model": folders / "my-run/best", "space": folders / "my-space"}
    given = [text.format(**known) for text in arguments]
    assert main(["--port", "0", *given]) == 2
    assert word in capsys.readouterr().err


def test_names_are_those_of_runs(folders: Path) -> None:
    assert name_of(folders / "my-run/best") == "my-run"
    assert name_of(folders / "my-space") == "my-space"
    served = load_served(folders / "my-run/best", None, "mine", False, Limits())
    served.close()
    assert [one.name for one in served] == ["mine"]


def test_help_imports_no_torch() -> None:
    code = "import sys, demo.server.__main__; print([name for name in ('torch', 'fastapi') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
