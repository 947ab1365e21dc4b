"""The encoders in mteb's own code, on its mock tasks: `make test-plugins`."""

from pathlib import Path

import pytest

from eval.plugins.mteb import ModelEncoder, SpaceEncoder
from eval.plugins.mteb.encoder import OmniEncoder
from tests.eval.plugins.tiny_media import media_model, media_space

pytest.importorskip("mteb", reason="mteb has an environment of its own: make test-plugins")
pytestmark = pytest.mark.plugins


def check(encoder: OmniEncoder, modalities: set[str]) -> None:
    """Run all mock tasks of the modalities; none may fail or be skipped for want of a package."""
    from mteb.mocks.mock_run import get_compatible_mock_tasks, mock_run
    from mteb.models.models_protocols import EncoderProtocol
    from mteb.results.task_result import TaskResult

    assert isinstance(encoder, EncoderProtocol)
    assert {*encoder.mteb_model_meta.modalities} == modalities
    tasks = get_compatible_mock_tasks(encoder)
    seen = {modality for task in tasks for modality in task.metadata.modalities}
    assert seen == modalities
    results = mock_run(encoder)
    print(results.to_markdown())
    wrong = {task.metadata.name: results[task.metadata.name] for task in tasks}
    assert not {name: one for name, one in wrong.items() if not isinstance(one, TaskResult)}
    assert results.all_passed


@pytest.mark.parametrize("kinds", [("image",), ("image", "sound", "video")])
def test_a_space_passes_the_mock_tasks_of_its_modalities(kinds: tuple[str, ...]) -> None:
    check(SpaceEncoder(media_space(*kinds), "me/tiny"), {"text", *(kind.replace("sound", "audio") for kind in kinds)})


def test_a_model_passes_the_mock_tasks_of_its_modalities(tiny_llm: Path) -> None:
    model = media_model(tiny_llm, ("image", "sound"))
    check(ModelEncoder(model, "me/tiny"), {"text", "image", "audio"})


def test_folders_are_loaded(tiny_llm: Path, tmp_path: Path) -> None:
    media_space("image").save(tmp_path / "space")
    media_model(tiny_llm, ("image",)).save(tmp_path / "model")
    assert SpaceEncoder.load(tmp_path / "space", "me/space").mteb_model_meta.embed_dim == 8
    assert ModelEncoder.load(tmp_path / "model", "me/model").mteb_model_meta.embed_dim == 32
