"""What a request may cost. Each limit is an option of the command line, and stands in `/v1/models`."""

import argparse
import math
from dataclasses import dataclass, field, fields
from typing import Any, Self

MEGABYTE = 1 << 20


def _limit(default: float, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True)
class Limits:
    """The limits of one server; a ValueError names the option that makes no sense."""

    max_request_mb: float = _limit(64, "megabytes of one request")
    max_held_mb: float = _limit(512, "megabytes of all requests that are being read, waiting or answered")
    max_medium_mb: float = _limit(32, "megabytes of one medium, once decoded from base64")
    max_media: int = _limit(16, "media of one request")
    max_megapixels: float = _limit(40, "millions of pixels of a picture, or of a frame of a video")
    max_seconds: float = _limit(600, "seconds of a sound or a video that are read")
    max_values: int = _limit(1_000_000, "numbers, texts, lists and objects in the JSON of one request")
    max_tokens: int = _limit(1024, "tokens of one answer")
    max_choices: int = _limit(8, "answers to one request (n)")
    max_inputs: int = _limit(256, "items of one request for embeddings")
    max_questions: int = _limit(400, "questions of one request for decisions")
    max_running: int = _limit(16, "conversations that are answered at once")
    max_running_tokens: int = _limit(16384, "tokens of all conversations that are answered at once")
    max_waiting: int = _limit(64, "conversations that wait for their turn; more are refused (429)")
    max_wait_s: float = _limit(300, "seconds from the arrival of a request to the end of its answer")
    max_upload_s: float = _limit(60, "seconds in which the body of a request must have arrived")

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not math.isfinite(value) or value <= 0:
                raise ValueError(f"--{one.name} must be above 0, got {value}")

    @property
    def request_bytes(self) -> int:
        """The most bytes of the body of a request."""
        return int(self.max_request_mb * MEGABYTE)

    @property
    def medium_bytes(self) -> int:
        """The most bytes of a medium."""
        return int(self.max_medium_mb * MEGABYTE)

    @property
    def held_bytes(self) -> int:
        """The most bytes of the bodies of all requests that have not been answered."""
        return int(self.max_held_mb * MEGABYTE)

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Add an option for each limit."""
        group = parser.add_argument_group("limits of a request")
        for one in fields(cls):
            kind = int if one.type in (int, "int") else float
            text = f"{one.metadata['help']} (default: %(default)s)"
            group.add_argument(f"--{one.name}", type=kind, default=one.default, metavar="N", help=text)

    @classmethod
    def of_options(cls, options: argparse.Namespace) -> Self:
        """Return the limits that the command line sets."""
        return cls(**{one.name: getattr(options, one.name) for one in fields(cls)})
