"""Texts that name media: paths as another system spells them, and base64 in the place of a path."""

import base64
import binascii
import os
import re
import unicodedata
from pathlib import Path

# The beginnings of files that tables hold as base64 text (VLMEvalKit's and MMBench's, for example).
_SIGNATURES = (
    *(b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"qoif", b"v/1\x01"),
    *(b"OggS", b"fLaC", b"ID3", b"\xff\xfb\x90", b"\xff\xf1\x50", b"FORM", b"\x1aE\xdf\xa3", b"FLV", b"\0\0\1\xba"),
    *(b"glTF", b"ply\n", b"ply\r", b"solid ", b"\x93NUMPY", b"PAR1"),
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\s]+={0,2}\s*")
_HEAD = 24  # characters that hold the longest signature, and the brand of an MP4 or AVIF file
_SHORTEST = 40  # characters; no file of media is shorter than 30 bytes
_LONGEST_PATH = 4096  # characters that Linux allows


def content_in_base64(text: str) -> bytes | None:
    """Return the content of a text that is a file in base64 rather than the name of one; None for names.

    Names of files nearly always hold a full stop, which base64 never does; what is left is told apart by the first
    bytes of the content.
    """
    if len(text) < _SHORTEST or "." in text[-8:] or not _BASE64.fullmatch(text[:_HEAD]) or not _BASE64.fullmatch(text):
        return None
    compact = "".join(text.split()).translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        content = base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except binascii.Error:
        return None
    is_known = content.startswith(_SIGNATURES) or content[4:8] == b"ftyp"
    return content if is_known or len(text) > _LONGEST_PATH else None


def find_spelling(text: str, base: Path | None) -> str:
    """Return the path that `text` names, from `base` on and then absolute, in the spelling that exists.

    `~` is the home folder. Where no file has the very name, the separators of Windows are taken for `/`, and letters
    with accents are compared as text: macOS writes `e` and an accent (NFD) where others have one letter (NFC). A name
    that exists nowhere comes back as it was given.
    """
    if text == "~" or text.startswith("~/"):
        text = os.path.expanduser(text)
    path = text if base is None else os.path.abspath(base / text)
    if ("\\" not in text and text.isascii()) or os.path.lexists(path):
        return path
    slashed = text.replace("\\", "/")
    path = slashed if base is None else os.path.abspath(base / slashed)
    return path if path.isascii() else _same_letters(path)


def _same_letters(path: str) -> str:
    """Return the path with every part that does not exist replaced by its only other spelling that does."""
    found = Path(path).anchor
    for part in Path(path).parts[1 if found else 0 :]:
        forms = (part, *(unicodedata.normalize(form, part) for form in ("NFC", "NFD")))
        existing = (form for form in forms if os.path.lexists(os.path.join(found, form)))
        found = os.path.join(found, next(existing, part))
    return found
