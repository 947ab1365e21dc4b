"""Media as results name them."""

from typing import Any

from omni.samples.messages import Media


def describe_media(media: Media) -> dict[str, Any]:
    """Return a media item as a JSON part if it is a file, with what its loader needs; else its modality and words."""
    features = media.features if isinstance(media.features, str) else None
    if media.path is None and features is None:
        return {"type": media.modality, "description": media.describe()}
    plain = (str, int, float, bool, list)
    options = {key: value for key, value in media.options.items() if isinstance(value, plain)}
    details = {"path": media.path, "features": features, "row": media.row, "sampling_rate": media.sampling_rate}
    details["options"] = options or None
    details["description"] = media.describe() if media.path is None else None
    return {"type": media.modality, **{key: value for key, value in details.items() if value is not None}}
