"""Media cut into parts that can be hidden, with one class for each kind of medium."""

from omni.media.parts.choosing import cut
from omni.media.parts.contract import Axis, MediaParts

__all__ = ["Axis", "MediaParts", "cut"]
