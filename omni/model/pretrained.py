"""Folders of models by the names that transformers gives these steps, and on the Hugging Face hub."""

import tempfile
from abc import abstractmethod
from pathlib import Path
from typing import Any, Self

from omni.runtime.hub import check_on_hub, is_hub_id
from omni.runtime.model_folder import CONFIG_FILE


class Pretrained:
    """Adds `save_pretrained`, `from_pretrained` and `push_to_hub` to a class that has `save` and `load`.

    A model on the hub is the folder that `save` writes: what was trained, and the names of the rest.
    """

    @abstractmethod
    def save(self, directory: str | Path) -> None:
        """Write the model into a folder."""

    @classmethod
    @abstractmethod
    def load(cls, directory: str | Path) -> Self:
        """Load what `save` wrote."""

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write the model into a folder, as `save` does."""
        self.save(save_directory)

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        *,
        revision: str | None = None,
        token: str | None = None,
        **options: Any,
    ) -> Self:
        """Load a model from a folder, or from the hub.

        Args:
            name_or_folder: a folder that `save` wrote, or an id of the hub such as `OWNER/NAME`.
            revision: branch, tag or commit on the hub.
            token: of a private model; default: that of `hf auth login`.
            options: arguments of `load`, such as `device`.

        Raises:
            FileNotFoundError: there is no such folder, or the hub has no such model or cannot be reached.
            ValueError: as `load`.
        """
        name = str(name_or_folder)
        if not is_hub_id(name):
            return cls.load(name_or_folder, **options)
        check_on_hub(name, "from_pretrained", revision, CONFIG_FILE)
        import huggingface_hub

        return cls.load(huggingface_hub.snapshot_download(name, revision=revision, token=token), **options)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        revision: str | None = None,
        commit_message: str = "Upload a model of omni",
    ) -> str:
        """Upload the model to the hub, into a repository that is made if there is none, and return its address.

        Args:
            repo_id: where, such as `OWNER/NAME`.
            private: whether a new repository is private; default: as the owner's account says.
            token: with the right to write; default: that of `hf auth login`.
            revision: branch; default: main.
            commit_message: what the commit says.

        Raises:
            ConnectionError: the hub cannot be reached.
            ValueError: `repo_id` is none, or the hub refuses, with its reason.
        """
        import huggingface_hub
        from huggingface_hub import constants
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

        host = constants.ENDPOINT.partition("://")[2]
        api = huggingface_hub.HfApi(token=token)
        with tempfile.TemporaryDirectory() as folder:
            self.save(Path(folder) / "model")  # first, since a model that cannot be saved needs no repository
            try:
                api.create_repo(repo_id, private=private, exist_ok=True)
                done = api.upload_folder(
                    repo_id=repo_id,
                    folder_path=Path(folder) / "model",
                    revision=revision,
                    commit_message=commit_message,
                )
            except HFValidationError as error:
                raise ValueError(f"push_to_hub: {repo_id!r} is no id of the hub: {error}") from error
            except LocalTokenNotFoundError as error:
                raise ValueError("push_to_hub: log in with `hf auth login`, or give a token") from error
            except HfHubHTTPError as error:
                reason = str(error).strip().splitlines()[0]
                raise ValueError(
                    f"push_to_hub: {host} refuses {repo_id!r} ({reason}); log in with `hf auth login` as someone who "
                    "may write there, or give a token"
                ) from error
            except Exception as error:  # no network: the types differ by version of huggingface_hub
                raise ConnectionError(
                    f"push_to_hub: {host} cannot be reached; check the network, or `save` the model into a folder and "
                    "upload that later with `hf upload`"
                ) from error
        return str(done.commit_url)
