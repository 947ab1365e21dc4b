"""WUPS on a small WordNet in the form of the real files, by hand, and on the real one by NLTK's values."""

from pathlib import Path

import pytest

from eval.items.item import Item
from eval.metrics.wordnet import WordNet, find_wordnet, open_wordnet
from eval.metrics.wups import content_words, wups
from eval.scorers import SCORERS, WrittenAnswer

# part of speech -> word or words -> what stands above them
TAXONOMY: dict[str, dict[str, list[str]]] = {
    "noun": {
        "entity": [],
        "animal": ["entity"],
        "thing": ["entity"],
        "dog domestic_dog": ["animal"],
        "frog": ["animal"],
        "drum": ["thing"],
        "man": ["animal"],
        "toy_dog": ["dog", "thing"],
    },
    "verb": {"move": [], "run": ["move"], "eat": []},
    "adj": {"red": []},
    "adv": {"fast": []},
}
IRREGULAR = {"noun": "men man\n", "verb": "ran run\nrunning run\n", "adj": "", "adv": ""}


@pytest.fixture
def wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WordNet:
    """The files of WordNet with a dozen words."""
    for part, synsets in TAXONOMY.items():
        places, lines, place = {}, [], 0
        for words, above in synsets.items():
            names = words.split()
            places |= dict.fromkeys(names, place)
            pointers = "".join(f" @ {places[name]:08d} {part[0]} 0000" for name in above)
            said = "".join(f" {name} 0" for name in names)
            lines.append(f"{place:08d} 03 {part[0]} {len(names):02x}{said} {len(above):03d}{pointers} | what it is\n")
            place += len(lines[-1])
        (tmp_path / f"data.{part}").write_text("".join(lines))
        index = "".join(f"{name} {part[0]} 1 1 @ 1 1 {where:08d}  \n" for name, where in sorted(places.items()))
        (tmp_path / f"index.{part}").write_text(f"  1 a licence stands above\n{index}")
        (tmp_path / f"{part}.exc").write_text(IRREGULAR[part])
    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path))
    folder = find_wordnet()
    assert folder is not None
    return open_wordnet(folder)


@pytest.mark.parametrize(
    ("left", "right", "value"),
    [
        ("dog", "frog", 4 / 6),  # below animal, which is 2 deep
        ("dogs", "domestic_dog", 1.0),
        ("dog", "animal", 4 / 5),
        ("dog", "drum", 2 / 6),
        ("toy_dog", "dog", 6 / 7),
        ("toy_dog", "drum", 4 / 6),
        ("run", "move", 2 / 5),  # move is as high as the one that stands above all verbs, which NLTK takes then,
        ("move", "run", 2 / 3),  # but for the first of the two words
        ("run", "eat", 2 / 5),  # verbs have no common top but the one above all
        ("run", "dog", 2 / 7),
        ("red", "fast", 2 / 4),
    ],
)
def test_words_are_alike_by_what_stands_above_both(left: str, right: str, value: float, wordnet: WordNet) -> None:
    synsets = [wordnet.first_synset(word) for word in (left, right)]
    assert synsets[0] is not None
    assert synsets[1] is not None
    assert wordnet.similarity(synsets[0], synsets[1]) == pytest.approx(value)


def test_answers_are_compared_by_the_base_forms_of_their_content_words(wordnet: WordNet) -> None:
    assert content_words("The men were running with their dogs, and don't eat.", wordnet) == [
        "man",
        "run",
        "dog",
        "eat",
    ]
    assert content_words("He ran.", wordnet) == ["run"]


def test_wups_takes_the_smaller_product_and_a_tenth_below_the_threshold(wordnet: WordNet) -> None:
    assert wups(["dog"], ["frog"], 0.0, wordnet) == pytest.approx(4 / 6)
    assert wups(["dog"], ["frog"], 0.9, wordnet) == pytest.approx(0.4 / 6)
    # each word of one side is likest to dog; frog and drum of the other side are both counted
    assert wups(["dog"], ["frog", "drum"], 0.0, wordnet) == pytest.approx(4 / 6 * 2 / 6)
    assert wups(["dog", "qwxz"], ["dog"], 0.0, wordnet) == 1  # an unknown word is passed over, as in published code
    assert wups(["qwxz"], ["dog"], 0.0, wordnet) == wups([], ["dog"], 0.0, wordnet) == 0


def answers(*texts: str, type: str = "CW") -> list[WrittenAnswer]:
    item = Item("one", (), "", "a frog", 0, references=("a frog", "the drum"), meta={"type": type})
    return [WrittenAnswer(item, text) for text in texts]


def test_the_likest_of_several_references_counts(wordnet: WordNet) -> None:
    found = SCORERS["wups-v1"].score(answers("A drum", "a dog"), condition="own", seed=0)
    assert {name: one.value for name, one in found.estimates.items()} == {
        "exact_match": 0.5,
        "wups_at_0": pytest.approx((1 + 4 / 6) / 2),
        "wups_at_0.9": pytest.approx((1 + 0.4 / 6) / 2),
    }
    closed = SCORERS["wups-v1"].score(answers("A drum", "a dog", type="DC"), condition="own", seed=0)
    assert closed.estimates["wups_at_0"].value == closed.estimates["wups_at_0.9"].value == 0.5


def test_without_wordnet_the_result_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path))
    found = SCORERS["wups-v1"].score(answers("a drum"), condition="own", seed=0)
    assert [*found.estimates] == ["exact_match"]
    assert {*found.not_computed} == {"wups_at_0", "wups_at_0.9"}
    assert "install Debian's wordnet-base, or let WNSEARCHDIR name" in found.not_computed["wups_at_0"]


@pytest.mark.skipif(find_wordnet() is None, reason="WordNet 3.0 is not on this machine")
def test_similarities_are_those_of_nltk() -> None:
    folder = find_wordnet()
    assert folder is not None
    real = open_wordnet(folder)
    pairs = {
        ("dog", "cat"): 6 / 7,
        ("vamp", "croft"): 1 / 3,  # the shortest way to the synset above both leads through a higher one
        ("run", "walk"): 4 / 7,
        ("eat", "drum"): 1 / 7,
        ("walking", "quickly"): 2 / 13,
    }
    for words, value in pairs.items():
        synsets = [real.first_synset(word) for word in words]
        assert synsets[0] is not None
        assert synsets[1] is not None
        assert real.similarity(synsets[0], synsets[1]) == pytest.approx(value)
