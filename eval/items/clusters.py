"""Clusters: items that share a media file or an answer are not independent of each other."""

from collections.abc import Sequence


def connected(keys: Sequence[Sequence[str]]) -> list[int]:
    """Return cluster numbers such that items which share a key, directly or through others, are in the same cluster."""
    parent: dict[int, int] = {index: index for index in range(len(keys))}

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[str, int] = {}
    for index, own in enumerate(keys):
        for key in own:
            parent[root(index)] = root(first.setdefault(key, index))
    return [root(index) for index in range(len(keys))]
