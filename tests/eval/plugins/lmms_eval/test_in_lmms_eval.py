"""The model in lmms-eval's own code, on tasks of its YAML form over local files: `make test-plugins`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eval.plugins.lmms_eval.settings import read_settings
from omni.model import OmniModel
from tests.documents import REPOSITORY
from tests.eval.plugins.tiny_media import media_model, write_picture, write_sound

pytest.importorskip("lmms_eval", reason="lmms-eval has an environment of its own: make test-plugins")
pytestmark = pytest.mark.plugins

NAMES = ["frog", "dog", "bell"]
KINDS = ("image", "sound")
UTILS = """
from PIL import Image

def question(doc):
    return "what is this?"

def visuals(doc):
    return [Image.open(doc["medium"]) if doc["kind"] == "image" else doc["medium"]]

def messages(doc):
    medium = {"type": doc["kind"].replace("sound", "audio"), "url": doc["medium"]}
    return [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [medium, {"type": "text", "text": "What is it?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "A " + doc["answer"]}]},
        {"role": "user", "content": [{"type": "text", "text": "And this?"}, medium]},
    ]

def rounds(doc, lmms_eval_specific_kwargs=None, previous_output=None, round_idx=None, previous_round_info=None):
    if round_idx is None:
        return "what is this?"
    if round_idx == 2:
        return None, None, True, previous_output, None
    return visuals(doc), "Is it " + previous_output[-1][:3] + "?", False, previous_output, None

def results(doc, results):
    return {"rounds": len(results[0])}
"""
COMMON = """
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}, cache_dir: {cache}}}
test_split: test
doc_to_visual: !function utils.visuals
doc_to_target: answer
metadata: [{{version: 0.0}}]
"""
UNTIL = ["e", "o"]
TASKS = {
    "written": """
output_type: generate_until
doc_to_text: !function utils.question
generation_kwargs: {max_new_tokens: 6, temperature: 0, do_sample: false, until: []}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
""",
    "turns": """
output_type: generate_until
doc_to_text: !function utils.question
doc_to_messages: !function utils.messages
generation_kwargs: {max_new_tokens: 6, until: UNTIL, image_aspect_ratio: pad}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
""",
    "rounds": """
output_type: generate_until_multi_round
doc_to_text: !function utils.rounds
generation_kwargs: {max_new_tokens: 6, until: []}
process_results: !function utils.results
metric_list: [{metric: rounds, aggregation: mean, higher_is_better: true}]
""",
    "chosen": """
output_type: multiple_choice
doc_to_text: !function utils.question
doc_to_choice: [frog, dog, bell]
doc_to_target: label
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
""",
}


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return media_model(tiny_llm, KINDS)


@pytest.fixture(scope="module")
def folder(model: OmniModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's folder and, next to it, the rows and the tasks."""
    folder = tmp_path_factory.mktemp("lmms")
    model.save(folder / "model")
    rows = []
    for i in range(6):
        kind = KINDS[i % 2]
        medium = write_picture(folder / f"{i}.png", i) if kind == "image" else write_sound(folder / f"{i}.wav", i)
        rows.append({"medium": str(medium), "kind": kind, "answer": NAMES[i % 3], "label": i % 3})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tasks = folder / "tasks"
    tasks.mkdir()
    (tasks / "utils.py").write_text(UTILS)
    for name, text in TASKS.items():
        common = COMMON.format(rows=folder / "rows.jsonl", cache=folder / "cache")
        (tasks / f"{name}.yaml").write_text(f"task: omni_{name}\n{common}{text}".replace("UNTIL", json.dumps(UNTIL)))
    return folder


