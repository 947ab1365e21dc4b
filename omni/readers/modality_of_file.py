"""The modality of a file by its extension, where there is only one that it can be."""

from collections.abc import Mapping

from omni.media.frames import VIDEO_EXTENSIONS
from omni.media.image import IMAGE_EXTENSIONS
from omni.media.mesh import MESH_EXTENSIONS
from omni.media.sound import SOUND_EXTENSIONS

# Files that may be of several modalities, of which none is the usual one: these are asked about, never guessed.
AMBIGUOUS = {".npy": ("point_cloud", "depth", "thermal", "imu")}
# The later entry wins: .webm is a video here.
MODALITY_OF_EXTENSION = {
    extension: modality
    for modality, extensions in {
        "image": IMAGE_EXTENSIONS,
        "sound": SOUND_EXTENSIONS,
        "point_cloud": MESH_EXTENSIONS,
        "video": VIDEO_EXTENSIONS,
    }.items()
    for extension in extensions
    if extension not in AMBIGUOUS
}

# Pictures, sounds, videos and meshes that no loader reads; among others they are named, not passed over.
UNREADABLE_EXTENSIONS = frozenset(
    (
        *(".heic", ".heif", ".svg", ".jxl", ".jp2", ".psd", ".tga", ".ico", ".pbm", ".pnm", ".hdr", ".exr"),
        *(".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"),
        *(".amr", ".ape", ".wv", ".mid", ".midi", ".aifc", ".ra", ".mp2", ".caf", ".dsf"),
        *(".m2ts", ".mts", ".vob", ".rm", ".rmvb", ".divx", ".asf", ".qt", ".3g2"),
        *(".pcd", ".las", ".laz", ".e57", ".fbx", ".dae", ".usdz", ".3ds", ".blend"),
    )
) - {*MODALITY_OF_EXTENSION, *AMBIGUOUS}

Modalities = str | Mapping[str, str] | None  # one for all known extensions, or extension -> modality


def is_media(extension: str, modality: Modalities) -> bool:
    """Return whether files of this extension (with its dot, in lower case) are media in a folder."""
    named = isinstance(modality, Mapping) and extension in with_dots(modality)
    return named or extension in MODALITY_OF_EXTENSION or extension in AMBIGUOUS


def modality_of(extension: str, modality: Modalities) -> str:
    """Return the modality of a file by its extension (with its dot, in lower case).

    Raises:
        ValueError: none is known, or it may be several.
    """
    if isinstance(modality, Mapping):
        named = with_dots(modality)
        if extension in named:
            return named[extension]
    elif modality is not None:
        return modality
    if extension in AMBIGUOUS:
        raise ValueError(
            f"files of type {extension!r} may be {' or '.join(AMBIGUOUS[extension])}, which is not guessed; say which "
            f"with the option {ask_for(extension)} (ready-made features are named by `features` in a manifest)"
        )
    if extension not in MODALITY_OF_EXTENSION:
        raise ValueError(f"no modality is known for files of type {extension!r}; give it as `modality`")
    return MODALITY_OF_EXTENSION[extension]


def ask_for(extension: str) -> str:
    """Return the option that names the modality of an ambiguous extension, as an error shows it."""
    return f"`modality`, such as {{{extension}: {AMBIGUOUS[extension][0]}}}"


def with_dots(modality: Mapping[str, str]) -> dict[str, str]:
    """Return extension -> modality with extensions in lower case that begin with a dot."""
    return {"." + extension.lower().lstrip("."): name for extension, name in modality.items()}
