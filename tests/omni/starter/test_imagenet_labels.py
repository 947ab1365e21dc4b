"""Names of classes are the first words of their synsets, in the order of the classes."""

import zipfile
from pathlib import Path

import pytest

from omni.starter.data_imagenet_labels import build, label_names
from omni.starter.errors import FetchError
from omni.starter.progress import Progress


def test_the_order_is_that_of_the_classes_and_the_first_word_counts() -> None:
    words = "n2\tcrane\nn1\tArabian camel, dromedary, Camelus dromedarius\nn3\tnot asked for\n"
    assert label_names("n1\nn2\nn2\n", words) == ["Arabian camel", "crane", "crane"]


def wheel(path: Path, number: int) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        synsets = [f"n{index}" for index in range(number)]
        archive.writestr("timm/data/_info/imagenet_synsets.txt", "\n".join(synsets))
        archive.writestr("timm/data/_info/imagenet_synset_to_lemma.txt", "\n".join(f"{s}\t{s} x, y" for s in synsets))
        archive.writestr("timm/data/_info/imagenet_a_synsets.txt", "n1")
        archive.writestr("timm-1.0.dist-info/licenses/LICENSE", "Apache")
    return path


def test_a_wheel_becomes_a_file_of_a_thousand_names(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    build({"timm": wheel(tmp_path / "timm.whl", 1000)}, folder, Progress(False))
    assert [file.name for file in sorted(folder.iterdir()) if file.is_file()] == ["labels.txt"]
    assert (folder / "labels.txt").read_text().splitlines()[999] == "n999 x"
    with pytest.raises(FetchError, match="names 3 classes"):
        build({"timm": wheel(tmp_path / "timm.whl", 3)}, folder, Progress(False))
