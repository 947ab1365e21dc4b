"""Keep third parties' loading chatter off the user's screen, and change nothing else of their logging."""

import contextlib
import logging
import warnings
from collections.abc import Iterator

from transformers.utils import logging as transformers_logging

# PEFT imports both: bitsandbytes says that an optional kernel package is missing, DeepSpeed that there is no GPU.
_CHATTY = ("bitsandbytes.backends.cpu.ops", "DeepSpeed")


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """Hide transformers' progress bars and known harmless messages inside; restore everything afterwards."""
    chatty = [(logger, logger.disabled) for logger in map(logging.getLogger, _CHATTY)]
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    for logger, _ in chatty:
        logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            yield
    finally:
        for logger, disabled in chatty:
            logger.disabled = disabled
        if bars:
            transformers_logging.enable_progress_bar()


@contextlib.contextmanager
def quiet_about_keys() -> Iterator[None]:
    """Hide the table of missing and unexpected weights inside, for callers that read the report themselves."""
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)
