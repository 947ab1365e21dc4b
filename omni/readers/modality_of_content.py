"""The modality of a file's content by its first bytes, for media that come without a name."""

import re

# Beginning of a file -> its modality, for formats that hold nothing else, or, as a name's ending does for the others
# (`.webm` is a video), what is usual.
_SIGNATURES = {
    **dict.fromkeys((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"II+\0"), "image"),
    **dict.fromkeys((b"fLaC", b"ID3", b".snd", b"ADIF", b"OggS"), "sound"),
    **dict.fromkeys((b"\x1aE\xdf\xa3", b"FLV\x01", b"\0\0\1\xba", b"0&\xb2u"), "video"),
    **dict.fromkeys((b"glTF", b"ply\n", b"ply\r", b"solid ", b"OFF\n", b"COFF"), "point_cloud"),
}
_RIFF_KINDS = {b"WEBP": "image", b"WAVE": "sound", b"AVI ": "video"}
_BRANDS = {
    b"avif": "image",
    b"avis": "image",
    b"M4A ": "sound",
    b"M4B ": "sound",
}  # of ISO base media; others are films
_NETPBM = re.compile(rb"P[1-6]\s")
_MPEG_AUDIO = re.compile(rb"\xff[\xe2-\xff]")  # a frame of MP3, or of AAC in ADTS
_OGG_VIDEO = b"\x80theora"


def modality_of_content(content: bytes) -> str | None:
    """Return the modality of a whole file's bytes, or None where its beginning is not known."""
    head = content[:512]
    if head[:4] in (b"RIFF", b"RIFX", b"RF64"):
        return _RIFF_KINDS.get(head[8:12], "sound" if head[:4] == b"RF64" else None)
    if head[:4] == b"FORM":
        return "sound" if head[8:12] in (b"AIFF", b"AIFC") else None
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video")
    if head[:4] == b"OggS" and _OGG_VIDEO in head:
        return "video"
    if len(content) > 188 and head[0] == content[188] == 0x47:  # packets of an MPEG transport stream
        return "video"
    found = next((modality for signature, modality in _SIGNATURES.items() if head.startswith(signature)), None)
    if found is not None or _NETPBM.match(head):
        return found or "image"
    return "sound" if _MPEG_AUDIO.match(head) else None
