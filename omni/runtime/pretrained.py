"""Open what transformers saved, a folder or an id of a hub, as data: no code that comes with it is run.

transformers would run it where `trust_remote_code` is set, and asks on the terminal where nothing is said. The folder
may also name an attention kernel of a hub, which is a compiled library.
"""

import pickle
from collections.abc import Iterator
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer


def load_pretrained(kind: Any, name: str, **options: Any) -> Any:
    """Return `kind.from_pretrained(name, **options)`, without code that comes with it.

    Args:
        kind: a class of transformers, such as `AutoModel`.
        name: folder, or id of a hub.

    Raises:
        ValueError: it cannot be used without such code, is damaged, or what transformers says.
        OSError: it is not there.
    """
    try:
        return kind.from_pretrained(name, trust_remote_code=False, **options)
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise ValueError(
            f"{name} brings code of its own, which omni never runs: only what transformers itself can build is loaded. "
            "A class of your own can load it in another way (docs/new_modality.md)"
        ) from error
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{name}: its weights are a pickle with more than tensors in it, and opening that could run code, so it is "
            "not opened. Take weights in safetensors, or convert them where you trust whoever made them"
        ) from error
    except torch.OutOfMemoryError:
        raise
    except (ImportError, AttributeError, KeyError, TypeError, RuntimeError) as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
        raise ValueError(f"{name} cannot be loaded by transformers ({type(error).__name__}: {reason})") from error


def load_config(name: str, **options: Any) -> Any:
    """Return the config of a model.

    Raises:
        ValueError: as `load_pretrained`, or it wants a kernel of a hub.
        OSError: it is not there.
    """
    config = load_pretrained(AutoConfig, name, **options)
    kernels = sorted({kernel for kernel in _attention_of(config) if "/" in kernel})
    if kernels:
        raise ValueError(
            f"{name}: its config.json asks for the attention kernel {kernels[0]}, a compiled library of a hub, which "
            "would run on this machine; take attn_implementation out of it"
        )
    return config


def load_tokenizer(name: str, **options: Any) -> Any:
    """Return the tokenizer of a model; errors are those of `load_pretrained`."""
    return load_pretrained(AutoTokenizer, name, **options)


def _attention_of(config: Any) -> Iterator[str]:
    """Yield the attention that a config and those of its parts name."""
    yield str(config._attn_implementation)  # transformers has no public name for it
    for name in config.sub_configs:
        part = vars(config).get(name)
        if part is not None and not isinstance(part, dict):
            yield from _attention_of(part)
