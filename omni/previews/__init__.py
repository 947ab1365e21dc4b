"""Previews: what a person is shown of a media item, for pages and reports; one module for each kind."""

from omni.previews.choosing import preview
from omni.previews.kinds import Curves, Film, Picture, Player, Preview, Shape, Words

__all__ = ["Curves", "Film", "Picture", "Player", "Preview", "Shape", "Words", "preview"]
