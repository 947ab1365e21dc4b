"""What the `config.yaml` of a joint space's folder says, read once."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from omni.config import JointSpaceConfig, from_dict, to_dict
from omni.model.card import ModelCard
from omni.model.folder import CONFIG_FILE, FORMAT_VERSION, read_config_values, write_config_values
from omni.model.trainable import Part, part_of
from omni.runtime.files import recover_directory


@dataclass(frozen=True)
class SpaceFolder:
    """A joint space's folder, as its `config.yaml` describes it."""

    path: Path
    # how to build the space
    config: JointSpaceConfig
    # what is known of its training
    card: ModelCard
    # plain names of the weights of pretrained encoders that were trained, and are in the folder
    unfrozen: frozenset[str]
    # modalities that are in the folder, but are not wanted
    left_out: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> "SpaceFolder":
        """Read the folder at `path`.

        Raises:
            FileNotFoundError: there is no space.
            ValueError: its `config.yaml` is damaged, of another version of the format, or describes no joint space.
        """
        values = read_config_values(path, "joint space")
        if "joint_space" not in values:
            raise ValueError(
                f"{path / CONFIG_FILE} describes no joint space; a model with an LLM is loaded by OmniModel.load"
            )
        return cls(
            path,
            from_dict(JointSpaceConfig, values["joint_space"], "joint_space"),
            from_dict(ModelCard, values.get("card", {}), "card"),
            frozenset(values.get("unfrozen") or []),
        )

    def with_only(self, modalities: Collection[str]) -> "SpaceFolder":
        """Return the folder of a space with these modalities only.

        Raises:
            ValueError: there is none among them, or one that the space does not have.
        """
        there = self.config.modalities
        unknown = sorted(set(modalities) - set(there))
        if unknown or not modalities:
            raise ValueError(f"{self.path} has no modality {unknown}; it has {sorted(there)}")
        config = replace(self.config, modalities={name: there[name] for name in modalities})
        left_out = tuple(name for name in there if name not in modalities)
        unfrozen = frozenset(name for name in self.unfrozen if part_of(name).name not in left_out)
        return replace(self, config=config, unfrozen=unfrozen, left_out=left_out)

    @property
    def parts_left_out(self) -> list[Part]:
        """The parts of the space that are not wanted."""
        return [Part("modality", name) for name in self.left_out]

    def write(self) -> None:
        """Write the `config.yaml`."""
        values = {
            "format_version": FORMAT_VERSION,
            "joint_space": to_dict(self.config),
            "unfrozen": sorted(self.unfrozen),
            "card": to_dict(self.card),
        }
        write_config_values(self.path, values)


def is_space(directory: str | Path) -> bool:
    """Return whether a folder holds a joint space, and not a model with an LLM."""
    path = Path(directory)
    recover_directory(path)
    return (path / CONFIG_FILE).is_file() and "joint_space" in read_config_values(path, "folder")
