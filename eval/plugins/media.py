"""Media as the decoders of torchcodec give them, which `datasets` puts into columns of sounds and videos."""

import sys
from typing import Any

import numpy as np


def plain_media(value: Any) -> Any:
    """Return a sound of torchcodec as `{"array": [C, T], "sampling_rate": Hz}`, a video as frames [T, H, W, 3].

    Anything else is returned as it is.
    """
    decoders = sys.modules.get("torchcodec.decoders")  # whoever holds such a value has imported it
    if decoders is not None and isinstance(value, decoders.AudioDecoder):
        samples = value.get_all_samples()
        return {"array": np.asarray(samples.data), "sampling_rate": int(samples.sample_rate)}
    if decoders is not None and isinstance(value, decoders.VideoDecoder):
        return np.asarray(value.get_frames_in_range(0, len(value)).data.permute(0, 2, 3, 1))
    return value
