"""Several processes share an evaluation: in equal parts, a killed one is noticed, and nothing is asked twice."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from eval.items.prefix import Prefix
from eval.run.batches import Batch, make_batches, share
from eval.run.cache import AnswerCache, of_process
from eval.run.requests import Requests
from eval.run.results import load_results
from eval.run.runner import evaluate
from omni.runtime.folder_lock import hold_folder
from omni.samples.messages import Media
from tests.eval.run.test_evaluation_run import ANSWERS, choice, count_answers, wait_for_answers, write_manifest
from tests.tiny import tiny_model
from tests.train.runs import REPOSITORY, environment


def batch(*lengths: int) -> Batch:
    return Batch({f"{number}-{length}": ["x" * length] for number, length in enumerate(lengths)})


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_shares_hold_every_batch_once_and_differ_by_one_batch_at_most(count: int) -> None:
    batches = [batch(*range(number, number + 3)) for number in range(1, 40)]
    shares = share(batches, count)
    assert sorted((one for part in shares for one in part), key=lambda one: one.cost) == batches
    assert shares == share(batches, count)
    costs = [sum(one.cost for one in part) for part in shares]
    assert max(costs) - min(costs) <= max(one.cost for one in batches)


def test_batches_hold_like_with_like_and_ask_for_everything_once() -> None:
    requests = Requests()
    for number in range(30):
        requests.score(Prefix((), f"prompt {number}"), ["a" * (number % 7 + 1), "b"][: number % 2 + 1])
    requests.generate(Prefix((), "prompt 1"), {"max_new_tokens": 3})
    missing = {key: [*found] for key, found in requests.candidates.items()}
    pending = {key: [*keys] for key, (_, keys) in requests.generations.items()}
    batches = make_batches(missing, pending, requests, 4)
    assert all(1 <= len(one.prefix_keys) <= 4 for one in batches)
    assert {key: found for one in batches for key, found in one.candidates.items()} == missing
    assert [one.generate for one in batches if one.settings] == [[Prefix((), "prompt 1").key]]
    for one in batches:
        assert len({len(found) for found in one.candidates.values()}) <= 1


def test_prefixes_that_begin_with_one_medium_are_batches_of_their_own() -> None:
    media = {name: Media("image", data=np.full((2, 7), number)) for number, name in enumerate("abcdefgh")}
    requests = Requests()
    for first, others in (("a", "cdefg"), ("b", "cd"), ("c", "defgh")):
        for other in others:
            requests.score(Prefix((media[first], media[other]), "?"), ["x"])
    batches = make_batches({key: [*found] for key, found in requests.candidates.items()}, {}, requests, 5)
    firsts = [[requests.prefixes[key].media[0] for key in one.prefix_keys] for one in batches]
    assert sorted(map(len, firsts)) == [2, 5, 5]
    assert all(first is same[0] for same in firsts for first in same)


def test_what_a_killed_process_kept_is_taken_in_once(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with AnswerCache(of_process(path, 3), "model") as other:
        other.put({"theirs": 1.5})
    with AnswerCache(path, "model") as cache:
        cache.put({"own": "text"})
        cache.take_in_others()
        assert (cache.get("own"), cache.get("theirs")) == ("text", 1.5)
    assert [file.name for file in tmp_path.iterdir()] == ["answers.sqlite"]


def test_two_writers_of_one_cache_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"

    def write(name: str) -> None:
        with AnswerCache(path, "model") as cache:
            for number in range(40):
                cache.put({f"{name}-{number}": number, "shared": number})

    with ThreadPoolExecutor(3) as pool:
        [*pool.map(write, "abc")]
    with AnswerCache(path, "model") as cache:
        assert len(cache) == 3 * 40 + 1
        assert all(cache.get(f"{name}-{number}") == number for name in "abc" for number in range(40))


def test_a_damaged_file_of_a_process_is_named(tmp_path: Path) -> None:
    of_process(tmp_path / "answers.sqlite", 1).write_text("this is no database, however long it may be")
    with (
        AnswerCache(tmp_path / "answers.sqlite", "model") as cache,
        pytest.raises(ValueError, match=r"answers-1\.sqlite is no answer cache"),
    ):
        cache.take_in_others()


def test_two_evaluations_at_one_output_are_refused_in_words(
    tiny_llm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_model(tiny_llm).save(tmp_path / "model")
    program = (
        "import sys; from pathlib import Path; from omni.runtime.folder_lock import hold_folder\n"
        "with hold_folder(Path(sys.argv[1]), ''):\n    print('held', flush=True); sys.stdin.read()\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "out")]
    with subprocess.Popen(words, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        from eval.__main__ import main

        arguments = ["image-category", "--model", str(tmp_path / "model"), "--output", str(tmp_path / "out")]
        assert main(arguments) == 2
        assert re.search(
            r"out is in use: process \d+ .*choose another --output", capsys.readouterr().err.replace("\n", " ")
        )
        holder.communicate(b"")
    with hold_folder(tmp_path / "out", ""):
        assert not list((tmp_path / "out").glob("*.json"))


TASK_FILE = """
import os, time
import omni.model
from eval.task import Choose, Generate, Task

