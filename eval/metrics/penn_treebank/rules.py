r"""The rules of the Penn Treebank, written anew from what Stanford's tokenizer 3.4.1 does with probes.

A rule is a pattern and what becomes of the text that it finds. Of all rules that fit at a place, the one that reads
farthest wins, and of those the first. A pattern has a group `t`, the token; it may read on to what must follow, which
is no part of the token but counts in how far it reads (the group `x`; a lookahead does not count).
"""

import functools
import re
from collections.abc import Callable
from typing import NamedTuple

from eval.metrics.penn_treebank.characters import character_class

# Words that keep their full stop, in any case: titles and the like, and what can also end a sentence.
_TITLES = """
adj adm adv alex assoc asst atty ave brig capt cf cie cmdr col cpl dept det dr drs elec ens ft gen gov govs hon insp
invt jos lieut lt maj messrs mlle mme mr mrs ms msgr mt natl pfc ph pres prof pvt rep reps rev sen sens sfc sgt spc st
ste supt treas vs wm
"""
_SHORT = """
al ala apr ariz assn aug bhd bldg blvd bros calif co colo conn corp cos ct dak dec esq est etc ext feb fla fri ga inc
ind intl jan jr jul jun kan kans ky ltd mar md mich minn mo mon mont neb nev nov oct okla penn plc rd rt sep sept seq
sq sr sys tel tenn thu thurs tue tues univ va vt wed wis wisc wyo
"""
# Words that keep it only with a capital, since they are words of their own too.
_CAPITALISED = "Ark Az Del Ill La Mass Miss Ore Pa Tex Wash"
_BEFORE_NUMBERS = "art|ca|figs?|nos?|op|pp|prop"
# After an initial (`vitamin A.`) and a blank, these begin a sentence.
_STARTS = """
A About According Additionally After An As At But Earlier He Her Here However If In It Last Many More Now Once One Other
Our She Since So Some Such That The Their Then There These They This We What When While Yet You
"""

