"""The parameters of the endpoints: those that are followed, those that change no answer, those that are refused.

A parameter that is not known is refused, as OpenAI does: one that does nothing would silently mean something else.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from demo.server.errors import APIError

MOST_STOPS = 16
# Parameters that tell a service whom it serves, what to keep and how to hurry; none changes an answer.
WITHOUT_EFFECT = (
    *("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_options"),
    *("prompt_cache_retention", "parallel_tool_calls", "prediction"),
)
# Parameters that would change the answer and cannot be followed: the values with which they do nothing, and the words.
REFUSED: dict[str, tuple[tuple[Any, ...], str]] = {
    "tools": (([],), "the model calls no tools"),
    "tool_choice": (("none", "auto"), "the model calls no tools"),
    "functions": (([],), "the model calls no functions"),
    "function_call": (("none", "auto"), "the model calls no functions"),
    "response_format": (({"type": "text"},), "answers are plain text; /v1/decisions gives structured answers"),
    "modalities": ((["text"],), "answers are text"),
    "audio": ((), "answers are text"),
    "logit_bias": (({},), "the likelihoods of single tokens cannot be changed"),
    "reasoning_effort": (("none",), "the model has no reasoning to set"),
    "verbosity": (("medium",), "the length of answers is set by max_completion_tokens"),
    "web_search_options": ((), "the model searches nothing"),
    "moderation": ((), "nothing is moderated here"),
    "best_of": ((1,), "answers are not ranked; ask for several with n"),
    "echo": ((False,), "the question is not repeated"),
}


def known(body: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a request that are to be followed; None is as good as nothing.

    Raises:
        APIError: one of them would change the answer, and cannot be followed.
    """
    found = {name: value for name, value in body.items() if value is not None and name not in WITHOUT_EFFECT}
    for name, (neutral, reason) in REFUSED.items():
        if name in found and found.pop(name) not in neutral:
            raise APIError(f"{name} is not supported: {reason}", param=name, code="unsupported_parameter")
    return found


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    model: str


class StreamOptions(BaseModel):
    """What a stream has besides the answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    include_usage: bool = False
    include_obfuscation: bool = False  # padding against the guessing of text by length: a loopback has no use for it


Number = Annotated[float, Field(allow_inf_nan=False)]


class ChatParameters(_Parameters):
    """Parameters of `/v1/chat/completions`, OpenAI's and, below, those that vLLM and transformers add."""

    messages: list[Any]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    n: Annotated[int, Field(ge=1)] = 1
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: str | list[str] = []
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] = 0.0
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] = 0.0
    top_k: Annotated[int, Field(ge=-1)] = 0
    repetition_penalty: Annotated[Number, Field(gt=0, le=100)] = 1.0
    min_tokens: Annotated[int, Field(ge=0)] = 0
    num_beams: Annotated[int, Field(ge=1, le=16)] = 1

    @field_validator("stop")
    @classmethod
    def _check_stop(cls, value: str | list[str]) -> str | list[str]:
        texts = [value] if isinstance(value, str) else value
        if len(texts) > MOST_STOPS or not all(texts) or any(len(text) > 1000 for text in texts):
            raise ValueError(f"at most {MOST_STOPS} texts, none of them empty or longer than 1000 letters")
        return value


class EmbeddingParameters(_Parameters):
    """Parameters of `/v1/embeddings`: OpenAI's, `messages` as vLLM has it, `modality` as infinity has it."""

    input: Any = None
    messages: list[Any] | None = None
    modality: str | None = None
    prompt: str | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None
    encoding_format: Literal["float", "base64"] = "float"
    normalize: bool | None = None


class DecisionParameters(_Parameters):
    """Parameters of `/v1/decisions`; `normalization` is omni's own."""

    input: str | list[Any]
    questions: Annotated[list[dict[str, Any]], Field(min_length=1)]
    normalization: Literal["pmi", "sum", "mean", "bytes"] = "pmi"
