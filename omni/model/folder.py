"""What the `config.yaml` of a model's folder says, read once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from omni.config import ModelConfig, from_dict, to_dict
from omni.config.yaml_text import load_yaml
from omni.llm.identity import LLMIdentity
from omni.llm.language_model import SHARED_LORA
from omni.model.card import ModelCard
from omni.runtime.model_folder import CONFIG_FILE, check_model_folder

FORMAT_VERSION = 1
LORA_FOLDER = "lora"


@dataclass(frozen=True)
class ModelFolder:
    """A model's folder, as its `config.yaml` describes it."""

    path: Path
    # how to build the model
    config: ModelConfig
    # what is known of its training
    card: ModelCard
    # the LLM that it was trained over
    llm: LLMIdentity
    # its tokenizer and chat template (`PretrainedLM.text_identity`); None = a folder of an earlier version
    llm_text: str | None
    # plain names of the weights of the LLM and of pretrained encoders that were trained, and are in the folder
    unfrozen: frozenset[str]
    # names of its LoRAs
    loras: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> "ModelFolder":
        """Read the folder at `path`.

        Raises:
            FileNotFoundError: there is no model.
            ValueError: its `config.yaml` is damaged, of another version of the format, or describes a joint space.
        """
        values = read_config_values(path, "model folder")
        if "joint_space" in values:
            raise ValueError(
                f"{path / CONFIG_FILE} describes a joint space, which has no LLM: load it with JointSpace.load"
            )
        return cls(
            path,
            from_dict(ModelConfig, values.get("model"), "model"),
            from_dict(ModelCard, values.get("card", {}), "card"),
            LLMIdentity(
                str(values.get("llm_fingerprint")), *(_digits(values, f"llm_{part}") for part in ("weights", "files"))
            ),
            _digits(values, "llm_text"),
            frozenset(values.get("unfrozen") or []),
            _names_of_loras(values.get("loras") or [], path / CONFIG_FILE),
        )

    def write(self) -> None:
        """Write the `config.yaml`."""
        values = {
            "format_version": FORMAT_VERSION,
            "llm_fingerprint": self.llm.embeddings,
            **{f"llm_{name}": value for name, value in self.llm.values().items() if name != "embeddings"},
            **({} if self.llm_text is None else {"llm_text": self.llm_text}),
            "model": to_dict(self.config),
            "loras": [*self.loras],
            "unfrozen": sorted(self.unfrozen),
            "card": to_dict(self.card),
        }
        write_config_values(self.path, values)

    @property
    def lora_path(self) -> Path:
        """Where its LoRAs are, in PEFT's layout."""
        return self.path / LORA_FOLDER

    def path_of_lora(self, name: str) -> Path:
        """Where one of its LoRAs is: PEFT keeps the one that serves everything outside of the others' subfolders."""
        return self.lora_path if name == SHARED_LORA else self.lora_path / name


def _digits(values: dict[str, Any], name: str) -> str | None:
    found = values.get(name)
    return None if found is None else str(found)


def _names_of_loras(values: Any, file: Path) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(name, str) and name.isidentifier() for name in values):
        raise ValueError(f"{file} is damaged: loras is {values!r}, but must be a list of names of modalities")
    return tuple(values)


def read_config_values(path: Path, kind: str) -> dict[str, Any]:
    """Read the `config.yaml` of a folder of ours; `kind` is what errors call the folder.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or of another version of the format.
    """
    check_model_folder(path, kind=kind)
    file = path / CONFIG_FILE
    try:
        values = load_yaml(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    if not isinstance(values, dict) or values.get("format_version") != FORMAT_VERSION:
        found = values.get("format_version") if isinstance(values, dict) else None
        raise ValueError(f"{file}: format_version is {found!r}; this version of omni reads {FORMAT_VERSION}")
    return values


def write_config_values(path: Path, values: dict[str, Any]) -> None:
    """Write the `config.yaml` of a folder of ours."""
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    (path / CONFIG_FILE).write_text(text, encoding="utf-8")
