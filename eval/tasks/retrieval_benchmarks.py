"""Retrieval between media and their captions in the official files of caption benchmarks, for joint spaces.

Each caption is a query or an entry of its own, and only those of the query's own row are right, as in the published
protocols.
"""

from eval.kinds import Retrieve
from eval.task import Task

_SETS = {
    # name of the tasks: data, modality, title
    "coco-karpathy": ("coco-karpathy/test", "image", "COCO, Karpathy's test"),
    "nocaps": ("nocaps/val", "image", "NoCaps, validation"),
    "flickr30k": ("flickr30k/test", "image", "Flickr30k, Karpathy's test"),
    "audiocaps": ("audiocaps/test", "sound", "AudioCaps, test"),
    "clotho": ("clotho/evaluation", "sound", "Clotho, evaluation"),
    "msvd": ("msvd/test", "video", "MSVD, test"),
    "msrvtt": ("msrvtt/test-1k-a", "video", "MSR-VTT, test 1k-A"),
    "vatex": ("vatex/test", "video", "VATEX, test"),
    "cap3d": ("cap3d/pointllm-3000", "point_cloud", "Cap3D, PointLLM's 3,000 objects"),
}


def _retrieval(name: str, data: str, modality: str, title: str, to_media: bool) -> Task:
    query, gallery = ("text", modality) if to_media else (modality, "text")
    word = modality.replace("_", " ")
    what = f"which {word} does a caption mean?" if to_media else f"which captions belong to the {word}?"
    return Task(
        name=f"{name}-{query}-to-{gallery}".replace("_", "-"),
        version=1,
        description=f"{title}: {what}",
        data=f"official:{data}",
        modalities=(modality,),
        prompt="",
        kind=Retrieve(query, gallery, right="row"),
        scorer="retrieval-v1",
        target="meta:captions",
        clusters=("media",),
        no_probe="retrieval has no classes to probe for",
    )


TASKS = tuple(_retrieval(name, *values, to_media) for name, values in _SETS.items() for to_media in (True, False))
