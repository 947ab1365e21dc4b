"""Tasks on a tiny random model: figures by hand from the model's own log-likelihoods, the cache, and bad items."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from eval.compare.pairing import pair
from eval.run.planning import plan_task
from eval.run.results import TaskResult, load_results, save_results
from eval.run.runner import evaluate
from eval.task import Choose, Generate, Match, Probe, Task
from omni.model import OmniModel
from omni.samples.messages import Media, Message, Text
from tests.tiny import recording, tiny_model

ANSWERS = ["A frog.", "A dog.", "A drum.", "A bell.", "A picture.", "A sound."]
PROMPT = "What is this?"
REPOSITORY = Path(__file__).parents[3]


def write_manifest(folder: Path, number: int = 6, bad: int | None = None) -> Path:
    """A manifest of `number` image + sound pairs as `.npy` recordings; item `bad` has a missing picture."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for index in range(number):
        for modality, seed in (("image", index), ("sound", 100 + index)):
            if not (index == bad and modality == "image"):
                np.save(folder / f"{modality}-{index}.npy", recording(seed))
        media = [{"type": modality, "path": f"{modality}-{index}.npy"} for modality in ("image", "sound")]
        answer = ANSWERS[index % len(ANSWERS)]
        messages = [{"role": "user", "content": media}, {"role": "assistant", "content": answer}]
        lines.append(json.dumps({"id": f"item-{index}", "messages": messages, "kind": ["soft", "loud"][index % 2]}))
    path = folder / "test.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def choice(data: Path, name: str = "choice", **changes: object) -> Task:
    task = Task(
        name=name,
        version=1,
        description="A choice.",
        data=str(data),
        modalities=("image",),
        prompt=PROMPT,
        kind=Choose("answers"),
        scorer="choice-sum-v1",
    )
    return task.changed(**changes)


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return tiny_model(tiny_llm)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_manifest(tmp_path_factory.mktemp("data"))


def run_one(model: OmniModel, task: Task, **options: object) -> TaskResult:
    return evaluate(model, [task], progress=False, **options).tasks[0]  # pyright: ignore[reportArgumentType]


def own_scores(model: OmniModel, data: Path, index: int) -> np.ndarray:
    media = Media("image", path=str(data.parent / f"image-{index}.npy"))
    return model.score([Message("user", (media, Text(PROMPT)))], sorted(ANSWERS)).double().numpy()


def test_accuracy_and_chance_are_those_of_the_models_own_scores(model: OmniModel, data: Path) -> None:
    result = run_one(model, choice(data))
    candidates = sorted(ANSWERS)
    best = [candidates[int(own_scores(model, data, index).argmax())] for index in range(6)]
    assert result.primary is not None
    assert result.primary.value == np.mean([found == right for found, right in zip(best, ANSWERS, strict=True)])
    assert [item.answer for item in result.items] == best
    assert result.chance == pytest.approx(1 / 6)


def test_pmi_is_the_score_minus_the_score_without_media(model: OmniModel, data: Path) -> None:
    result = run_one(model, choice(data, scorer="choice-pmi-v1"))
    blank = model.score([Message("user", (Text(PROMPT),))], sorted(ANSWERS)).double().numpy()
    gains = own_scores(model, data, 2) - blank
    probabilities = np.exp(gains - gains.max()) / np.exp(gains - gains.max()).sum()
    order = np.argsort(-probabilities)[:3]
    assert [text for text, _ in result.items[2].top] == [sorted(ANSWERS)[index] for index in order]
    assert [share for _, share in result.items[2].top] == pytest.approx(probabilities[order], abs=1e-4)
    # of a blank prompt with itself the gain is 0 for every candidate: exactly chance, so the sum stands in the headline
    assert result.scores["blank"]["accuracy_pmi"].value == pytest.approx(1 / 6)
    assert result.estimate("blank") == result.scores["blank"]["accuracy_sum"]


