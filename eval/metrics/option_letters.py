r"""Which option a written answer names: three ways to read one, which give different figures.

Every suite reads a model's answers in its own way: one model has 50.67 on MMMU in one suite and 54.78 in another,
mostly for that reason (lmms-eval's docs/advanced/mmmu-eval-discrepancy.md). So each way is a function of its own, and
the scorers that use them have names of their own. Each takes a text and the texts of the options, of which the first
one is A, and returns the index of an option, or None where it finds none. None of them guesses.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence

from eval.data.letters import LETTERS
from eval.items.spellings import one_spelling

OptionParser = Callable[[str, Sequence[str]], int | None]

_REASONS = "because|since|as|for|which|due|given|is|would|seems"
_NEGATED = r"\b(?:not|never|neither|nor|isn['’]t)\s+(?:option\s+|choice\s+|answer\s+)?[(\[]?{letters}[)\]]?(?![\w'’])"
# A letter that the text goes on after as it would after no article: `B because`, `B.`, `B` at the end of a line.
_ENDS = rf"(?:[)\]}}.:,;!?]|\s*$|\s*\n|\s+(?i:{_REASONS})\b|\s+[-–—(])"
_NOT_ONE_OF_TWO = r"(?!\s*[)\]]?\s*(?:(?i:or|and)\b|/|&|,\s*[(\[]?[A-Z][)\]]?\s*(?:$|[,.]|(?i:or|and)\b)))"
_STATES = r"(?i:\b(?:answer|option|choice)\b(?:\s+(?:is|would\s+be|should\s+be|option|choice))*\s*[:=]?|\\boxed\s*\{)"


def parse_option(text: str, options: Sequence[str]) -> int | None:
    r"""Return the option that a text settles on, by rules of our own (version 1), or None.

    In this order: the text is a letter (`b`, `(B)`, `B.`, `**B**`) or an option's text; the last statement of an answer
    in it (`the answer is B because A is red`, `Answer: (b)`, `\boxed{B}`); it begins with a marked letter (`B. A frog`)
    or one that a reason follows; one letter only stands in brackets; one option's text only occurs as whole words (of
    two texts of which one contains the other, the longer); one capital letter only stands alone. A letter that is
    denied (`not B`) or one of two (`A or B`) does not count, and the article `a` is no letter.
    """
    text = unicodedata.normalize("NFKC", text).replace("*", "").replace("`", "").strip()
    letters = LETTERS[: len(options)]
    either = f"[{letters}{letters.lower()}]"
    if found := re.fullmatch(rf"[(\[{{<]?({either})[)\]}}>]?[.:,;!]?", text):
        return letters.index(found[1].upper())
    if (whole := _same_text(text, options)) is not None:
        return whole
    text = re.sub(_NEGATED.format(letters=either), " ", text, flags=re.IGNORECASE)
    rules: tuple[OptionParser, ...] = (_stated, _at_the_beginning, _in_brackets, option_in_text, _alone)
    return next((index for rule in rules if (index := rule(text, options)) is not None), None)


def _same_text(text: str, options: Sequence[str]) -> int | None:
    said, *spelled = one_spelling([text, *options])
    return spelled.index(said) if text and spelled.count(said) == 1 else None


def _stated(text: str, options: Sequence[str]) -> int | None:
    letters = LETTERS[: len(options)]
    bracketed = rf"[(\[]([{letters}{letters.lower()}])[)\]]"
    capital = rf"([{letters}])(?![\w'’]){_NOT_ONE_OF_TWO}(?={_ENDS})"
    small = rf"([{letters.lower()}])(?=[.)}}!]*\s*(?:$|\n))"
    found = None
    for statement in re.finditer(_STATES, text):
        rest = text[statement.end() :].lstrip(" \"'")
        begun = [index for index, option in enumerate(options) if option and _begins_with(rest, option)]
        letter = re.match(rf"{bracketed}{_NOT_ONE_OF_TWO}|{capital}|{small}", rest)
        if begun:
            found = max(begun, key=lambda index: len(options[index]))
        elif letter:
            found = letters.index(next(filter(None, letter.groups())).upper())
    return found


def _begins_with(text: str, option: str) -> bool:
    return re.match(rf"{re.escape(option.rstrip('.'))}(?!\w)", text, re.IGNORECASE) is not None and len(option) > 1


def _at_the_beginning(text: str, options: Sequence[str]) -> int | None:
    letters = LETTERS[: len(options)]
    either = f"[{letters}{letters.lower()}]"
    marked = rf"[(\[]({either})[)\]]|({either})[.):](?=\s)"
    found = re.match(rf"(?:{marked}){_NOT_ONE_OF_TWO}|([{letters}])(?=\s*\n|\s+(?i:{_REASONS})\b|\s+[-–—(])", text)
    return letters.index(next(filter(None, found.groups())).upper()) if found else None


def _in_brackets(text: str, options: Sequence[str]) -> int | None:
    letters = LETTERS[: len(options)]
    found = {letter.upper() for letter in re.findall(rf"[(\[]([{letters}{letters.lower()}])[)\]]", text)}
    return letters.index(found.pop()) if len(found) == 1 else None


def option_in_text(text: str, options: Sequence[str]) -> int | None:
    """Return the only option whose text occurs in a text as whole words, in any case; None if there is not just one.

    What occurs only within the text of a longer option (`red` in `red car`) does not count.
    """
    rest, found = text.casefold(), []
    for index in sorted(range(len(options)), key=lambda index: -len(options[index])):
        words = unicodedata.normalize("NFKC", options[index]).casefold().strip(" .")
        pattern = rf"(?<!\w){re.escape(words)}(?!\w)"
        if len(words) > 1 and re.search(pattern, rest):
            found.append(index)
            rest = re.sub(pattern, "\n", rest)
    return found[0] if len(found) == 1 else None


def _alone(text: str, options: Sequence[str]) -> int | None:
    letters = LETTERS[: len(options)]
    found = set(re.findall(rf"(?<![\w'’])[{letters}](?![\w'’])", text))
    if len(found) != 1:
        return None
    letter = found.pop()
    # at the beginning of a sentence `A` is an article, and `I` a person anywhere: only at the end are they letters
    sure = letter not in "AI" or re.search(rf"(?<!\w){letter}[.)!]*\s*$", text)
    return letters.index(letter) if sure else None


def parse_option_vlmevalkit(text: str, options: Sequence[str]) -> int | None:
    """Return the option that VLMEvalKit's exact matching finds, or None.

    `can_infer` of open-compass/VLMEvalKit, vlmeval/utils/matching_util.py, as described in lmms-eval's
    docs/advanced/mmmu-eval-discrepancy.md, without the LLM that it may ask afterwards: one capital letter only stands
    alone and among the last four words, whatever is said before; else one option's text only occurs in the answer, also
    within a word, if the answer is at most twice as long as all options together. A refusal on its list, or the letter
    Z, is no answer. Its fault: the article `A` is a letter.
    """
    if "Failed to obtain answer via API" not in text:
        if any(refusal in text for refusal in _VLMEVALKIT_REFUSALS):
            return None
        words = re.sub(r"[.()\[\],:;!*#{}]", " ", text).split()
        letters = [letter for letter in LETTERS[: len(options)] if letter in words]
        if len(letters) == 1 and words.index(letters[0]) > len(words) - 5:
            return LETTERS.index(letters[0])
        if not letters and "Z" in words:
            return None
    text = text.lower()
    if len(text) > 2 * sum(map(len, options)):
        return None
    found = [index for index, option in enumerate(options) if option.lower() in text]
    return found[0] if len(found) == 1 else None


_VLMEVALKIT_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)


def parse_option_lmms_eval(text: str, options: Sequence[str]) -> int | None:
    """Return the option that lmms-eval finds in answers to MMMU, or None where it would draw one by chance.

    `parse_multi_choice_response` of EvolvingLMMs-Lab/lmms-eval, lmms_eval/tasks/mmmu/utils.py, which adds a rule to
    MMMU's own code: letters in brackets; else letters before a blank; else letters before a full stop; else, in answers
    of more than five words, texts of options. The last one to occur wins. Its faults: a letter before a blank may end a
    word (the A of `USA won`), and of several letters, none of them between blanks, the first of the alphabet wins.
    """
    for mark in ",.!?;:'":
        text = text.strip(mark)
    text = f" {text} "
    letters = LETTERS[: len(options)]
    for found, place in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        named = [letter for letter in letters if found.format(letter) in text]
        if named:
            return letters.index(max(named, key=lambda letter: text.rfind(place.format(letter))))
    if len(text.split()) <= 5:
        return None
    named = [index for index, option in enumerate(options) if option.lower() in text.lower()]
    return max(named, key=lambda index: text.lower().rfind(options[index].lower()), default=None)
