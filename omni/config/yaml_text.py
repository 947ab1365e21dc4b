"""YAML text to plain values, within bounds: a text of a few hundred bytes can stand for gigabytes, or be damaged.

PyYAML shares the values of aliases, but what reads a config walks through them, so it is bounded by what they stand
for: ten aliases of ten aliases of ... (the "billion laughs") are refused before any of it is built.
"""

import re
from collections import Counter
from typing import Any

import yaml
from yaml.constructor import ConstructorError

_MOST_CHARACTERS = 4_000_000
_MOST_VALUES = 20_000  # keys included, those that aliases repeat counted each time; a long recipe has some hundreds
_DEEPEST = 64  # lists and mappings in each other; a recipe of components in components has about ten
_MOST_BITS = 63  # of a whole number, besides its sign: no more fits a number of torch or NumPy


def load_yaml(text: str) -> Any:
    """Return the values of a YAML document.

    Raises:
        yaml.YAMLError: it is no YAML, a value is none of its type (`2024-13-45`), a key occurs twice, or it is too
            long, too deep, or has too many values.
    """
    if len(text) > _MOST_CHARACTERS:
        raise yaml.YAMLError(f"it has {len(text):,} characters, over the limit of {_MOST_CHARACTERS:,}")
    return yaml.load(text, Loader=_Loader)


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-4 is a number, as in YAML 1.2 (PyYAML reads it as text), and no key occurs twice."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._sizes: dict[yaml.Node, int] = {}  # values in each node that is complete, aliases written out
        self._num_values = 0
        self._has_aliases = False

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node, or take that of an alias, within the bounds."""
        event = self.peek_event()
        is_alias = isinstance(event, yaml.AliasEvent)
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ConstructorError(None, None, f"it is more than {_DEEPEST} values deep", event.start_mark)
        node: Any = super().compose_node(parent, index)
        self._depth -= 1
        if not is_alias:
            self._sizes[node] = 1 + sum(self._sizes[child] for child in _children(node))
        elif node not in self._sizes:
            problem = f"*{event.anchor} stands within &{event.anchor} itself, which has no end"
            raise ConstructorError(None, None, problem, event.start_mark)
        self._has_aliases = self._has_aliases or is_alias
        self._num_values += self._sizes[node] if is_alias else 1
        if self._num_values > _MOST_VALUES:
            aliases = "; every * counts as all values of its &" if self._has_aliases else ""
            problem = f"it has more than {_MOST_VALUES:,} keys and values{aliases}"
            raise ConstructorError(None, None, problem, event.start_mark)
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Construct a value; whatever a damaged scalar raises becomes an error that names it."""
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int) and value.bit_length() > _MOST_BITS:
                raise OverflowError(f"it has more than {_MOST_BITS} bits")
            return value
        except yaml.YAMLError:
            raise
        except Exception as error:  # ValueError, KeyError, IndexError, AttributeError, OverflowError, ...
            shown = repr(node.value if len(node.value) <= 40 else f"{node.value[:40]}...")
            problem = f"{shown} is no {node.tag.rpartition(':')[2]} ({error})"
            raise ConstructorError(None, None, problem, node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping; refuse one that has a key twice."""
        counts = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        twice = sorted(key for key, count in counts.items() if count > 1)
        if twice:
            raise ConstructorError(None, None, f"the key {twice[0]!r} occurs twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _children(node: Any) -> list[Any]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)