def test_blank_control_of_a_choice_among_all_is_chance(model: OmniModel, data: Path) -> None:
    """Without media the model picks the same answer every time, which is right once."""
    blank = run_one(model, choice(data)).estimate("blank")
    assert blank is not None
    assert blank.value == pytest.approx(1 / 6)


def test_mean_divides_by_the_tokens_that_count(model: OmniModel, data: Path) -> None:
    result = run_one(model, choice(data, scorer="choice-mean-v1"))
    media = Media("image", path=str(data.parent / "image-0.npy"))
    means = model.score([Message("user", (media, Text(PROMPT)))], sorted(ANSWERS), normalization="mean")
    assert result.items[0].answer == sorted(ANSWERS)[int(means.argmax())]


def test_two_tasks_with_one_prompt_ask_once(model: OmniModel, data: Path) -> None:
    sampled = choice(data, "choice-3", kind=Choose("sampled", num_candidates=3), num_shuffles=2)
    alone = evaluate(model, [choice(data)], progress=False)
    both = evaluate(model, [choice(data), sampled], progress=False)
    # 6 pictures and a blank prompt, each with 6 candidates, and nothing more for the controls or the smaller task
    assert alone.settings["answers_asked"] == both.settings["answers_asked"] == 7 * 6
    assert both.tasks[1].chance == pytest.approx(1 / 3)


def test_batch_size_changes_no_figure(model: OmniModel, data: Path) -> None:
    one, many = (run_one(model, choice(data), batch_size=size) for size in (1, 5))
    assert [item.answer for item in one.items] == [item.answer for item in many.items]
    for left, right in zip(one.items, many.items, strict=True):
        assert [share for _, share in left.top] == pytest.approx([share for _, share in right.top], abs=1e-4)


def test_sampled_candidates_do_not_depend_on_the_limit(model: OmniModel, data: Path) -> None:
    task = choice(data, kind=Choose("sampled", num_candidates=2), scorer="choice-sum-v1")
    first, again = run_one(model, task, seed=3), run_one(model, task, seed=3)
    assert first.items == again.items
    assert {text for item in first.items for text, _ in item.top} <= set(ANSWERS)
    assert all(item.target in {text for text, _ in item.top} for item in first.items)


def test_items_of_a_group_share_options_and_shuffled_media_ask_nothing_more(
    model: OmniModel, data: Path, tmp_path: Path
) -> None:
    task = choice(data, kind=Choose("grouped", num_candidates=3), num_shuffles=2)
    first, again = (evaluate(model, [task], cache_path=tmp_path / "answers.sqlite", progress=False) for _ in range(2))
    # 6 pictures with the 3 options of their group, and the 6 options of both groups without media
    assert first.settings["answers_asked"] == 6 * 3 + 6
    assert (again.settings["answers_asked"], again.tasks) == (0, first.tasks)
    result, plan = first.tasks[0], plan_task(task, limit=None, seed=0)
    assert result.chance == pytest.approx(1 / 3)
    assert result.settings["shuffled"] == "derangement-within-v1, mean of 2"
    found = np.array([own_scores(model, data, index) for index in range(6)])  # [item, answer], answers sorted
    columns = [[sorted(ANSWERS).index(option) for option in item.options] for item in plan.items]
    right = [found[index, columns[index]].argmax() == item.right for index, item in enumerate(plan.items)]
    assert [item.right for item in result.items] == right
    shown = {prefixes[0].key: index for index, prefixes in enumerate(plan.conditions["own"])}
    shuffled = []
    for index, prefixes in enumerate(plan.conditions["shuffled"]):
        others = [shown[prefix.key] for prefix in prefixes]
        assert all(other != index and columns[other] == columns[index] for other in others)
        shuffled += [found[other, columns[index]].argmax() == plan.items[index].right for other in others]
    estimate = result.estimate("shuffled")
    assert estimate is not None
    assert estimate.value == pytest.approx(np.mean(shuffled))


