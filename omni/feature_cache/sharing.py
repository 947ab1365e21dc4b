"""A cache that several users share: the permissions of what is made in it, and what to do where they are missing."""

import contextlib
import os
import pwd
import stat
from pathlib import Path

_WRITE_FOR_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def make_folder(folder: Path) -> None:
    """Make the folder of an encoder; whoever may write to the cache may write to it too, whatever the umask is."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    wanted = stat.S_IMODE(folder.parent.stat().st_mode)
    if wanted & _WRITE_FOR_OTHERS:
        with contextlib.suppress(PermissionError):  # another process, of another user, has just made it
            folder.chmod(wanted & ~stat.S_ISVTX)


def give_file_mode(file: int, folder: Path) -> None:
    """Let an open file, which was just made, be read and written by those who may list and write to its folder."""
    os.fchmod(file, stat.S_IMODE(folder.stat().st_mode) & 0o666)


def explain_denied(path: Path, error: OSError) -> str:
    """Say whose file or folder it is that may not be read or written, and which command lets users share a cache."""
    place = next((one for one in (path, *path.parents) if _exists(one)), path)
    cache = next((one for one in (place, *place.parents) if one.name.rpartition("-")[2] in _DTYPES), place)
    root = cache.parent if cache.name.rpartition("-")[2] in _DTYPES else place
    return (
        f"{error.strerror}: {path} ({_owner(place)}). To share the cache, its owners give it to a group that all users "
        f"are in: chgrp -R GROUP {root} && chmod -R g+rwX {root} && find {root} -type d -exec chmod g+s {{}} +. Or "
        "choose another folder (train.feature_cache, --dir)"
    )


_DTYPES = ("float32", "float16", "bfloat16")  # with which the names of encoders' folders end


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False


def _owner(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return "of another user"
    try:
        name = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        name = str(status.st_uid)
    return f"{path} belongs to {name} and has mode {stat.S_IMODE(status.st_mode):o}"
