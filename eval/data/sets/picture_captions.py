"""Pictures with several captions each: COCO, NoCaps and Flickr30k."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.files import Files
from eval.data.hub import part_of, table_layouts
from eval.data.rows import media_part, question_row, text_of, texts_of, value_of
from eval.data.tables import json_list

Rows = Callable[[Record, Files], Row]
NOCAPS = "nocaps_val_4500_captions.json"


def _caption_row(id_key: str, picture_key: str, captions_key: str, inner: str | None = None) -> Rows:
    """Return the row of a picture whose captions stand under a key; the picture is found by its name."""

    def row(record: Record, files: Files) -> Row:
        captions = [caption.strip() for caption in texts_of(record, captions_key, inner)]
        picture = media_part("image", files, text_of(record, picture_key).replace("\\", "/").rpartition("/")[2])
        return question_row(value_of(record, id_key), [picture], captions=captions, domain=record.get("domain"))

    return row


def _mirrored(id_key: str, captions_key: str) -> Rows:
    """Return the row of a picture in a cell of a table."""

    def row(record: Record, files: Files) -> Row:
        captions = [caption.strip() for caption in texts_of(record, captions_key)]
        picture = part_of("image", value_of(record, "image"), files)
        return question_row(value_of(record, id_key), [picture], captions=captions, domain=record.get("domain"))

    return row


def _karpathy(name: str, split: str, id_key: str) -> Layout:
    """Return the layout of Karpathy's file, which holds all splits."""

    def read(files: Files) -> Sequence[Record]:
        path = files.find(name)
        images = json_list(path, "images")
        found = [image for image in images if image.get("split") == split]
        if not found:
            splits = ", ".join(sorted({str(image.get("split")) for image in images}))
            raise ValueError(f"{path} has no picture of the split {split!r}; it has {splits}")
        return found

    return Layout("official", (name,), read, _caption_row(id_key, "filename", "sentences", "raw"))


def _coco_form(name: str) -> Layout:
    """Return the layout of COCO's own files: pictures and captions in two lists."""

    def read(files: Files) -> Sequence[Record]:
        path = files.find(name)
        captions = defaultdict(list)
        for annotation in json_list(path, "annotations"):
            captions[annotation.get("image_id")].append(annotation.get("caption"))
        return [{**image, "captions": captions.get(image.get("id"))} for image in json_list(path, "images")]

    return Layout("official", (name,), read, _caption_row("id", "file_name", "captions"))


def _lavis(name: str) -> Layout:
    """Return the layout of LAVIS: a list of pictures with their captions."""

    def read(files: Files) -> Sequence[Record]:
        records = json_list(files.find(name))
        return [{**one, "id": one.get("image_id", one.get("image"))} for one in records]

    return Layout("LAVIS", (name,), read, _caption_row("id", "image", "caption"))


_COCO = "https://cocodataset.org/#download"
_COCO_LICENCE = "captions CC BY 4.0; pictures under the terms of Flickr"
_KARPATHY = "https://cs.stanford.edu/people/karpathy/deepimagesent/"
BENCHMARKS = (
    Benchmark(
        name="coco-karpathy",
        title="COCO captions, Karpathy's splits (Karpathy and Fei-Fei 2015, arXiv:1412.2306)",
        homepage=_KARPATHY,
        licence=_COCO_LICENCE,
        get="dataset_coco.json (caption_datasets.zip), and the pictures val2014 of COCO",
        splits={
            split: Split(
                (
                    _karpathy("dataset_coco.json", split, "cocoid"),
                    _lavis(f"coco_karpathy_{split}.json"),
                    *table_layouts(
                        Hub("yerevann/coco-karpathy", hub_split),
                        ("filename", "imgid", "sentences"),
                        _caption_row("imgid", "filename", "sentences"),
                    ),
                ),
                num_items=5_000,
                note="the mirrored table has addresses of the pictures only; put the pictures val2014 next to it",
            )
            for split, hub_split in (("test", "test"), ("val", "validation"))
        },
    ),
    Benchmark(
        name="coco-2017",
        title="COCO captions 2017, validation (Chen et al. 2015, arXiv:1504.00325)",
        homepage=_COCO,
        licence=_COCO_LICENCE,
        get="captions_val2017.json (annotations_trainval2017.zip), and the pictures val2017",
        splits={
            "val": Split(
                (
                    _coco_form("captions_val2017.json"),
                    *table_layouts(
                        Hub("lmms-lab-encoder/COCO-Caption2017", "val"),
                        ("image", "question_id", "answer"),
                        _mirrored("question_id", "answer"),
                    ),
                ),
                num_items=5_000,
            )
        },
    ),
    Benchmark(
        name="nocaps",
        title="NoCaps, validation (Agrawal et al. 2019, arXiv:1812.08658)",
        homepage="https://nocaps.org/download",
        licence="captions CC BY 2.0; pictures of Open Images, CC BY 2.0",
        get="nocaps_val_4500_captions.json, and its pictures, whose addresses it has",
        splits={
            "val": Split(
                (
                    _coco_form(NOCAPS),
                    *table_layouts(
                        Hub("lmms-lab-encoder/NoCaps", "validation"),
                        ("image", "image_id", "annotations_captions"),
                        _mirrored("image_id", "annotations_captions"),
                    ),
                ),
                num_items=4_500,
            )
        },
    ),
    Benchmark(
        name="flickr30k",
        title="Flickr30k (Young et al. 2014), Karpathy's splits",
        homepage=_KARPATHY,
        licence="pictures under the terms of Flickr, for research only; ask the University of Illinois for them",
        get="dataset_flickr30k.json (caption_datasets.zip), and the pictures flickr30k-images",
        splits={
            "test": Split(
                (_karpathy("dataset_flickr30k.json", "test", "imgid"), _lavis("flickr30k_test.json")), num_items=1_000
            ),
            "val": Split(
                (_karpathy("dataset_flickr30k.json", "val", "imgid"), _lavis("flickr30k_val.json")), num_items=1_014
            ),
            "all": Split(
                (
                    *table_layouts(
                        Hub("lmms-lab-encoder/flickr30k", "test"),
                        ("image", "caption", "img_id"),
                        _mirrored("img_id", "caption"),
                    ),
                ),
                note="the mirror calls its only split test; it may hold all pictures, not the 1,000 of Karpathy's",
            ),
        },
    ),
)
