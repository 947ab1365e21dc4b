"""Previews of videos: a file to play where browsers can, frames, and the sound."""

from omni.media.container import sound_track
from omni.media.errors import MediaError
from omni.media.frames import load_frames
from omni.media.item import Media
from omni.previews.kinds import Film, Picture
from omni.previews.recordings import preview_sound

_NUM_FRAMES = 8
_LONGER_SIDE = 480
_PLAYED = (".mp4", ".webm", ".m4v", ".mov")  # what browsers play, if the codec inside is theirs too


def preview_video(media: Media) -> Film:
    """Return a video as a film: eight frames, evenly spread, and its sound track where it has one."""
    frames = load_frames(media, _NUM_FRAMES)
    pictures = []
    for image, time in zip(frames.images, frames.times, strict=True):
        shown = image.copy()
        shown.thumbnail((_LONGER_SIDE, _LONGER_SIDE))
        pictures.append(Picture(shown, f"{time:.1f} s"))
    try:
        track = sound_track(media)
        sound = None if track is None else preview_sound(track)
    except MediaError:  # a track without samples; the pictures are there all the same
        sound = None
    seconds = max(float(frames.times[-1]), 0.0 if sound is None else sound.seconds)
    size = f"{frames.images[0].width} x {frames.images[0].height} pixels"
    caption = f"{seconds:.1f} s, {size}, {'silent' if sound is None else 'with sound'}"
    path = media.path if isinstance(media.path, str) and media.path.lower().endswith(_PLAYED) else None
    return Film(path, seconds, pictures, sound, caption)
