"""Trained models in lmms-eval (https://github.com/EvolvingLMMs-Lab/lmms-eval), as the model `omni`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmms_eval.models.registry_v2 import ModelManifest  # pyright: ignore[reportMissingImports]  # not of ours


def manifest() -> "ModelManifest":
    """Return what lmms-eval needs to find the model; the entry point `lmms_eval.models` names this function."""
    from lmms_eval.models.registry_v2 import ModelManifest  # pyright: ignore[reportMissingImports]

    return ModelManifest(
        model_id="omni",
        simple_class_path="eval.plugins.lmms_eval.simple.OmniSimple",
        chat_class_path="eval.plugins.lmms_eval.chat.OmniChat",
    )
