"""Candidate answers as a tree of tokens: what several share is computed once.

Shapes: N nodes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from omni.prompts.chat_layout import IGNORED_LABEL

ROOT = -1  # stands for the last position of the prefix


@dataclass(frozen=True)
class Suffix:
    """What follows a shared prefix for one candidate."""

    token_ids: Tensor  # [S] int64
    labels: Tensor  # [S], IGNORED_LABEL where a token does not count

    def __len__(self) -> int:
        return len(self.token_ids)

    @property
    def num_counted(self) -> int:
        """Tokens that count."""
        return int((self.labels != IGNORED_LABEL).sum())


@dataclass
class TokenTree:
    """Nodes are the tokens that the LLM has to read, each behind its parent."""

    token_ids: list[int] = field(default_factory=list)  # [N]
    parents: list[int] = field(default_factory=list)  # [N], ROOT for the first tokens
    depths: list[int] = field(default_factory=list)  # [N], 0 for the first tokens
    # for each suffix: (node whose logits predict it, token) of each token that counts
    paths: list[list[tuple[int, int]]] = field(default_factory=list)
    _children: dict[tuple[int, int], int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.token_ids)

    def add(self, suffix: Suffix) -> None:
        """Add one suffix. Its tokens behind the last that counts change nothing and are left out."""
        counted = (suffix.labels != IGNORED_LABEL).tolist()
        last = max((i for i, counts in enumerate(counted) if counts), default=-1)
        node, path = ROOT, []
        for i, token_id in enumerate(suffix.token_ids.tolist()[: last + 1]):
            if counted[i]:
                path.append((node, token_id))
            if i < last:
                node = self._child(node, token_id)
        self.paths.append(path)

    def _child(self, node: int, token_id: int) -> int:
        if (node, token_id) not in self._children:
            self._children[node, token_id] = len(self)
            self.token_ids.append(token_id)
            self.parents.append(node)
            self.depths.append(0 if node == ROOT else self.depths[node] + 1)
        return self._children[node, token_id]

    def ancestors(self) -> Tensor:
        """[N, N] bool: True where a column's node is the row's node or one before it on its path."""
        found = torch.eye(len(self), dtype=torch.bool)
        for node, parent in enumerate(self.parents):  # parents come before their children
            if parent != ROOT:
                found[node] |= found[parent]
        return found


def grow_trees(suffixes: Sequence[Suffix], max_nodes: int) -> Iterator[tuple[list[int], TokenTree]]:
    """Trees of about `max_nodes` nodes or fewer that hold all suffixes, each with the indices of its suffixes.

    Suffixes that begin alike come into the same tree; their order in `suffixes` makes no difference.
    """
    order = sorted(range(len(suffixes)), key=lambda index: suffixes[index].token_ids.tolist())
    tree, members = TokenTree(), []
    for index in order:
        if members and len(tree) + len(suffixes[index]) > max_nodes:
            yield members, tree
            tree, members = TokenTree(), []
        tree.add(suffixes[index])
        members.append(index)
    if members:
        yield members, tree
