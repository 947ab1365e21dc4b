"""Patterns of tar shards: brace ranges, lists in braces, globs, and commands whose output is a shard.

A command runs with all rights of the user. So it comes only from a text that somebody wrote, a recipe's `path` or the
argument of a reader, and is from then on of a type of its own: what a folder holds is a file, whatever its name is.
"""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from omni.starter import resolve

PIPE_SCHEME = "pipe:"
SHARD_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")

# `{000..999}`, `{0..8..2}` or `{a,b}`; not `${NAME}` of a shell, nor the blocks of an awk program, which hold spaces.
_BRACES = re.compile(r"(?<!\$)\{(?:(\d+)\.\.(\d+)(?:\.\.(\d+))?|([^{}\s]*,[^{}\s]*))\}")
_SHOWN = 5  # missing shards that an error names


class ShardCommand(str):
    """A shard that is the output of a shell command, `pipe:COMMAND`. It is trusted, and runs when it is read."""

    __slots__ = ()


def is_shard_pattern(path: str | Sequence[str]) -> bool:
    """Return whether `path` of a data set means tar shards: a list, a command, or a name like a tar archive's."""
    return not isinstance(path, str) or path.startswith(PIPE_SCHEME) or path.lower().endswith(SHARD_ENDINGS)


def expand_shards(path: str | Sequence[str]) -> list[str]:
    """Return the shards that a pattern, or a list of patterns, names, in order.

    `shards/train-{000000..000999}.tar` and `{a,b}.tar` are expanded as a shell does it, `*`, `?` and `[...]` are
    globbed (sorted), `pipe:COMMAND` becomes a `ShardCommand`, expanded only in its braces. Names that a glob finds are
    files, and so is a `pipe:...` that exists as a file: a list of names may come from a folder.

    Raises:
        FileNotFoundError: a glob matches nothing, or files are missing; it names them.
        ValueError: a range runs backwards, or a shard is named twice.
    """
    patterns = [path] if isinstance(path, str) else list(path)
    shards = [shard for pattern in patterns for name in expand_braces(pattern) for shard in _files(name)]
    if not shards:
        raise ValueError("the list of shards is empty; name at least one")
    twice = sorted({shard for shard in shards if shards.count(shard) > 1}) if len(set(shards)) < len(shards) else []
    if twice:
        raise ValueError(f"the shard {twice[0]} is named twice, so its samples would come twice; name it once")
    missing = [shard for shard in shards if not is_command(shard) and not Path(shard).is_file()]
    if missing:
        names = ", ".join(missing[:_SHOWN]) + (f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else "")
        raise FileNotFoundError(
            f"{len(missing)} of {len(shards)} shards do not exist (seen from {Path.cwd()}): {names}. Correct the range "
            "in braces, or fetch them"
        )
    return shards


def expand_braces(pattern: str) -> Iterator[str]:
    """Expand `a-{0..2}.tar` to `a-0.tar`, `a-1.tar`, `a-2.tar`; leading zeros give the width."""
    match = _BRACES.search(pattern)
    if match is None:
        yield pattern
        return
    first, last, step, words = match.groups()
    if words is not None:
        choices = words.split(",")
    else:
        if int(last) < int(first) or step == "0":
            raise ValueError(f"the range {match[0]} of {pattern!r} is empty; write the smaller number first")
        width = len(first) if first.startswith("0") or len(first) == len(last) else 0
        choices = [str(number).zfill(width) for number in range(int(first), int(last) + 1, int(step or 1))]
    for choice in choices:
        yield from expand_braces(pattern[: match.start()] + choice + pattern[match.end() :])


def is_command(shard: str) -> bool:
    """Return whether a shard is the output of a command."""
    return isinstance(shard, ShardCommand)


def _files(name: str) -> list[str]:
    if name.startswith(PIPE_SCHEME) and not os.path.lexists(name):
        return [ShardCommand(name)]
    name = resolve(os.path.expanduser(name))
    if not glob.has_magic(name) or Path(name).is_file():
        return [name]
    found = sorted(glob.glob(name, recursive=True))
    if not found:
        raise FileNotFoundError(f"no file matches {name!r} (seen from {Path.cwd()})")
    return found
