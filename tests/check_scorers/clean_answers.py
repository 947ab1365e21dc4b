"""The clean form of short answers, put together from parts whose form is written down here."""

import itertools
import random
from collections.abc import Iterator

from tests.check_scorers.comparing import Outcome, compare, item_values, written
from tests.check_scorers.short_answers import leave_one_out

_SAME = "frog frogs vitamin red x left 2 12 3.5 .5 10:30 -5 + = % $ 50 1000 2024"
# A part of an answer, and the words that it comes to.
_PARTS = {
    **{word: word for word in _SAME.split()},
    **{"Frog": "frog", "RED,": "red", "left.": "left", "right!": "right", "(b)": "b", '"no"': "no", "what?": "what"},
    **{"1,000": "1000", "12,345,678": "12345678", "1,2": "1 2", "1,00": "1 00", "3.": "3", "½": "1 2", "²": "2"},
    **{"U.S.": "us", "u.s": "us", "e.g.": "eg", "Mr.": "mr", "don't": "dont", "don’t": "dont", "man's": "mans"},
    **{"t-shirt": "t shirt", "hot-dog": "hot dog", "and/or": "and or", "snake_case": "snake case", "; @ ~": ""},
    **{"50%": "50 %", "$5": "$ 5", "€3.50": "€ 3.50", "#1": "# 1", "20°": "20 °", "A&W": "a & w", "c++": "c + +"},
    **{"zero": "0", "Two": "2", "none": "none", "eleven": "11", "TWENTY": "20", "twenty-one": "20 1", "ﬁsh": "fish"},
    **{"café": "café", "cafe\u0301": "café", "STRASSE": "strasse", "Straße": "strasse", "हिन्दी": "हिन्दी"},
    **{"a": "a", "An": "an", "the": "the", "THE": "the"},
}


def _clean(parts: list[str]) -> str:
    words = " ".join(_PARTS[part] for part in parts).split()
    before = itertools.pairwise([*words, ""])
    return " ".join(word for word, after in before if word not in ("a", "an", "the") or not after[:1].isalnum())


def clean_answers(number: int) -> Iterator[Outcome]:
    """Exact match and VQA accuracy after the clean normalisation."""
    draw = random.Random(20)

    def answer() -> tuple[str, str]:
        while True:
            parts = draw.choices([*_PARTS], k=draw.randint(1, 4))
            if form := _clean(parts):
                return draw.choice((" ", "  ", "\n")).join(parts), form

    def again(form: str) -> str:
        return draw.choice((form, form.upper(), f" {form} ", form.replace(" ", "\t")))

    matches, accuracies = [], []
    for _ in range(number):
        (text, form), (other, other_form) = answer(), answer()
        reference, right = draw.choice(((other, other_form), (again(form), form)))
        own = item_values("exact-match-clean-v1", [written(text, reference)])[0]
        matches.append((own, float(form == right)))
        pool = [answer() for _ in range(3)] + [(text, form)]
        given = draw.choices(pool, k=draw.choice((1, 3, 10)))
        references = tuple(one for one, _ in given)
        own = item_values("vqa-accuracy-clean-v1", [written(text, references[0], references=references)])[0]
        forms = [one for _, one in given]
        single = float(forms[0] == form)
        accuracies.append((own, single if len(forms) == 1 else leave_one_out(form, forms)))
    rule = "forms of parts, written down"
    yield compare("exact-match-clean-v1", "equal or not", rule, matches)
    yield compare("vqa-accuracy-clean-v1", "accuracy", rule, accuracies)
