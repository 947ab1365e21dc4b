"""Asterisk prompts: short telephone announcements, 8 kHz, with their transcripts."""

import gzip
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import soundfile

from omni.starter.archives import unpack_deb
from omni.starter.catalogue import ASTERISK
from omni.starter.manifest import clean_caption, media, row, write_split
from omni.starter.progress import Progress

VOICE_FOLDER = "en_US_f_Allison"
TRANSCRIPTS = "core-sounds-en.txt.gz"


def build(packages: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Fill `folder` with `media/**.wav` and `speech-{train,test}.jsonl`, split by transcript."""
    recordings = unpack_deb(packages["asterisk-core-sounds-en-wav"], folder, _place, progress)
    (listing,) = unpack_deb(packages["asterisk-core-sounds-en"], folder, _place, progress)
    transcripts = parse_transcripts(gzip.decompress(listing.read_bytes()).decode("utf-8"))
    listing.unlink()
    rows = []
    for file in sorted(recordings):
        relative = file.relative_to(folder).as_posix()
        name = relative.removeprefix("media/").removesuffix(".wav")
        transcript = transcripts.get(name)
        if transcript is None:  # a beep, silence, or not in the list
            file.unlink()
            continue
        meta = {"caption": transcript, "transcript": transcript, "speech": relative, "licence": ASTERISK.licence}
        seconds = round(soundfile.info(file).duration, 3)
        rows.append(row(f"asterisk/{name}", [media("speech", relative)], transcript, **meta, seconds=seconds))
    write_split(folder, "speech", rows, label="caption")


def parse_transcripts(listing: str) -> dict[str, str]:
    """Return prompt name -> transcript, without entries that describe a noise and without remarks after the words."""
    transcripts: dict[str, str] = {}
    for line in listing.splitlines():
        name, separator, text = line.partition(":")
        if line.startswith(";") or not separator:
            continue
        text = clean_caption(text)
        if text.startswith(("[", "(", "<")):
            continue
        spoken = re.sub(r"\s*(\([^)]*\)|\[[^]]*\])\s*$", "", text)
        if any(character.isalnum() for character in spoken):
            transcripts[name.strip()] = spoken
    return transcripts


def _place(inner: PurePosixPath) -> str | None:
    if inner.name == TRANSCRIPTS:
        return inner.name
    if inner.suffix != ".wav" or VOICE_FOLDER not in inner.parts:
        return None
    return "media/" + "/".join(inner.parts[inner.parts.index(VOICE_FOLDER) + 1 :])
