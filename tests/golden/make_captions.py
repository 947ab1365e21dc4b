"""Make `captions.json.gz`: generated captions with their words and scores by `pycocoevalcap`'s Java tools.

    pip install --no-deps pycocoevalcap==1.2 && pip install numpy    # in an environment of its own
    apt-get install default-jre-headless                             # any Java runtime
    python tests/golden/make_captions.py                             # writes tests/golden/captions.json.gz
    python tests/golden/make_captions.py --characters                # writes the table of characters of eval/metrics

The texts are generated here, by seed. A line `x` stands between them on the way to the tokenizer, since the beginning
of a caption can change the end of the one before it there.
"""

import argparse
import gzip
import json
import random
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CHARACTERS = HERE.parents[1] / "eval/metrics/penn_treebank/characters.txt"
NUM_TEXTS, NUM_ITEMS = 3000, 1000

WORDS = """
man woman boy girl child people dog cat horse bird cow sheep elephant bear zebra giraffe train bus car truck boat
plane bike motorcycle street road field beach ocean river mountain tree grass flower table chair bench couch bed
kitchen room bathroom window door wall plate bowl cup glass bottle knife fork spoon cake pizza sandwich banana apple
orange carrot broccoli phone laptop keyboard book clock vase umbrella tie suitcase frisbee skis snowboard ball kite
bat glove surfboard racket red blue green yellow black white brown small large old young two three several many
riding holding sitting standing walking running eating playing looking flying wearing talking next near under over
with on in of at by while and or the an snow water sky sun rain music bell rings barks speaks loudly quietly softly
engine wind birds chirp applause café naïve jalapeño Zürich crème São señor Ω 東京 Москва señorita éclair piñata
façade 3D x-ray
"""
ODD = """
isn't aren't don't can't won't shouldn't they're it's he'll I'd we've there's man's dogs' o'clock rock'n'roll 'em
'til '90s 'tis 'twas cannot Cannot gonna wanna gotta lemme gimme y'all ma'am O'Brien D'Angelo l'eau c'mon more'n ol'
isn’t it’s T-shirt x-ray mother-in-law well-known 5-year-old close-up re-use co-op e-mail 2-for-1 3-d 7-eleven
U.S.-based a-b_c a_b U.S. U.K. a.m. p.m. e.g. i.e. Mr. Mrs. Dr. St. Ave. Blvd. Inc. Co. Ltd. No. vs. etc. Jan. Sept.
Fig. cm. ft. Ph.D. J. A. 1 2 10 42 1980s 2010 1,000 1,000,000 3.5 .5 -5 +3 10:30 1/2 1/4 3/4 24/7 9/11 10/12/2010
1990-05-06 1st 2nd 5th 5pm 10:30pm $5 $5.50 US$10 £3 €20 5€ 50¢ 100% 5'10" 6'2 #1 #tag @user a@b.com foo.com
www.foo.org http://foo.com/a?b=c AT&T R&B Q&A (555) 123-4567 555-1234 ½ ¼ ⅓ 1⁄2 × ÷ ° © ™ & &amp; &lt; &quot; <unk>
<start> <b>bold</b> :) :-( ;) :D <3 ^_^ and/or w/ c/o "sign" 'stop' “quoted” ‘single’ ``tex'' (left) [right] {both}
… ... .... -- --- – — ! !! ?! ?? ; : , . * ** + = ~ | \\ / _ __ 😀 ❤️ don‘t a`b Hawai'i 'n' C++ C# F# .net 1.5m 10x
4x4 end.The a.b.c X. 12 345 6789 B&W Ctrl+C A+ A- en·tre
"""
JOINS = [
    *[" "] * 12,
    ", ",
    ". ",
    " - ",
    " -- ",
    "; ",
    ": ",
    "! ",
    "? ",
    " (",
    ") ",
    ' "',
    '" ',
    " '",
    "' ",
    "-",
    "/",
    "...",
    "’ ",
]


def texts(number: int, seed: int) -> list[str]:
    """Return generated captions: most of them plain, some with odd words, odd punctuation or odd capitals."""
    draw = random.Random(seed)
    plain_words, odd_words = WORDS.split(), ODD.split()
    found = ["", " ", ".", "a", "'s", "\xa0", "(", "A.", "the U.S."]
    while len(found) < number:
        odd = draw.choice([0.0, 0.05, 0.2, 0.5])
        pieces = []
        for _ in range(draw.randint(1, 14)):
            word = draw.choice(odd_words) if draw.random() < odd else draw.choice(plain_words)
            joint = draw.choice(JOINS) if draw.random() < odd else " "
            pieces.append(word + joint)
        text = "".join(pieces).strip() + draw.choice([".", "", "", " .", "!", ""])
        change = draw.random()
        text = text.capitalize() if change < 0.3 else text.upper() if change < 0.33 else text
        found.append(text.title() if change > 0.97 else text)
    return found


def items(number: int, seed: int) -> list[dict[str, Any]]:
    """Return captions with one to five references that share words with them."""
    draw = random.Random(seed)
    plain = [text for text in texts(6 * number, seed + 1) if text.strip()]
    found = []
    for _ in range(number):
        first = draw.choice(plain).split()
        references = []
        for _ in range(draw.randint(1, 5)):
            kept = [word for word in first if draw.random() < 0.8] or first
            references.append(" ".join([*kept, *draw.choice(plain).split()[: draw.randint(0, 4)]]))
        text = " ".join(word for word in first if draw.random() < 0.85)
        found.append({"text": text if draw.random() < 0.95 else draw.choice(plain), "references": references})
    return found