if os.environ.get("SLOW"):
    score = omni.model.OmniModel.score_batch
    def slow(self, *arguments):
        time.sleep(0.3)
        return score(self, *arguments)
    omni.model.OmniModel.score_batch = slow

TASK = Task("choice", 1, "", {data!r}, ("image",), "What is this?", Choose("answers"), "choice-sum-v1")
"""


@pytest.mark.distributed
def test_a_killed_process_is_noticed_and_the_same_command_goes_on_with_no_item_asked_twice(
    tiny_llm: Path, tmp_path: Path
) -> None:
    data = write_manifest(tmp_path / "data", number=60)
    model, output = tmp_path / "model", tmp_path / "out"
    tiny_model(tiny_llm).save(model)
    (tmp_path / "my_tasks.py").write_text(TASK_FILE.format(data=str(data)))
    command = ["-m", "eval", f"{tmp_path / 'my_tasks.py'}:TASK", "--model", str(model), "--output", str(output)]
    command += ["--batch_size", "2", "--device", "cpu"]
    # Started by hand, so that no launcher ends the first process: it has to notice by itself.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "SLOW": "1"}
    first, second = (
        subprocess.Popen(
            [sys.executable, *command],
            cwd=REPOSITORY,
            env=environment() | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    )
    try:
        wait_for_answers(second, of_process(output / "answers.sqlite", 1), 24)
        os.kill(second.pid, signal.SIGKILL)
        _, errors = first.communicate(timeout=200)
    finally:
        for process in (first, second):
            process.kill()
    assert first.returncode == 2
    assert "another process of this evaluation has ended" in errors.decode()
    assert "Traceback" not in errors.decode()
    before = sum(count_answers(path) for path in output.glob("answers*.sqlite"))
    assert 24 <= count_answers(of_process(output / "answers.sqlite", 1)) < before < 61 * 6

    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launcher += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    finished = subprocess.run(
        [sys.executable, *launcher, "--num_cpu_threads_per_process", "1", *command],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert not [*output.glob("answers-*")]
    run = load_results(output)
    assert run.settings["processes"] == 2
    assert run.settings["answers_from_cache"] == before
    assert run.settings["answers_asked"] == 61 * 6 - before == count_answers(output / "answers.sqlite") - before
    assert sum(run.settings["time_shares"].values()) == pytest.approx(1, abs=0.01)
    alone = evaluate(tiny_model(tiny_llm), [choice(data)], batch_size=2, progress=False).tasks[0]
    assert run.tasks[0].scores == alone.scores
    assert len(alone.items) == 60
    for one, other in zip(run.tasks[0].items, alone.items, strict=True):
        assert (one.id, one.answer, one.target) == (other.id, other.answer, other.target)
        assert [share for _, share in one.top] == pytest.approx([share for _, share in other.top], abs=1e-5)
    assert set(ANSWERS) >= {item.answer for item in alone.items}
    assert json.loads((output / "results.json").read_text())["settings"]["items_per_second"] > 0
