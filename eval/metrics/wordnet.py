"""WordNet's own files (`dict/`, version 3.0): synsets of words, base forms, and the similarity of Wu and Palmer.

The form of the files is that of the manual pages wndb(5WN) and morphy(7WN). Where several readings are possible, this
one is NLTK's: a word means its first sense, nouns before verbs, adjectives and adverbs.
"""

import os
from collections import deque
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path

Synset = tuple[str, int]  # part of speech (n, v, a, r), and the place of its line in that part's data file
_ROOT: Synset = ("", 0)  # stands above all, since verbs have several highest synsets, and adjectives none
_FILES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
# Endings of inflected words, and what stands there in the base form (morphy(7WN)).
_ENDINGS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "n": (
        *(("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z")),
        *(("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y")),
    ),
    "v": (
        *(("s", ""), ("ies", "y"), ("es", "e"), ("es", "")),
        *(("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
    ),
    "a": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "r": (),
}
_PLACES = ("WNSEARCHDIR", "WNHOME")  # WordNet's own variables: its `dict`, and the folder that holds that
_DEBIAN = Path("/usr/share/wordnet")
HOW_TO_GET = (
    "it needs WordNet 3.0: install Debian's wordnet-base, or let WNSEARCHDIR name its folder `dict` "
    "(https://wordnet.princeton.edu)"
)


def find_wordnet() -> Path | None:
    """Return the folder of WordNet's files on this machine; None where there is none."""
    search, home = map(os.environ.get, _PLACES)
    folders = [Path(search)] if search else [Path(home) / "dict"] if home else [_DEBIAN]
    return next((folder for folder in folders if (folder / "data.noun").is_file()), None)


@cache
def open_wordnet(folder: Path) -> "WordNet":
    """Return the WordNet in a folder, read once."""
    return WordNet(folder)


class WordNet:
    """The files of a folder. Words are in small letters, with `_` for a blank."""

    def __init__(self, folder: Path) -> None:
        """Read the index files, which takes a second; raises FileNotFoundError where one is missing."""
        self._data = {part: (folder / f"data.{name}").read_bytes() for part, name in _FILES.items()}
        self._places = {part: _read_index(folder / f"index.{name}") for part, name in _FILES.items()}
        self._exceptions = {part: _read_exceptions(folder / f"{name}.exc") for part, name in _FILES.items()}

    def base_forms(self, word: str, part: str) -> list[str]:
        """Return the words of a part of speech (n, v, a, r) that a word is a form of, itself too if it is one."""
        known, irregular = self._places[part], self._exceptions[part].get(word)
        if irregular is not None:
            return [form for form in dict.fromkeys([word, *irregular]) if form in known]
        forms = [word, *(word[: -len(old)] + new for old, new in _ENDINGS[part] if word.endswith(old))]
        return [form for form in dict.fromkeys(forms) if form in known]

    @lru_cache(maxsize=100_000)  # noqa: B019  a WordNet lives as long as the process
    def first_synset(self, word: str) -> Synset | None:
        """Return the first sense of a word; None where WordNet does not know it."""
        for part in _FILES:
            for form in self.base_forms(word, part):
                return part, self._places[part][form][0]
        return None

    @lru_cache(maxsize=100_000)  # noqa: B019
    def similarity(self, left: Synset, right: Synset) -> float:
        """Return the similarity of Wu and Palmer (1994): 2 d / (l + r), in [0, 1].

        d is the depth of the deepest synset above both, 1 at the top; l and r are d and the steps from either to it.
        0 where nothing stands above both.
        """
        above = [self._distances(one) for one in (left, right)]
        common = [synset for synset in above[0] if synset in above[1]]
        if left[0] != "n" or right[0] != "n":
            common.append(_ROOT)
            for distances in above:
                distances[_ROOT] = max(distances.values()) + 1
        if not common:
            return 0.0
        deepest = max(map(self._least_depth, common))
        lowest = [synset for synset in common if self._least_depth(synset) == deepest]
        subsumer = left if left in lowest else min(lowest, key=self._name)
        depth = self._most_depth(subsumer) + 1
        higher = self._distances(subsumer)
        steps = [min(own[one] + higher[one] for one in higher if one in own) for own in above]
        return 2.0 * depth / (sum(steps) + 2 * depth)

    def _distances(self, synset: Synset) -> dict[Synset, int]:
        """All synsets above one, and itself, with the steps of the shortest way there."""
        found: dict[Synset, int] = {}
        waiting = deque([(synset, 0)])
        while waiting:
            one, steps = waiting.popleft()
            if one not in found:
                found[one] = steps
                waiting.extend((higher, steps + 1) for higher in self._above(one))
        return found

    def _least_depth(self, synset: Synset) -> int:
        return min((1 + self._least_depth(higher) for higher in self._above(synset)), default=0)

    def _most_depth(self, synset: Synset) -> int:
        return max((1 + self._most_depth(higher) for higher in self._above(synset)), default=0)

    @lru_cache(maxsize=100_000)  # noqa: B019
    def _above(self, synset: Synset) -> tuple[Synset, ...]:
        """The hypernyms, then those that it is an instance of."""
        cells = self._line(synset)
        start = 4 + 2 * int(cells[3], 16)
        pointers = [cells[place : place + 4] for place in range(start + 1, start + 1 + 4 * int(cells[start]), 4)]
        return tuple((part, int(place)) for kind in ("@", "@i") for sign, place, part, _ in pointers if sign == kind)

    def _line(self, synset: Synset) -> Sequence[str]:
        if synset == _ROOT:
            return ["", "", "", "0", "000"]
        part, place = synset
        data = self._data[part]
        return data[place : data.index(b"|", place)].decode().split()

    def _name(self, synset: Synset) -> tuple[str, str, int]:
        """What orders synsets that are equally deep: first word, part of speech, number of the sense; _ROOT first."""
        if synset == _ROOT:
            return "", "", 0
        cells = self._line(synset)
        word = cells[4].lower().partition("(")[0]
        return word, cells[2], self._places[synset[0]][word].index(synset[1])


def _lines(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text(encoding="utf-8").split("\n") if line and line[0] != " "]


def _read_index(path: Path) -> dict[str, list[int]]:
    """Return word -> the places of its synsets, in the order of its senses."""
    return {cells[0]: [int(place) for place in cells[-int(cells[2]) :]] for cells in _lines(path)}


def _read_exceptions(path: Path) -> dict[str, list[str]]:
    """Return irregular form -> base forms."""
    return {cells[0]: cells[1:] for cells in _lines(path)}
