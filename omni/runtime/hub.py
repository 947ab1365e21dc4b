"""Say at once whether a model of transformers can be had: in a local folder, in the cache of the hub, or on the hub.

Without this check a wrong name or a missing network shows after a minute of retries, or in errors of other libraries.
"""

import re
from pathlib import Path

_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_CONFIG = "config.json"
_TIMEOUT = 10  # seconds for an answer of the hub; it is asked once


def check_model(name: str, key: str, revision: str | None = None, *, file: str = _CONFIG) -> None:
    """Check that `name`, a local folder or an id of the hub, is a model of transformers.

    If the hub cannot be reached and its cache has the model, the hub is not asked again in this process.

    Args:
        name: as transformers takes it.
        key: key of the recipe that names it, such as `model.llm.name`, with which the error begins.
        revision: branch, tag or commit on the hub.
        file: the file that tells it; that of a tokenizer alone is `tokenizer_config.json`.

    Raises:
        FileNotFoundError: it is none, in one sentence with the reason and the way out.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / file).is_file():
            ours = "; it is a model of omni, which init_from takes" if (path / "config.yaml").is_file() else ""
            raise FileNotFoundError(
                f"{key}: the folder {name} holds no model of transformers, for it has no {file}{ours}"
            )
        return
    if path.exists():
        raise FileNotFoundError(f"{key}: {name} is a file; name a folder with a model of transformers, or a hub's id")
    if not is_hub_id(name):
        raise FileNotFoundError(f"{key}: there is no folder {name} (seen from {Path.cwd()}), nor can it be a hub's id")
    check_on_hub(name, key, revision, file)


def is_hub_id(name: str) -> bool:
    """Return whether `name` is written as an id of the hub, and is no path of this machine."""
    path = Path(name)
    is_below_a_folder = path.parent != Path() and path.parent.is_dir()
    return _HUB_ID.fullmatch(name) is not None and not path.exists() and not is_below_a_folder


def check_on_hub(name: str, key: str, revision: str | None, file: str) -> None:
    """Check that the hub, or its cache where the hub cannot be reached, has a model; see `check_model`.

    Raises:
        FileNotFoundError: it has not.
    """
    # Imported late: it takes half a second, which local folders need not wait for.
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        huggingface_hub.utils.validate_repo_id(name)
    except HFValidationError as error:
        raise FileNotFoundError(f"{key}: {name!r} is no folder here, nor can it be a hub's id: {error}") from error
    is_cached = isinstance(huggingface_hub.try_to_load_from_cache(name, file, revision=revision), str)
    host = constants.ENDPOINT.partition("://")[2]
    if constants.HF_HUB_OFFLINE:
        if not is_cached:
            raise FileNotFoundError(
                f"{key}: {name!r} is no folder here, and the cache of the hub does not have it; HF_HUB_OFFLINE is set, "
                "so unset it to download the model, or name a local folder"
            )
        return
    try:
        huggingface_hub.HfApi().model_info(name, revision=revision, timeout=_TIMEOUT)
    except RevisionNotFoundError as error:
        raise FileNotFoundError(f"{key}: {name!r} on {host} has no revision {revision!r}") from error
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"{key}: {name!r} is neither a folder here nor a model on {host}; check the spelling, or log in with "
            "`hf auth login` if it is private or gated"
        ) from error
    except HfHubHTTPError:
        return  # a mirror that does not answer this question; transformers asks for the files
    except Exception as error:  # no network: the types differ by version of huggingface_hub
        if not is_cached:
            raise FileNotFoundError(
                f"{key}: {name!r} is no folder here, and {host} cannot be reached to download it; check the network, "
                "or name a local folder"
            ) from error
        constants.HF_HUB_OFFLINE = True  # or each file is asked for six times