_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
# Single characters that the tool writes in another way.
REPLACED = {
    **_BRACKETS,
    **dict.fromkeys("\x80¤₠€", "$"),
    **dict.fromkeys("\x96\x97–—―", "--"),
    **{"¢": "cents", "£": "#", "½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "\xad": "-"},
}

_NOT_AN_ADDRESS = r" \t\n\f\r\"<>|(){}"


class Rule(NamedTuple):
    """A pattern, and what becomes of the token that it finds."""

    pattern: re.Pattern[str]
    rewrite: Callable[[str], str]


@functools.cache
def rules() -> tuple[Rule, ...]:
    """Return all rules, in their order."""
    alternatives = [*_tags_and_addresses(), *_words(), *_numbers(), *_compounds(), *_signs()]
    return tuple(Rule(re.compile(pattern, flags), rewrite) for pattern, rewrite, flags in alternatives)


_Written = tuple[str, Callable[[str], str], re.RegexFlag]
_ANY_CASE, _AS_IS = re.IGNORECASE, re.NOFLAG

# Closing and opening single quotation marks; those of Windows-1252 stand for themselves.
_CLOSING, _OPENING = r"\x92’", r"\x91‘‛"
_APOSTROPHE = rf"(?:['{_CLOSING}]|&apos;)"
_ANY_APOSTROPHE = rf"(?:['{_CLOSING}`{_OPENING}]|&apos;)"


def _joined(text: str) -> str:
    return text.replace("\xad", "")


def _with_hard_blanks(text: str) -> str:
    return text.replace("(", "-lrb-").replace(")", "-rrb-").replace(" ", "\xa0")


def _plain_apostrophe(text: str) -> str:
    return re.sub(f"[{_OPENING}]", "`", re.sub(_APOSTROPHE, "'", text))


def _always(text: str) -> Callable[[str], str]:
    return lambda _: text


def _tags_and_addresses() -> list[_Written]:
    name, attribute = r"[A-Za-z][A-Za-z0-9_:.-]*", r"(?: *= *(?:'[^'\r\n]*'|\"[^\"\r\n]*\"))?"
    inside, last = r"[^ \t\n\f\r\"<>|()]", r"[^ \t\n\f\r\"<>|.!?(){},-]"
    label = r"(?!['’`\d“])[^ \t\n\f\r`\"<>|.!?(){},_$/-]+"
    return [
        (rf"(?P<t></?{name}(?: +{name}{attribute})* */?>|<[!?][^>\r\n]*>)", _with_hard_blanks, _AS_IS),
        (rf"(?P<t>https?://{inside}+{last})", _joined, _ANY_CASE),
        (rf"(?P<t>(?:{label}\.)+(?:com|net|org|edu)(?:/{inside}+{last})?)", _joined, _ANY_CASE),
        (
            rf"(?P<t>[a-zA-Z0-9][^{_NOT_AN_ADDRESS}\xa0]*@(?:[^{_NOT_AN_ADDRESS}.\xa0]+\.)*[^{_NOT_AN_ADDRESS}.\xa0]+)",
            _joined,
            _AS_IS,
        ),
    ]


def _words() -> list[_Written]:
    letter = f"[{character_class('letters', 'marks')}]"
    sign = f"[{character_class('letters', 'digits', 'marks')}]"
    word = rf"{sign}(?:{sign}|\xad)*"
    # of words in -n't, the part before; it does not end with n
    negated = rf"(?:{letter}(?:{sign}|\xad)*?(?<![nN]))(?=n)"
    auxiliary = r"(?:[msd]|re|ve|ll)"
    titles, short = "|".join(_TITLES.split()), "|".join(_SHORT.split())
    capital = "|".join(f"{one}|{one.upper()}" for one in _CAPITALISED.split())
    dotted = r"[A-Za-z](?:\.[A-Za-z])"
    blank = r"[ \t\xa0\u2000-\u200a\u3000]"
    starts = "|".join(_STARTS.split())
    apart = [("can", "not"), ("gon", "na"), ("got", "ta"), ("lem", "me"), ("gim", "me"), ("wan", "na")]
    return [
        *((rf"(?P<t>{left})(?P<x>{right})(?![A-Za-z0-9])", _joined, _ANY_CASE) for left, right in apart),
        (r"(?P<t>'t)(?P<x>is|was)", _joined, _ANY_CASE),
        (rf"(?P<t>{negated})(?P<x>n{_ANY_APOSTROPHE}t)(?![A-Za-z])", _joined, _ANY_CASE),
        (rf"(?P<t>{word})(?P<x>{_APOSTROPHE}{auxiliary})(?![A-Za-z])", _joined, _ANY_CASE),
        (rf"(?P<t>n{_ANY_APOSTROPHE}t|{_APOSTROPHE}{auxiliary})(?![A-Za-z])", _plain_apostrophe, _ANY_CASE),
        (rf"(?P<t>[{_CLOSING}]{auxiliary})", _plain_apostrophe, _ANY_CASE),
        (rf"(?P<t>[{_CLOSING}]n)", _joined, _ANY_CASE),
        (rf"(?P<t>{word})", _joined, _AS_IS),
        # words with an apostrophe of their own
        (rf"(?P<t>{_APOSTROPHE}(?:em|[2-9]0s|\d\d(?!\S)|till?|cause|n(?:{_APOSTROPHE}|(?!\S))))", _joined, _ANY_CASE),
        (rf"(?P<t>(?:[ldj]|dunkin|somethin|ol){_APOSTROPHE})", _joined, _ANY_CASE),
        (r"(?P<t>c'mon|c'est|e'er|li'l|ev'ry|nor'easter|nat'l|cont'd\.)", _joined, _ANY_CASE),
        (rf"(?P<t>[A-HJ-XZdlno]{_ANY_APOSTROPHE}{letter}{{2,}}|[oO]{_ANY_APOSTROPHE}[oO])", _joined, _AS_IS),
        (rf"(?P<t>{letter}+[aeiouyAEIOUY]{_ANY_APOSTROPHE}[aeiouA-Z]{letter}*)", _joined, _AS_IS),
        (rf"(?P<t>[yY]{_APOSTROPHE})(?P<x>{letter})", _joined, _AS_IS),
        # words with full stops
        (rf"(?P<t>(?:{titles})\.)", _joined, _ANY_CASE),
        # what can end a sentence looks two characters ahead
        (rf"(?P<t>(?:ph\.?d|{short})\.)(?P<x>.{{0,2}})", _joined, _ANY_CASE),
        (rf"(?P<t>(?:{capital}|[Pp]?[Pp]t[ey]s?)\.)(?P<x>.{{0,2}})", _joined, _AS_IS),
        (r"(?P<t>[Mm][ft]g\.)", _joined, _AS_IS),
        (rf"(?P<t>{dotted}*\.|{dotted}+)", _joined, _AS_IS),
        (rf"(?P<t>[A-Za-z])(?P<x>\.{blank}+(?:{starts}){blank})", _joined, _AS_IS),
        (rf"(?P<t>(?:{_BEFORE_NUMBERS})\.)(?P<x>{blank}*[0-9])", _joined, _ANY_CASE),
        (rf"(?P<t>{word}\.)(?P<x>[,;:])", _joined, _AS_IS),
        (rf"(?P<t>{letter}{sign}*(?:[.!?]{letter}{sign}*)+|{sign}+(?:[-_]{sign}+)+)", _joined, _AS_IS),
    ]


def _numbers() -> list[_Written]:
    between = r"[- \xa0]"
    return [
        (r"(?P<t>[-+]?(?:\d*(?:[.:,\xad\u066b\u066c]\d+)+|\d+))", _joined, _AS_IS),
        (rf"(?P<t>(?:\d{{1,4}}{between})?\d{{1,4}}(?:\\?/|⁄)\d{{1,4}})", _with_hard_blanks, _AS_IS),
        (r"(?P<t>\d{1,2}[-/]\d{1,2}[-/]\d{2,4}|\d+\.x(?!\S))", _joined, _AS_IS),
        # telephone numbers
        (
            rf"(?P<t>(?:\(\d{{2,3}}\)[ \xa0]?|(?:\+\+?)?(?:\d{{2,4}}{between})?\d{{2,4}}{between})"
            r"\d{3,4}[- /\xa0]?\d{3,5})",
            _with_hard_blanks,
            _AS_IS,
        ),
    ]


def _compounds() -> list[_Written]:
    first = r"[A-Za-z0-9][A-Za-z0-9.,\xad]*"
    named = rf"[dDoOlL]{_ANY_APOSTROPHE}[A-Za-z0-9]{{2}}"
    part = rf"(?:[A-Za-z](?:\.[A-Za-z])+\.|{named}[A-Za-z0-9\xad]*|[A-Za-z0-9\xad]+)"
    slashed = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
    return [
        (rf"(?P<t>{first}(?:-{part})+)", _joined, _AS_IS),
        (rf"(?P<t>(?:{named}|[A-Za-z0-9])[A-Za-z0-9\xad]*(?:[-_]{part})+|{named}[A-Za-z0-9]*)", _joined, _AS_IS),
        (rf"(?P<t>{first}(?:-[A-Za-z0-9]+)+\.)(?P<x>[,;:])", _joined, _AS_IS),
        (r"(?P<t>[A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+)", _joined, _AS_IS),
        (rf"(?P<t>{slashed}(?:\\?/{slashed}){{1,2}})", _joined, _AS_IS),
        (r"(?P<t>C\+\+|[CF]#|-[LR][RCS]B-)", _joined, _ANY_CASE),
        (r"(?P<t>[A-Z]+\$)", _joined, _AS_IS),
    ]


def _signs() -> list[_Written]:
    letter = f"[{character_class('letters', 'marks')}]"
    return [
        (rf"(?P<t>#{letter}+|@[A-Za-z_][A-Za-z0-9_]*|@@+|##+)", _joined, _AS_IS),
        (r"(?P<t>[<>]?[:;=]['’]?[-o*]?[()DPdpO\\{@|\[\]])(?![A-Za-z0-9])", _with_hard_blanks, _AS_IS),
        (r"(?P<t>[-^x=~<>']_[-^x=~<>']|\([-^x=~<>'][-_.]?[-^x=~<>']\))", _with_hard_blanks, _AS_IS),
        (r"(?P<t>&#\d+;|&[aeiouAEIOU](?:acute|grave|uml);)", _joined, _AS_IS),
        *((rf"(?P<t>&{name};)", _always(sign), _ANY_CASE) for name, sign in (("amp", "&"), ("lt", "<"), ("gt", ">"))),
        (r"(?P<t>&nbsp;|&[mn]dash;|&quot;|&apos;)", _always(""), _AS_IS),
        (r"(?P<t>-{5,}|[?!]+|\*+|_+|<<|>>|(?:\\?\*)+)", _joined, _AS_IS),
        (r"(?P<t>\.{3,5}|(?:\.[ \xa0]){2,4}\.|[\x85…])", _always("..."), _AS_IS),
        (r"(?P<t>-+)", _always("-"), _AS_IS),
        (r"(?P<t>''?|``?|[\"\x91-\x94\u2018-\u201f‹›«»])", _always("'"), _AS_IS),
    ]
