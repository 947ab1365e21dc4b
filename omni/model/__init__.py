"""The model: encoders and adapters in front of a language model."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omni.model.omni_model import OmniModel, build_model

__all__ = ["OmniModel", "build_model"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that lower rooms may use the other modules of this one without the whole model."""
    if name in __all__:
        from omni.model import omni_model

        return getattr(omni_model, name)
    raise AttributeError(f"module 'omni.model' has no attribute {name!r}")
