"""Texts as media: UTF-8 as bytes or in a file."""

from pathlib import Path

from omni.media.errors import MediaError
from omni.media.item import Media
from omni.media.loading import loader
from omni.media.source import content_of


@loader
def load_text(media: Media, max_characters: int) -> str:
    """Load the text of an item, or only the beginning of a long one.

    Raises:
        MediaError: the text is not UTF-8, or is missing.
    """
    content = content_of(media)
    try:
        if isinstance(content, str):
            with Path(content).open(encoding="utf-8") as file:
                return file.read(max_characters)
        if isinstance(content, bytes):
            return content.decode("utf-8")[:max_characters]
    except (UnicodeDecodeError, OSError) as error:
        raise MediaError(media.describe(), f"is not UTF-8 text ({error})") from error
    raise MediaError(media.describe(), "expected text: UTF-8 as bytes, or a file")
