"""Media as results name them."""

from typing import Any

from omni.samples.messages import Media


def describe_media(media: Media) -> dict[str, Any]:
    """Return a media item as a JSON part if it is a file; else its modality and a description."""
    if media.path is not None:
        return {"type": media.modality, "path": media.path}
    return {"type": media.modality, "description": media.describe()}
