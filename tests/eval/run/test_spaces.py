"""Tasks on a joint space: likelihood is similarity, galleries are ranked, and what a space cannot do is said."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

from eval.__main__ import main
from eval.kinds import Retrieve
from eval.metrics.classification import mean_average_precision
from eval.run.results import TaskResult
from eval.run.runner import evaluate
from eval.run.space import SpaceRespondent
from eval.task import Choose, Generate, Kind, Match, Task
from omni.joint_space import JointSpace, imagebind_space
from omni.joint_space.space import build_space
from omni.media.item import Media
from tests.omni.encoders import test_imagebind
from tests.tiny import recording, tiny_model
from tests.tiny_space import space_config, tiny_space

TEXTS = ["a frog", "a dog", "a drum", "a bell", "a cat", "a frog"]


@pytest.fixture
def data(tmp_path: Path) -> str:
    rows = []
    for number, text in enumerate(TEXTS):
        for kind, seed in (("image", number), ("sound", number + 50)):
            np.save(tmp_path / f"{kind}{number}.npy", recording(seed))
        media = [{"type": kind, "path": f"{kind}{number}.npy"} for kind in ("image", "sound")]
        messages = [{"role": "user", "content": media}, {"role": "assistant", "content": text}]
        own = {"captions": [text, f"{text} indeed"], "tags": [text, "thing"] if number % 2 else [text]}
        rows.append(json.dumps({"id": str(number), "messages": messages, **own}))
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    return str(tmp_path / "rows.jsonl")


def task(data: str, kind: Kind, scorer: str, modalities: Sequence[str] = ("image",), **values: Any) -> Task:
    return Task("mine", 1, "Mine.", data, tuple(modalities), "What?", kind, scorer, **values)


def run(one: Task, space: JointSpace | None = None, **options: Any) -> TaskResult:
    return evaluate(SpaceRespondent(space or tiny_space()), [one], progress=False, **options).tasks[0]


def media(modality: str) -> list[Media]:
    return [Media(modality, data=recording(number + 50 * (modality == "sound"))) for number in range(len(TEXTS))]


def value(result: TaskResult, metric: str, condition: str = "own") -> float:
    assert result.status == "computed", result.reason
    return result.scores[condition][metric].value


# --- zero-shot ---


@pytest.mark.parametrize("interaction", ["pooled", "late"])
@pytest.mark.parametrize("templates", [(), ("a photo of {}", "it is {} there")])
def test_classes_are_chosen_as_the_space_classifies(data: str, interaction: str, templates: tuple[str, ...]) -> None:
    space = tiny_space()
    space.interaction = interaction  # type: ignore[assignment]
    result = run(task(data, Choose("labels", templates=templates), "classification-sum-v1"), space)
    labels = sorted({*TEXTS})
    probabilities = space.classify({"image": media("image")}, labels, templates or None)["image"]
    for item, row in zip(result.items, probabilities, strict=True):
        best = int(row.argmax())
        assert item.top[0] == (labels[best], pytest.approx(float(row[best]), abs=1e-4))
    right = [labels[int(row.argmax())] == text for row, text in zip(probabilities, TEXTS, strict=True)]
    assert value(result, "accuracy_sum") == pytest.approx(np.mean(right))
    assert value(result, "accuracy_mean") == value(result, "accuracy_bytes") == value(result, "accuracy_sum")
    assert result.chance == pytest.approx(1 / 5)
    assert ("templates" in result.settings) == bool(templates)


def test_the_result_says_that_it_is_a_space_and_what_it_does_not_read(data: str) -> None:
    done = evaluate(SpaceRespondent(tiny_space()), [task(data, Choose("answers"), "choice-sum-v1")], progress=False)
    assert done.model["kind"] == "joint space"
    assert done.model["modalities"]["image"] == "SensorEncoder + LinearHead"
    result = done.tasks[0]
    assert result.settings["prompt"] == "not read by a joint space"
    assert "without media there is nothing to compare" in result.not_computed["blank"]
    assert "blank" not in result.scores
    assert "shuffled" in result.scores


def test_mutual_information_is_measured_against_reference_media(data: str) -> None:
    space = tiny_space()
    result = run(task(data, Choose("answers"), "choice-pmi-v1", reference=data, num_references=3), space)
    plain = run(task(data, Choose("answers"), "choice-pmi-v1"), space)
    assert value(plain, "accuracy_pmi") == value(plain, "accuracy_sum")
    assert result.items[0].top != plain.items[0].top


def test_sampled_and_own_candidates_and_mismatches_run_on_a_space(data: str) -> None:
    for candidates in ("sampled", "grouped"):
        result = run(task(data, Choose(candidates, num_candidates=3), "choice-sum-v1"))
        assert result.chance == pytest.approx(1 / 3)
        assert "shuffled" in result.scores
    own = run(task(data, Choose("meta:captions"), "choice-sum-v1"))
    assert own.chance == pytest.approx(1 / 2)
    match = run(task(data, Match("sound"), "match-v1", ("image", "sound")))
    assert 0 <= value(match, "preference") <= 1
    assert "shuffled" in match.scores


def test_picture_and_sound_of_an_item_are_the_sum_of_their_embeddings(data: str) -> None:
    space = tiny_space()
    shown = task(data, Choose("answers"), "choice-sum-v1", ("image", "sound"), only=(("image",),))
    result = run(shown, space)
    labels = sorted({*TEXTS})
    texts = space.embed({"text": labels})["text"]
    both = [space.compose([(one, 1.0), (two, 1.0)]) for one, two in zip(media("image"), media("sound"), strict=True)]
    expected = [labels[int((texts @ row).argmax())] for row in both]
    assert [item.answer for item in result.items] == expected
    alone = run(task(data, Choose("answers"), "choice-sum-v1"), space)
    assert value(result, "accuracy_sum", "only-image") == value(alone, "accuracy_sum")


def test_several_right_labels_are_ranked_by_label(data: str, tiny_llm: Path) -> None:
    space = tiny_space()
    result = run(task(data, Choose("labels", several=True), "multi-label-similarity-v1", target="meta:tags"), space)
    labels = sorted({*TEXTS, "thing"})
    found = space.embed({"image": media("image"), "text": labels})
    right = np.array(
        [[label == text or (label == "thing" and n % 2 == 1) for label in labels] for n, text in enumerate(TEXTS)]
    )
    expected = mean_average_precision((found["image"] @ found["text"].T).numpy(), right)
    assert value(result, "mean_average_precision") == pytest.approx(expected)
    asked = task(data, Choose("labels", several=True), "multi-label-similarity-v1", target="meta:tags")
    answered = evaluate(tiny_model(tiny_llm), [asked], progress=False).tasks[0]
    assert "blank" in answered.scores
    assert value(answered, "mean_average_precision") > 0


# --- retrieval ---


def ranks(similarity: torch.Tensor, right: Sequence[Sequence[int]]) -> np.ndarray:
    order = similarity.argsort(1, descending=True).tolist()
    return np.array([1 + min(row.index(place) for place in own) for row, own in zip(order, right, strict=True)])


@pytest.mark.parametrize("interaction", ["pooled", "late"])
def test_ranks_of_each_direction_are_those_of_the_similarity(data: str, interaction: str) -> None:
    space = tiny_space()
    space.interaction = interaction  # type: ignore[assignment]
    own = [[0, 5] if number in (0, 5) else [number] for number in range(6)]  # two rows say `a frog`
    result = run(task(data, Retrieve("sound", "image"), "retrieval-v1", ("image", "sound")), space)
    found = ranks(space.similarity({"sound": media("sound")}, {"image": media("image")}), own)
    assert value(result, "recall_at_1") == pytest.approx(np.mean(found <= 1))
    assert value(result, "recall_at_5") == pytest.approx(np.mean(found <= 5))
    assert value(result, "median_rank") == pytest.approx(np.median(found))
    assert value(result, "reciprocal_rank") == pytest.approx(np.mean(1 / found))
    assert [item.note for item in result.items] == [f"rank {rank}" for rank in found]
    assert result.chance == pytest.approx(np.mean([len(one) / 6 for one in own]))

    captions = run(task(data, Retrieve("image", "text"), "retrieval-v1", target="meta:captions"), space)
    texts = [one for text in dict.fromkeys(TEXTS) for one in (text, f"{text} indeed")]
    expected = ranks(
        space.similarity({"image": media("image")}, texts),
        [[texts.index(text), texts.index(f"{text} indeed")] for text in TEXTS],
    )
    assert value(captions, "reciprocal_rank") == pytest.approx(np.mean(1 / expected))
    assert captions.settings["gallery"] == "text, 10 entries"


def test_with_right_by_row_nothing_is_merged(data: str) -> None:
    space = tiny_space()
    result = run(task(data, Retrieve("text", "image", right="row"), "retrieval-v1", target="meta:captions"), space)
    texts = [one for text in TEXTS for one in (text, f"{text} indeed")]
    found = ranks(space.similarity(texts, {"image": media("image")}), [[number // 2] for number in range(12)])
    assert (result.num_items, result.chance) == (12, pytest.approx(1 / 6))
    assert value(result, "reciprocal_rank") == pytest.approx(np.mean(1 / found))
    merged = run(task(data, Retrieve("text", "image"), "retrieval-v1", target="meta:captions"), space)
    assert merged.num_items == 10
    assert merged.items[0].id == "0#1"


def test_arithmetic_has_each_part_alone_as_its_control(data: str) -> None:
    space = tiny_space()
    weights = (1.0, 0.25)
    kind = Retrieve("image+sound", "text", weights=weights)
    result = run(task(data, kind, "retrieval-v1", ("image", "sound")), space)
    labels = [*dict.fromkeys(TEXTS)]
    own = [[labels.index(text)] for text in TEXTS]
    texts = space.embed({"text": labels})["text"]
    sums = [
        space.compose([*zip(pair, weights, strict=True)]) for pair in zip(media("image"), media("sound"), strict=True)
    ]
    assert value(result, "reciprocal_rank") == pytest.approx(np.mean(1 / ranks(torch.stack(sums) @ texts.T, own)))
    for name in ("image", "sound"):
        alone = run(task(data, Retrieve(name, "text"), "retrieval-v1", (name,)), space)
        assert value(result, "reciprocal_rank", f"only-{name}") == pytest.approx(value(alone, "reciprocal_rank"))
    assert {"own", "only-image", "only-sound", "shuffled"} == {*result.scores}


def test_entries_that_cannot_be_read_are_named_and_their_queries_left_out(data: str, tmp_path: Path) -> None:
    (tmp_path / "image3.npy").write_bytes(b"no array")
    result = run(task(data, Retrieve("sound", "image"), "retrieval-v1", ("image", "sound")))
    assert "1 of 6 entries could not be embedded (" in result.not_computed["gallery"]
    assert "image3.npy" in result.not_computed["gallery"]
    assert result.scores["own"]["recall_at_1"].num_items == 5
    (tmp_path / "sound1.npy").write_bytes(b"no array")
    again = run(task(data, Retrieve("sound", "image"), "retrieval-v1", ("image", "sound")))
    assert [one["id"] for one in again.bad] == ["1"]


# --- what is refused, kept and written ---


def test_what_a_space_cannot_do_is_said(data: str, tiny_llm: Path) -> None:
    written = run(task(data, Generate(), "exact-match-v2"))
    assert (written.status, "a joint space writes nothing" in written.reason) == ("not computed", True)
    shots = run(task(data, Choose("answers"), "choice-sum-v1", shots=1, shots_from=data))
    assert "reads no solved examples" in shots.reason
    config = space_config()
    wordless = build_space(replace(config, modalities={"image": config.modalities["image"]}))
    assert "no modality 'text'" in run(task(data, Choose("answers"), "choice-sum-v1"), wordless).reason
    assert "this joint space has audio" in run(task(data, Choose("answers"), "choice-sum-v1", ("depth",))).reason
    retrieval = task(data, Retrieve("image", "text"), "retrieval-v1")
    refused = evaluate(tiny_model(tiny_llm), [retrieval], progress=False).tasks[0]
    assert "this model has no joint space" in refused.reason


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Retrieve("image", "depth"), "the gallery is 'text', one of"),
        (Retrieve("image+image", "text"), "each once"),
        (Retrieve("text", "text"), "finds itself"),
        (Retrieve("image", "text", right="file"), "right is 'text' or 'row'"),  # type: ignore[arg-type]
        (Retrieve("image", "text", weights=(1.0, 2.0)), "2 weights do not go with the query 'image'"),
        (Choose("labels", templates=("a photo",)), "templates are a list of texts with {}"),
        (Choose("labels", templates="a {}"), "templates are a list"),  # type: ignore[arg-type]
    ],
)
def test_a_kind_that_does_not_fit_is_an_error(kind: Kind, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        task("rows.jsonl", kind, "retrieval-v1", ("image", "sound"))


def test_nothing_is_embedded_twice_and_a_changed_space_embeds_anew(data: str, tmp_path: Path) -> None:
    one = task(data, Retrieve("image", "text"), "retrieval-v1")

    def counts(space: JointSpace) -> tuple[int, int]:
        done = evaluate(SpaceRespondent(space), [one], progress=False, cache_path=tmp_path / "answers.sqlite")
        return done.settings["answers_asked"], done.settings["answers_from_cache"]

    assert counts(tiny_space()) == (11, 0)
    assert counts(tiny_space()) == (0, 11)
    assert counts(tiny_space(seed=1)) == (11, 0)


def test_the_command_takes_the_folder_of_a_space(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_space().save(tmp_path / "space")
    (tmp_path / "my_tasks.py").write_text(
        "from eval.kinds import Retrieve\nfrom eval.task import Task\n"
        f"TASK = Task('find', 1, 'Find.', {data!r}, ('image',), '', Retrieve('image', 'text'), 'retrieval-v1')\n"
    )
    command = [f"{tmp_path / 'my_tasks.py'}:TASK", "--model", str(tmp_path / "space")]
    assert main(command) == 0
    assert "find " in capsys.readouterr().out
    folder = next((tmp_path / "space" / "evaluation").iterdir())
    assert json.loads((folder / "results.json").read_text())["model"]["kind"] == "joint space"
    assert "rank" in (folder / "report.html").read_text()
    assert "| find |" in (tmp_path / "space" / "README.md").read_text()
    JointSpace.load(tmp_path / "space").save(tmp_path / "space")
    assert main(["image-caption", "--model", str(tmp_path / "space"), "--data", data]) == 2
    assert "writes nothing" in capsys.readouterr().out


def test_published_products_are_the_likelihoods_of_imagebind(tmp_path: Path) -> None:
    save_file(test_imagebind.GOLDEN.weights, tmp_path / "imagebind.safetensors")
    vocabulary = test_imagebind.write_vocabulary(tmp_path)
    weights, sizes = tmp_path / "imagebind.safetensors", test_imagebind.SIZES
    space = imagebind_space(weights, vocabulary, modalities=("sound", "text"), sizes=sizes)
    generator = np.random.default_rng(0)
    labels, rows = ["a dog barks", "car", "cat"], []
    for number, label in enumerate(labels):
        soundfile.write(tmp_path / f"{number}.wav", 0.1 * generator.normal(size=16_000 * (number + 1)), 16_000)
        content = [{"type": "sound", "path": f"{number}.wav"}]
        rows.append({"id": str(number), "label": label, "messages": [{"role": "user", "content": content}]})
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    kind = Choose("labels", templates=("the sound of {}",))
    one = task(str(tmp_path / "rows.jsonl"), kind, "choice-sum-v1", ("sound",), target="meta:label")
    expected = space.classify({"sound": [str(tmp_path / f"{n}.wav") for n in range(3)]}, labels, ["the sound of {}"])
    result = run(one, space)
    for item, row in zip(result.items, expected["sound"], strict=True):
        assert dict(item.top) == pytest.approx(dict(zip(labels, row.tolist(), strict=True)), abs=1e-4)
