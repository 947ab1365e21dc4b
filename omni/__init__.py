"""`omni` attaches any modality to any frozen LLM: frozen encoders, small trained adapters, one language model."""

import sys as _sys
from importlib import metadata as _metadata
from importlib.util import find_spec as _find_spec
from pathlib import Path as _Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omni.config import LLMConfig, LoRAConfig, ModalityConfig, ModelConfig
    from omni.joint_space import JointSpace
    from omni.llm.language_model import LanguageModel
    from omni.llm.loading import load_llm
    from omni.model.modality import Modality
    from omni.model.omni_model import OmniModel, build_model
    from omni.samples.messages import Media, Message, Sample, Text

__all__ = [
    "JointSpace",
    "LLMConfig",
    "LanguageModel",
    "LoRAConfig",
    "Media",
    "Message",
    "Modality",
    "ModalityConfig",
    "ModelConfig",
    "OmniModel",
    "Sample",
    "Text",
    "build_model",
    "load_llm",
]

_MODULES = {
    "omni.config": ("LLMConfig", "LoRAConfig", "ModalityConfig", "ModelConfig"),
    "omni.joint_space": ("JointSpace",),
    "omni.llm.language_model": ("LanguageModel",),
    "omni.llm.loading": ("load_llm",),
    "omni.samples.messages": ("Media", "Message", "Sample", "Text"),
    "omni.model.modality": ("Modality",),
    "omni.model": ("OmniModel", "build_model"),
}


def __getattr__(name: str) -> Any:
    """Import on first use: `import omni` alone loads neither torch nor transformers."""
    import importlib

    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'omni' has no attribute {name!r}")


def _check_python() -> None:
    """Say what to do where Python has not what omni stands on, as that of the system has not."""
    missing = next((name for name in ("yaml", "torch", "transformers") if _find_spec(name) is None), None)
    is_old = _sys.version_info < (3, 11)
    if missing is None and not is_old:
        return
    lacks = "is too old for omni, which needs 3.11" if is_old else f"has no package {missing!r}, which omni needs"
    message = (
        f"this Python ({_sys.executable}) {lacks}: activate the environment that `make install` made, by "
        "`source .venv/bin/activate`, or run `make install` first"
    )
    if _sys.argv[:1] == ["-m"]:  # a command, of which `python -m` imports the package first
        raise SystemExit(message)
    raise ImportError(message)


def _check_adapters() -> None:
    """AdapterHub's distribution also installs a top-level package `adapters`; the first on the path wins."""
    spec = _find_spec("adapters")
    ours = spec is not None and spec.origin is not None and (_Path(spec.origin).parent / "qformer.py").is_file()
    if not ours:
        where = spec.origin if spec is not None else "nowhere"
        raise ImportError(
            f"omni needs its own package `adapters`, but Python finds another one ({where}), probably the distribution "
            "`adapters` of AdapterHub: install omni in a virtual environment of its own."
        )


_check_python()
_check_adapters()

try:
    __version__ = _metadata.version("omni")
except _metadata.PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"
