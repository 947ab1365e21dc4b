"""One process at a time writes into a folder; the others are told who does, and a killed one holds nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omni.runtime.folder_lock import FolderInUseError, FolderLock, hold_folder
from tests.train.runs import REPOSITORY, environment

# holds the folder, with a forked child as data-loading workers are, and says so
HOLDER = """
import os, sys, time
from pathlib import Path
from omni.runtime.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
lock.acquire()
if os.fork() == 0:
    time.sleep(60)
    os._exit(0)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path):
    words = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(
        words, cwd=REPOSITORY, env=environment(), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        os.killpg(process.pid, signal.SIGKILL)


def test_a_second_process_is_told_who_holds_the_folder_and_a_killed_one_holds_nothing(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    lock = FolderLock(tmp_path / "run")
    with pytest.raises(FolderInUseError, match=rf"process {holder.pid} of .* on .* has been writing there since 20"):
        lock.acquire()
    lock.release()
    assert (tmp_path / "run/.lock").exists()
    holder.kill()  # its child lives on
    holder.wait()
    lock.acquire()
    assert f'"pid": {os.getpid()}' in (tmp_path / "run/.lock").read_text()
    lock.release()
    assert not (tmp_path / "run/.lock").exists()


def test_a_process_may_hold_a_folder_several_times(tmp_path: Path) -> None:
    outer, inner = FolderLock(tmp_path), FolderLock(tmp_path)
    outer.acquire()
    inner.acquire()
    inner.release()
    assert (tmp_path / ".lock").exists()
    outer.release()
    assert not (tmp_path / ".lock").exists()


def test_folders_that_nothing_was_written_to_are_gone_again(tmp_path: Path) -> None:
    with hold_folder(tmp_path / "a/b/c", "way out"):
        assert (tmp_path / "a/b/c").is_dir()
    assert not (tmp_path / "a").exists()
    (tmp_path / "mine").mkdir()
    with hold_folder(tmp_path / "mine", "way out"):
        pass
    assert (tmp_path / "mine").is_dir()
    with hold_folder(tmp_path / "d/e", "way out"):
        (tmp_path / "d/e/result").write_text("1")
    assert (tmp_path / "d/e/result").is_file()
