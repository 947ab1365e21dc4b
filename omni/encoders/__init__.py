"""Frozen encoders, from media to features; one module per family."""

from omni.encoders.base import Encoder, Features
from omni.encoders.efficientnet import EfficientNetLite
from omni.encoders.huggingface import HuggingFaceEncoder
from omni.encoders.imagebind import ImageBindEncoder
from omni.encoders.nested import FrameEncoder, MultiViewEncoder
from omni.encoders.onnx_encoder import OnnxEncoder
from omni.encoders.precomputed import PrecomputedFeatures
from omni.encoders.yamnet import YamNet

__all__ = [
    "EfficientNetLite",
    "Encoder",
    "Features",
    "FrameEncoder",
    "HuggingFaceEncoder",
    "ImageBindEncoder",
    "MultiViewEncoder",
    "OnnxEncoder",
    "PrecomputedFeatures",
    "YamNet",
]
