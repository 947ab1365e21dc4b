"""`Deletion` from the command line: its figures are those of hiding by hand, and what cannot be explained is said."""

import json
from pathlib import Path

import numpy as np
import pytest

from eval.__main__ import main
from eval.kinds import Deletion
from eval.run.cache import AnswerCache
from eval.run.kinds import procedure_of
from eval.task import Task
from omni.explaining.deletion import deletion_area, deletion_masks, order_of
from omni.model import OmniModel
from omni.model.explaining import AnsweredConversation
from omni.samples.messages import Media, Message, Text
from tests.eval.run.test_evaluation_run import ANSWERS, PROMPT, write_manifest
from tests.tiny import tiny_model

TASK = (
    "from eval.kinds import Deletion\nfrom eval.task import Task\n"
    "TASK = Task('deletion', 1, 'Maps?', {data!r}, ('image',), {prompt!r}, Deletion(3, 3, 1), 'deletion-v1')\n"
)


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return tiny_model(tiny_llm).eval()


def test_figures_are_those_of_hiding_parts_by_hand(model: OmniModel, tmp_path: Path) -> None:
    data = write_manifest(tmp_path / "data", number=4, bad=1)
    model.save(tmp_path / "model")
    file = tmp_path / "my_tasks.py"
    file.write_text(TASK.format(data=str(data), prompt=PROMPT))
    arguments = [f"{file}:TASK", "--model", str(tmp_path / "model"), "--output", str(tmp_path / "out")]
    assert main(arguments) == 0
    written = (tmp_path / "out" / "results.json").read_text()
    result = json.loads(written)["tasks"][0]
    assert (result["metric"], result["chance"], result["percent"]) == ("gain_occlusion", 0.0, False)
    assert [one["id"] for one in result["bad"]] == ["item-1"]
    assert {"own", "shuffled"} == set(result["scores"])
    assert "gain_attention" in result["not_computed"]  # the tiny encoder does not say what its features stand for

    areas = []
    for index in (0, 2, 3):
        media = Media("image", path=str(data.parent / f"image-{index}.npy"))
        messages = [Message("user", (media, Text(PROMPT)))]
        told = AnsweredConversation(model, messages, ANSWERS[index], parts=3)
        words = told.words(told.log_likelihoods().tolist())
        occlusion = told.occlusion(0, words)
        assert occlusion is not None
        masks = deletion_masks(order_of(occlusion.sum(0), 0), (3,), 3)
        scores = told.without(0, [np.zeros(3, dtype=bool), *masks])[:, : words[-1].end].mean(1)
        areas.append(deletion_area(scores.tolist()))
    assert result["scores"]["own"]["area_occlusion"]["value"] == pytest.approx(np.mean(areas), abs=1e-4)
    own = result["scores"]["own"]
    gain = own["area_occlusion"]["value"] - own["area_random"]["value"]
    assert own["gain_occlusion"]["value"] == pytest.approx(gain)

    assert main(arguments) == 0  # from the cache
    again = json.loads((tmp_path / "out" / "results.json").read_text())["tasks"][0]
    assert again["scores"] == result["scores"]
    assert "gain_occlusion" in (tmp_path / "out" / "report.html").read_text()


def test_what_cannot_be_tested_is_refused_in_words(model: OmniModel, tmp_path: Path) -> None:
    task = Task("d", 1, "", str(write_manifest(tmp_path)), ("image",), PROMPT, Deletion(25, 25, 1), "deletion-v1")
    options = {"limit": None, "seed": 0, "progress": False}
    with AnswerCache(None, "model") as cache, pytest.raises(ValueError, match="cut into fewer parts than the 25 steps"):
        procedure_of(task.kind).measure(model, task, cache, **options)
    with pytest.raises(ValueError, match="parts must be at least num_steps, 4, not 3"):
        task.changed(kind=Deletion(parts=3))
    with pytest.raises(ValueError, match="num_random must be at least 1, not 0"):
        task.changed(kind=Deletion(num_random=0))