@pytest.fixture(scope="module")
def logged(folder: Path) -> dict[str, dict[str, list[Any]]]:
    """What the chat and the simple model answered: kind of model -> task -> answers in the order of the rows."""
    from lmms_eval.evaluator import simple_evaluate
    from lmms_eval.tasks import TaskManager
    from loguru import logger

    found: dict[str, dict[str, list[Any]]] = {}
    for kind, names in [("chat", ("written", "turns", "rounds")), ("simple", ("written", "chosen", "rounds"))]:
        tasks = [f"omni_{name}" for name in names]
        manager = TaskManager("INFO", include_path=str(folder / "tasks"), include_defaults=False, model_name="omni")
        said: list[str] = []
        sink = logger.add(said.append, level="WARNING")
        results = simple_evaluate(
            model="omni",
            model_args=f"model={folder / 'model'},trust_code=True",
            tasks=tasks,
            batch_size=4,
            device="cpu",
            task_manager=manager,
            force_simple=kind == "simple",
            bootstrap_iters=0,
        )
        logger.remove(sink)
        assert any("image_aspect_ratio has no effect" in one for one in said) == ("turns" in names)
        found[kind] = {}
        for name in names:
            samples = sorted(results["samples"][f"omni_{name}"], key=lambda one: one["doc_id"])
            # one request for a row, except where choices are scored
            found[kind][name] = [
                one["filtered_resps"] if name == "chosen" else one["filtered_resps"][0] for one in samples
            ]
    return found


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def question(row: dict[str, Any], text: str = "what is this?") -> list[dict[str, Any]]:
    medium = {"type": row["kind"], "path": row["medium"]}
    return [{"role": "user", "content": [medium, {"type": "text", "text": text}]}]


@pytest.mark.parametrize("kind", ["chat", "simple"])
def test_written_answers_are_those_of_the_model(
    kind: str, logged: dict[str, dict[str, list[Any]]], folder: Path, model: OmniModel
) -> None:
    wanted = model.generate([question(row) for row in rows(folder)], max_new_tokens=6)
    assert len({*wanted}) > 1  # the media change what is said
    assert logged[kind]["written"] == wanted


def test_turns_of_a_conversation_and_ends_of_answers_are_kept(
    logged: dict[str, dict[str, list[Any]]], folder: Path, model: OmniModel
) -> None:
    def asked(row: dict[str, Any]) -> list[dict[str, Any]]:
        medium = {"type": row["kind"], "path": row["medium"]}
        return [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [medium, {"type": "text", "text": "What is it?"}]},
            {"role": "assistant", "content": "A " + row["answer"]},
            {"role": "user", "content": [{"type": "text", "text": "And this?"}, medium]},
        ]

    whole = model.generate([asked(row) for row in rows(folder)], max_new_tokens=6)
    wanted = [read_settings({"until": UNTIL}, 6, "turns").cut(text) for text in whole]
    assert wanted != whole  # some are cut
    assert logged["chat"]["turns"] == wanted


def test_choices_are_ranked_by_the_scores_of_the_model(
    logged: dict[str, dict[str, list[Any]]], folder: Path, model: OmniModel
) -> None:
    for row, one in zip(rows(folder), logged["simple"]["chosen"], strict=True):
        likelihoods = [response[0] for response in one]
        assert likelihoods == pytest.approx(model.score(question(row), NAMES).tolist(), abs=1e-4)
        greedy = model.generate(question(row), max_new_tokens=8)
        assert [response[1] for response in one] == [greedy == name for name in NAMES]


@pytest.mark.parametrize("kind", ["chat", "simple"])
def test_rounds_follow_each_other(
    kind: str, logged: dict[str, dict[str, list[Any]]], folder: Path, model: OmniModel
) -> None:
    for row, one in zip(rows(folder), logged[kind]["rounds"], strict=True):
        first = model.generate(question(row), max_new_tokens=6)
        second = model.generate(question(row, f"Is it {first[:3]}?"), max_new_tokens=6)
        assert one == [first, second]


def test_the_command_refuses_a_sound_without_an_adapter(folder: Path, tiny_llm: Path) -> None:
    media_model(tiny_llm, ("image",)).save(folder / "pictures")
    command = [sys.executable, "-m", "lmms_eval", "--model", "omni", "--tasks", "omni_written", "--device", "cpu"]
    command += ["--model_args", f"pretrained={folder / 'pictures'},trust_code=True", "--batch_size", "4"]
    command += ["--include_path", str(folder / "tasks")]
    environment = os.environ | {"HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    said = " ".join((done.stdout + done.stderr).split())
    assert "omni_written, test, doc 1" in said
    assert "the task shows an audio, and the model has no adapter for it" in said


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("model=somewhere,attn_implementation=eager", "--model_args has attn_implementation, which omni does not know"),
        ("", r"needs the folder of a trained model, once: model=DIR"),
        ("model=somewhere,pretrained=somewhere", "once"),
        ("model=somewhere,batch_size=0", "batch_size must be a whole number from 1 on"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(arguments: str, reason: str) -> None:
    from lmms_eval.models import get_model

    with pytest.raises(ValueError, match=reason):
        get_model("omni").create_from_arg_string(arguments, {"device": "cpu"})