def test_groups_of_other_items_are_not_compared(model: OmniModel, data: Path) -> None:
    task = choice(data, kind=Choose("grouped", num_candidates=2))
    results = [run_one(model, task, limit=limit) for limit in (None, 6, 5)]
    assert len(pair(["a", "b"], results[:2]).items) == 6
    with pytest.raises(ValueError, match="a and b were asked differently: groups is '3, "):
        pair(["a", "b"], results[1:])


def test_second_run_asks_nothing_and_gives_the_same(model: OmniModel, data: Path, tmp_path: Path) -> None:
    tasks = [choice(data), choice(data, "text", kind=Generate({"max_new_tokens": 4}), scorer="caption-cider-d-v2")]
    first, second = (evaluate(model, tasks, cache_path=tmp_path / "answers.sqlite", progress=False) for _ in range(2))
    assert first.settings["answers_asked"] > 0
    assert second.settings["answers_asked"] == 0
    assert second.tasks == first.tasks


def test_another_model_asks_anew(tiny_llm: Path, model: OmniModel, data: Path, tmp_path: Path) -> None:
    evaluate(model, [choice(data)], cache_path=tmp_path / "answers.sqlite", progress=False)
    other = evaluate(
        tiny_model(tiny_llm, seed=9), [choice(data)], cache_path=tmp_path / "answers.sqlite", progress=False
    )
    assert other.settings["answers_from_cache"] == 0


def test_bad_items_are_named_and_the_others_survive(model: OmniModel, tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "data", bad=3)
    np.save(path.parent / "image-1.npy", np.zeros((4, 7), np.float32))  # a recording of the wrong width
    with path.open("a") as file:
        file.write("this is no JSON\n")
    result = run_one(model, choice(path))
    assert result.num_items == 4
    assert {bad["id"] for bad in result.bad} >= {"item-3", "item-1"}
    assert len(result.bad) == 3
    assert result.bad_share == pytest.approx(3 / 7)
    assert "[T, 3]" in next(bad["reason"] for bad in result.bad if bad["id"] == "item-1")


def test_missing_modality_and_missing_data_are_not_computed_with_the_reason(model: OmniModel, data: Path) -> None:
    results = evaluate(
        model,
        [choice(data, "video", modalities=("video",)), choice(data.parent / "none.jsonl", "lost"), choice(data)],
        progress=False,
    ).tasks
    assert [task.status for task in results] == ["not computed", "not computed", "computed"]
    assert "needs video" in results[0].reason
    assert "image, sound" in results[0].reason
    assert "none.jsonl" in results[1].reason


def test_match_counts_the_wins_over_mismatched_media(model: OmniModel, data: Path) -> None:
    task = choice(
        data, "match", modalities=("image", "sound"), kind=Match("sound", num_mismatches=50), scorer="match-v1"
    )
    result = run_one(model, task)

    def score(image: int, sound: int, text: str) -> float:
        media = (
            Media("image", path=str(data.parent / f"image-{image}.npy")),
            Media("sound", path=str(data.parent / f"sound-{sound}.npy")),
        )
        return float(model.score([Message("user", (*media, Text(PROMPT)))], [text])[0])

    # fifty derangements of six items meet all five partners of each
    wins = [np.mean([score(i, i, ANSWERS[i]) > score(i, j, ANSWERS[i]) for j in range(6) if j != i]) for i in range(6)]
    assert result.chance == 0.5
    assert [item.right for item in result.items] == pytest.approx(wins)
    assert result.primary is not None
    assert result.primary.value == pytest.approx(np.mean(wins))


def test_only_conditions_show_a_subset_of_the_media(model: OmniModel, data: Path) -> None:
    task = choice(data, modalities=("image", "sound"), only=(("image",), ("sound",)))
    result = run_one(model, task)
    alone = run_one(model, choice(data)).scores["own"]["accuracy_sum"]
    assert result.scores["only-image"]["accuracy_sum"] == alone
    assert "only-sound" in result.scores


