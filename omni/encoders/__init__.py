"""Frozen encoders, from media to features; one module per family."""

from omni.encoders.base import Encoder, Features
from omni.encoders.beats import BeatsEncoder
from omni.encoders.concat import Concat
from omni.encoders.efficientnet import EfficientNetLite
from omni.encoders.eva_clip import EvaClipEncoder
from omni.encoders.huggingface import HuggingFaceEncoder
from omni.encoders.imagebind import ImageBindEncoder
from omni.encoders.nested import FrameEncoder, MultiViewEncoder, SensorPictureEncoder
from omni.encoders.onnx_encoder import OnnxEncoder
from omni.encoders.point_bert import PointBertEncoder
from omni.encoders.precomputed import PrecomputedFeatures
from omni.encoders.text import TextEncoder
from omni.encoders.yamnet import YamNet

__all__ = [
    "BeatsEncoder",
    "Concat",
    "EfficientNetLite",
    "Encoder",
    "EvaClipEncoder",
    "Features",
    "FrameEncoder",
    "HuggingFaceEncoder",
    "ImageBindEncoder",
    "MultiViewEncoder",
    "OnnxEncoder",
    "PointBertEncoder",
    "PrecomputedFeatures",
    "SensorPictureEncoder",
    "TextEncoder",
    "YamNet",
]
