"""What all loaders of media have in common: whatever one item makes them raise is an error that names the item."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from omni.media.errors import MediaError
from omni.media.source import describe_source

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_MOST_CHARACTERS = 500  # of what a decoder raised


def loader(load: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Make a function whose first argument is a media item raise nothing but MediaError because of that item.

    Decoders of damaged files raise nearly anything: RecursionError of nested structures, MemoryError of a size that a
    header claims, OverflowError, struct.error, KeyError. None of them may end more than its own row.
    """

    @wraps(load)
    def load_one(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return load(*args, **kwargs)
        except (MediaError, ImportError):  # a package that is not installed is no fault of the item
            raise
        except Exception as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is None:
                raise  # arguments that the function does not have
            source = args[0] if args else next(iter(kwargs.values()))
            reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            problem = f"cannot be read ({reason[:_MOST_CHARACTERS]}); fetch or export it again, or remove the row"
            raise MediaError(describe_source(source), problem) from error

    return load_one