def words(captions: Sequence[str]) -> list[str]:
    """Return the words of each caption by pycocoevalcap's tokenizer, with blanks between them."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    lines = [line for caption in captions for line in (caption, "x")]
    found = PTBTokenizer().tokenize({index: [{"caption": line}] for index, line in enumerate(lines)})
    assert all(found[index] == ["x"] for index in range(1, len(lines), 2)), "the lines have shifted"
    return [found[index][0] for index in range(0, len(lines), 2)]


def scores(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return pycocoevalcap's figures of the whole set, and of each item."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge

    flat = words([text for row in rows for text in (row["text"], *row["references"])])
    own, references = {}, {}
    for index, row in enumerate(rows):
        own[index], flat = [flat[0]], flat[1:]
        references[index], flat = flat[: len(row["references"])], flat[len(row["references"]) :]
    bleu, bleus = Bleu(4).compute_score(references, own, verbose=0)
    cider, ciders = Cider().compute_score(references, own)
    rouge, rouges = Rouge().compute_score(references, own)
    meteor, meteors = Meteor().compute_score(references, own)
    whole = {f"bleu_{n + 1}": value for n, value in enumerate(bleu)}
    whole |= {"cider_d": float(cider), "rouge_l": float(rouge), "meteor": meteor}
    single: dict[str, list[Any]] = {"bleu": [[*values] for values in zip(*bleus, strict=True)]}
    single |= {"cider_d": [*map(float, ciders)], "rouge_l": [*map(float, rouges)], "meteor": meteors}
    return {"whole": whole, "single": single}


def measure_characters() -> dict[str, list[int]]:
    """Return the code points of each kind, from what the tokenizer does with each one alone and between others."""
    codes = [code for code in range(1, 0x10000) if not 0xD800 <= code < 0xE000 and code not in (0x0A, 0x0D)]
    alone, between, digits, twice = (_shown(codes, form) for form in ("{0}", "a{0}b", "1{0}2", "{0}{0}"))
    found: dict[str, list[int]] = {"letters": [], "digits": [], "marks": [], "symbols": []}
    for code in codes:
        sign = chr(code)
        joins = between[code] == f"a{sign.lower()}b" and alone[code] == sign.lower() and " " not in twice[code]
        if joins and sign not in "-./_@!?#'":
            kind = "marks" if " " in digits[code] else "digits" if sign.isdecimal() else "letters"
            found[kind].append(code)
        elif alone[code].strip():
            found["symbols"].append(code)
    return found


def _shown(codes: Sequence[int], form: str) -> dict[int, str]:
    """What the tokenizer makes of a form with each character, found again by a line that names it in letters."""
    import pycocoevalcap

    def name(code: int) -> str:
        return "zmk" + "".join("abcdefghijklmnop"[code >> shift & 15] for shift in (12, 8, 4, 0))

    lines = [line for code in codes for line in (name(code), form.format(chr(code)))]
    folder = Path(next(iter(pycocoevalcap.__path__))) / "tokenizer"
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write("\n".join(lines))
        file.flush()
        command = ["java", "-cp", "stanford-corenlp-3.4.1.jar", "edu.stanford.nlp.process.PTBTokenizer"]
        done = subprocess.run(
            [*command, "-preserveLines", "-lowerCase", file.name], cwd=folder, capture_output=True, check=True
        )
    names = {name(code): code for code in codes}
    found: dict[int, list[str]] = {}
    rows: list[str] = []
    for line in done.stdout.decode().split("\n"):
        if line in names:
            rows = found[names[line]] = []
        else:
            rows.append(line)
    return {code: "\n".join(lines) for code, lines in found.items()}


def ranges(codes: Iterable[int]) -> str:
    """Return code points as ranges in hexadecimal digits."""
    ends: list[list[int]] = []
    for code in sorted(codes):
        if ends and ends[-1][1] == code - 1:
            ends[-1][1] = code
        else:
            ends.append([code, code])
    return " ".join(f"{low:x}-{high:x}" if low != high else f"{low:x}" for low, high in ends)


def main() -> None:
    """Write the golden file, or the table of characters."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--characters", action="store_true", help="write the table of characters instead")
    if parser.parse_args().characters:
        kinds = measure_characters()
        CHARACTERS.write_text("".join(f"{kind} {ranges(codes)}\n" for kind, codes in kinds.items()), encoding="ascii")
        return
    captions, rows = texts(NUM_TEXTS, 0), items(NUM_ITEMS, 1)
    content = {
        "notes": "pycocoevalcap 1.2 (stanford-corenlp 3.4.1, meteor 1.5); made by tests/golden/make_captions.py",
        "texts": captions,
        "words": words(captions),
        "items": rows,
        "scores": scores(rows),
    }
    data = json.dumps(content, ensure_ascii=False, indent=0).encode()
    (HERE / "captions.json.gz").write_bytes(gzip.compress(data, mtime=0))


if __name__ == "__main__":
    main()
