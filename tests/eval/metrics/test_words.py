"""Words of scripts with vowel signs and of scripts without spaces, in all metrics that compare words."""

import pytest

from eval.metrics import CiderD, bleu_4, rouge_l, words_v2


def test_letters_keep_their_marks() -> None:
    hindi = "एक मेंढक पत्ते पर बैठा है"
    assert words_v2(hindi) == tuple(hindi.split())
    tamil = "தவளை இலையில் உட்கார்ந்துள்ளது"
    assert words_v2(tamil) == tuple(tamil.split())
    assert words_v2("हाँ।") == ("हाँ",)


@pytest.mark.parametrize(
    ("left", "right"),
    [("पिता", "पीता"), ("পানি", "পানা"), ("كَتَبَ", "كُتِبَ"), ("ไป", "ไม่"), ("ക", "കി"), ("מֶלֶךְ", "מָלַךְ")],
)
def test_words_with_other_vowel_signs_are_other_words(left: str, right: str) -> None:
    assert rouge_l(left, [right]) < 1
    assert rouge_l(left, [left]) == 1
    assert CiderD([[left], ["frog"]]).score(left, [left]) > CiderD([[right], ["frog"]]).score(left, [right])


def test_scripts_without_spaces_give_one_word_a_character() -> None:
    assert words_v2("一只青蛙。") == ("一", "只", "青", "蛙")
    assert words_v2("カエルが1匹") == ("カ", "エ", "ル", "が", "1", "匹")
    assert words_v2("กบสีเขียว") == ("ก", "บ", "สี", "เ", "ขี", "ย", "ว")
    assert words_v2("ကြောင်") == ("ကြော", "င်")
    # half of the characters are right: neither all nor nothing
    assert rouge_l("一只青蛙", ["一只红鸟"]) == pytest.approx(0.5)
    assert bleu_4(["一只青蛙坐着"], [["一只青蛙坐着"]]) == pytest.approx(1.0)


def test_scripts_with_spaces_keep_their_words_whole() -> None:
    assert words_v2("초록색 개구리") == ("초록색", "개구리")
    assert words_v2("Жаба-бык 3") == ("жаба", "бык", "3")
    assert words_v2("l’aigua és del col·legi") == ("l'aigua", "és", "del", "col·legi")
    assert words_v2("صה״ל".replace("ص", "צ")) == ("צה״ל",)


def test_invisible_joiners_do_not_split_words() -> None:
    assert words_v2("می\u200cخواهم") == words_v2("میخواهم") == ("میخواهم",)
    assert words_v2("rain\u00adbow") == ("rainbow",)
    assert words_v2("cafe\u0301") == words_v2("café") == ("café",)
    assert words_v2("\u0301") == ()
    assert words_v2("frog \u0301 drum") == ("frog", "drum")


@pytest.mark.parametrize("metric", [rouge_l, CiderD([["a frog"], ["a drum"]]).score])
def test_one_text_in_place_of_a_list_of_references_is_an_error(metric: object) -> None:
    with pytest.raises(ValueError, match=r"list of references, not one text; write \['a frog'\]"):
        metric("a frog", "a frog")  # pyright: ignore[reportCallIssue]


def test_one_text_for_each_candidate_is_an_error_in_corpus_metrics() -> None:
    with pytest.raises(ValueError, match="list of references, not one text"):
        bleu_4(["a frog"], ["a frog"])
    with pytest.raises(ValueError, match="list of references, not one text"):
        CiderD(["a frog", "a drum"])
