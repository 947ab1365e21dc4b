"""Readers: from a file, a folder or a data set of the Hugging Face hub to samples in the messages form."""

from omni.readers.answers_as_media import AnswersAsMedia
from omni.readers.caption_table import read_captions
from omni.readers.dataset import InMemoryDataset, PreparedDataset, SampleDataset, StreamDataset
from omni.readers.folder import read_folder
from omni.readers.huggingface import read_datasets
from omni.readers.jsonl import read_json, read_jsonl
from omni.readers.llava import read_llava
from omni.readers.manifest import sample_to_row, write_manifest
from omni.readers.opening import open_dataset
from omni.readers.shard_names import ShardCommand
from omni.readers.split import is_test_caption, split_by_caption
from omni.readers.webdataset import ShardDataset, read_webdataset

__all__ = [
    "AnswersAsMedia",
    "InMemoryDataset",
    "PreparedDataset",
    "SampleDataset",
    "ShardCommand",
    "ShardDataset",
    "StreamDataset",
    "is_test_caption",
    "open_dataset",
    "read_captions",
    "read_datasets",
    "read_folder",
    "read_json",
    "read_jsonl",
    "read_llava",
    "read_webdataset",
    "sample_to_row",
    "split_by_caption",
    "write_manifest",
]