def test_probe_finds_labels_that_the_features_hold(model: OmniModel, tmp_path: Path) -> None:
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for index in range(60):
        values = recording(index) * 0.1 + (1.0 if index % 2 else -1.0)
        np.save(tmp_path / f"{index}.npy", values.astype(np.float32))
        content = [{"type": "image", "path": f"{index}.npy"}]
        messages = [{"role": "user", "content": content}, {"role": "assistant", "content": f"Number {index}."}]
        row = {"id": str(index), "messages": messages, "kind": ["soft", "loud"][index % 2]}
        lines["train" if index < 40 else "test"].append(json.dumps(row))
    for split, rows in lines.items():
        (tmp_path / f"{split}.jsonl").write_text("\n".join(rows))
    labels = Choose("labels", labels={"soft": "A soft one.", "loud": "A loud one."})
    task = choice(tmp_path / "test.jsonl", kind=labels, target="meta:kind", probe=Probe(str(tmp_path / "train.jsonl")))
    result = run_one(model, task)
    assert result.probe is not None
    assert result.probe.value == 1.0
    assert result.chance == 0.5
    # the label stands in the item as the candidate text that was scored
    assert {item.target for item in result.items} == {"A soft one.", "A loud one."}


def test_results_survive_json(model: OmniModel, data: Path, tmp_path: Path) -> None:
    run = evaluate(model, [choice(data)], suite="tiny", progress=False)
    assert "Task(probe=Probe(TRAINING_DATA))" in run.tasks[0].not_computed["probe"]
    save_results(run, tmp_path / "results.json")
    assert load_results(tmp_path) == run


def count_answers(cache: Path) -> int:
    if not cache.exists():
        return 0
    try:
        with contextlib.closing(sqlite3.connect(cache)) as connection:
            return connection.execute("SELECT COUNT(*) FROM answers").fetchone()[0]
    except sqlite3.OperationalError:  # the table is not there yet
        return 0


def wait_for_answers(process: subprocess.Popen[bytes], cache: Path, number: int) -> None:
    deadline = time.monotonic() + 120
    while count_answers(cache) < number:
        assert process.poll() is None, "the run ended by itself"
        assert time.monotonic() < deadline, "the run gave no answers in two minutes"
        time.sleep(0.05)


def test_killed_run_goes_on_without_asking_twice(tiny_llm: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle; what was answered before is not asked again."""
    data = write_manifest(tmp_path / "data", number=60)
    cache = tmp_path / "answers.sqlite"
    program = (
        "import sys, time; from pathlib import Path\n"
        "from tests.tiny import tiny_model\n"
        "from eval.run.runner import evaluate\n"
        "from eval.task import Choose, Task\n"
        "import omni.model\n"
        "score = omni.model.OmniModel.score_batch\n"
        "def slow(self, *arguments):\n"
        "    time.sleep(0.2)\n"
        "    return score(self, *arguments)\n"
        "omni.model.OmniModel.score_batch = slow\n"
        "task = Task('choice', 1, '', sys.argv[2], ('image',), 'What is this?', Choose('answers'), 'choice-sum-v1')\n"
        "evaluate(tiny_model(Path(sys.argv[1])), [task], cache_path=Path(sys.argv[3]), batch_size=2, progress=False)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tiny_llm), str(data), str(cache)], cwd=REPOSITORY)
    wait_for_answers(process, cache, 24)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = count_answers(cache)
    assert 24 <= before < 61 * 6
    run = evaluate(tiny_model(tiny_llm), [choice(data)], cache_path=cache, progress=False)
    assert run.settings["answers_from_cache"] == before
    assert run.settings["answers_asked"] == 61 * 6 - before
    assert run.tasks[0].num_items == 60
