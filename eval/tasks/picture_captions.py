"""Captions of pictures: COCO, NoCaps, Flickr30k."""

from eval.task import Task
from eval.tasks import instructblip
from eval.tasks.benchmark_tasks import captions

# lmms-eval's wordings.
ONE_SENTENCE = "Provide a one-sentence caption for the provided image."
BRIEFLY = "Describe the image briefly."
INSTRUCTBLIP = "a short description"


def _captions(name: str, data: str, what: str, prompt: str) -> Task:
    return captions(name, data, "image", f"{what}: a caption, compared with those of people.", prompt=prompt)


def _instructblip(name: str, data: str, what: str) -> Task:
    description = f"{what} as X-InstructBLIP asks it: its prompt, five beams, 10 to 80 tokens."
    return captions(
        f"{name}-instructblip", data, "image", description, prompt=INSTRUCTBLIP, settings=instructblip.CAPTION
    )


_KARPATHY, _NOCAPS, _FLICKR = "official:coco-karpathy/test", "official:nocaps/val", "official:flickr30k/test"
TASKS = (
    _captions("coco-karpathy", _KARPATHY, "COCO, Karpathy's test", BRIEFLY),
    _instructblip("coco-karpathy", _KARPATHY, "COCO, Karpathy's test,"),
    _captions("coco-2017", "official:coco-2017/val", "COCO 2017, validation", ONE_SENTENCE),
    _captions("nocaps", _NOCAPS, "NoCaps, validation", ONE_SENTENCE),
    _instructblip("nocaps", _NOCAPS, "NoCaps, validation,"),
    _captions("flickr30k", _FLICKR, "Flickr30k, Karpathy's test", ONE_SENTENCE),
    _instructblip("flickr30k", _FLICKR, "Flickr30k, Karpathy's test,"),
)
