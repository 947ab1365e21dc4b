"""ImageBind: six modalities in one space."""

from omni.encoders.imagebind.encoder import ImageBindEncoder
from omni.encoders.imagebind.network import ImageBindNetwork, load_imagebind
from omni.encoders.imagebind.sizes import TRUNKS, ImageBindSizes, TrunkSize
from omni.encoders.imagebind.tokenizer import ClipTokenizer

__all__ = [
    "TRUNKS",
    "ClipTokenizer",
    "ImageBindEncoder",
    "ImageBindNetwork",
    "ImageBindSizes",
    "TrunkSize",
    "load_imagebind",
]
