"""Keep third parties' loading chatter off the user's screen, and change nothing else of their logging."""

import contextlib
import logging
import warnings
from collections.abc import Iterator

from transformers.utils import logging as transformers_logging

# bitsandbytes says on every import on a CPU that an optional kernel package is missing; PEFT imports it.
_CHATTY = "bitsandbytes.backends.cpu.ops"


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """No progress bars of transformers and no known harmless messages inside; afterwards all is as it was before."""
    chatty = logging.getLogger(_CHATTY)
    bars, disabled = transformers_logging.is_progress_bar_enabled(), chatty.disabled
    transformers_logging.disable_progress_bar()
    chatty.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            yield
    finally:
        chatty.disabled = disabled
        if bars:
            transformers_logging.enable_progress_bar()
