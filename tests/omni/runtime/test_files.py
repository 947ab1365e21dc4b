"""Files and folders are replaced whole or not at all, whenever the process dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omni.runtime.files import recover_directory, replace_directory, write_atomically


def contents(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with replace_directory(tmp_path / "model") as folder:
            (folder / text).write_text(text)
            (folder / "sub").mkdir()
            (folder / "sub" / "file").write_text(text)
    assert contents(tmp_path / "model") == {"new": "new", "sub/file": "new"}
    assert [item.name for item in tmp_path.iterdir()] == ["model"]


def test_an_error_while_filling_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    with replace_directory(tmp_path / "model") as folder:
        (folder / "file").write_text("old")

    def fill() -> None:
        with replace_directory(tmp_path / "model") as folder:
            (folder / "file").write_text("new")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fill()
    assert contents(tmp_path / "model") == {"file": "old"}
    assert [item.name for item in tmp_path.iterdir()] == ["model"]


KILLED = """
import os, signal, sys
from pathlib import Path
from omni.runtime import files
target, point = Path(sys.argv[1]), sys.argv[2]
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
rename = Path.rename
renames = []
def counted(self, other):
    if point == f"before rename {len(renames)}":
        die()
    renames.append(self)
    found = rename(self, other)
    if point == f"after rename {len(renames) - 1}":
        die()
    return found
Path.rename = counted
with files.replace_directory(target) as folder:
    (folder / "file").write_text("new")
    if point == "filling":
        die()
"""


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ("filling", "old"),
        ("before rename 0", "old"),
        ("after rename 0", "old"),
        ("before rename 1", "old"),
        ("after rename 1", "new"),
    ],
)
def test_a_kill_at_any_point_leaves_the_old_folder_or_the_new(tmp_path: Path, point: str, expected: str) -> None:
    target = tmp_path / "model"
    with replace_directory(target) as folder:
        (folder / "file").write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(target), point], cwd=Path(__file__).parents[3])
    assert done.returncode == -signal.SIGKILL
    recover_directory(target)
    assert contents(target) == {"file": expected}
    with replace_directory(target) as folder:
        (folder / "file").write_text("next")
    assert contents(target) == {"file": "next"}
    assert [item.name for item in tmp_path.iterdir()] == ["model"]


def test_a_file_is_replaced_in_one_step_and_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file.json"
    write_atomically(path, "old")
    write_atomically(path, "новое".encode())
    assert path.read_text(encoding="utf-8") == "новое"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [item.name for item in path.parent.iterdir()] == ["file.json"]


def test_recovering_a_folder_that_was_never_there_does_nothing(tmp_path: Path) -> None:
    recover_directory(tmp_path / "model")
    assert not os.listdir(tmp_path)


SAVER = """
import sys, time
from pathlib import Path
from omni.runtime.files import recover_directory, replace_directory
name, folder = sys.argv[1], Path(sys.argv[2])
for _ in range(40):
    with replace_directory(folder) as temporary:
        for number in range(5):
            (temporary / str(number)).write_text(name)
    recover_directory(folder)  # as a reader does
"""


def test_processes_that_save_to_one_folder_wait_for_each_other(tmp_path: Path) -> None:
    words = [sys.executable, "-c", SAVER]
    savers = [
        subprocess.Popen([*words, name, str(tmp_path / "model")], stderr=subprocess.PIPE, text=True) for name in "abc"
    ]
    for saver in savers:
        assert saver.wait(120) == 0, saver.communicate()[1]
    texts = [file.read_text() for file in (tmp_path / "model").iterdir()]
    assert len(texts) == 5
    assert len(set(texts)) == 1
    assert [item.name for item in tmp_path.iterdir()] == ["model"]
