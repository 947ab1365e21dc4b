"""Shards of tables: `test-00002-of-00005.parquet` says how many files belong together, so that one can be missed."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

_SHARD = re.compile(r"(?:(?P<head>.+)-)?(?P<number>\d{5})-of-(?P<total>\d{5})(?P<tail>.*)")


def missing_shards(paths: Iterable[Path], split: str = "") -> list[str]:
    """Return the names of shards that are not among files, each after its folder, in order.

    Args:
        paths: of files below a data set's folder; those whose names say nothing of shards do not count.
        split: where some files are of this split by their names or folders, the others do not count.
    """
    groups: dict[tuple[Path, str, int, str], dict[int, str]] = defaultdict(dict)
    for path in paths:
        found = _SHARD.fullmatch(path.name)
        if found:
            key = (path.parent, found["head"] or "", int(found["total"]), path.suffix)
            groups[key][int(found["number"])] = found["tail"]
    of_split = {key: there for key, there in groups.items() if split in (*key[1].split("-"), *key[0].parts)}
    missing = []
    for (folder, head, total, ending), there in sorted((of_split or groups).items()):
        tail = ending if {*there.values()} == {ending} else f"-*{ending}"  # some hubs add a hash of the content
        names = (f"{head}-{number:05d}" if head else f"{number:05d}" for number in range(total) if number not in there)
        missing += [(folder / f"{name}-of-{total:05d}{tail}").as_posix() for name in names]
    return missing


def shards_note(missing: list[str], shown: int = 5) -> str:
    """Return a sentence that names missing shards; "" where there are none."""
    if not missing:
        return ""
    listed = ", ".join(missing[:shown]) + (", ..." if len(missing) > shown else "")
    what = "1 shard is" if len(missing) == 1 else f"{len(missing)} shards are"
    return f"{what} missing, whose items are not asked: {listed}"
