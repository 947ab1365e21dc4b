"""Media: from a file, bytes or an array to what an encoder takes; one module per modality."""

from omni.media.errors import MediaError
from omni.media.item import Media

__all__ = ["Media", "MediaError"]
