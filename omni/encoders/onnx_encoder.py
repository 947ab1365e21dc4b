"""Encode with ONNX graphs, which are frozen by nature and need no torch module.

Shapes: B clips, N features, D feature width.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, cast, runtime_checkable

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor

from omni.config.components import build
from omni.encoders.arguments import ConstructorArguments
from omni.encoders.base import Encoder, Features
from omni.encoders.onnx_graph import has_fixed_batch, weight_files, with_free_batch
from omni.encoders.weights import find_weights, naming
from omni.media.item import Media

logger = logging.getLogger(__name__)

_TORCH_TYPES = {
    "tensor(float)": torch.float32,
    "tensor(float16)": torch.float16,
    "tensor(double)": torch.float64,
    "tensor(int64)": torch.int64,
    "tensor(int32)": torch.int32,
    "tensor(uint8)": torch.uint8,
    "tensor(int8)": torch.int8,
    "tensor(bool)": torch.bool,
}


@runtime_checkable
class Preprocessor(Protocol):
    """Turns a media item into tensors named like the graph's inputs, each with a leading clip dimension."""

    def __call__(self, media: Media, /) -> Mapping[str, Tensor]:
        """Return the tensors of `media`."""
        ...


class OnnxEncoder(Encoder):
    """Encode media with an ONNX graph; the features are one of its outputs.

    graph: a `.onnx` file, or a folder with one.
    modality: modality of the media that it takes.
    preprocessor: turns Media into tensors named like the graph's inputs, each with a leading clip dimension; a callable
        or `{class_path, init_args}` of one. Without it, a subclass overrides `preprocess`. A tensor named `mask` (bool
        [C, N], True = real) that is no input of the graph becomes the mask of the features.
    output: name of the output that holds the features (default: the first).
    layout: where the width D is in that output: "features_last" [B, ..., D] or "channels_first" [B, D, ...];
        all other dimensions become features, row by row. An output [B, D] is one feature.
    max_features: most features that one media item gives, over all its clips (default: those of one clip).
    providers: of onnxruntime, by preference (default: CUDA where it is installed, then the CPU).

    A graph that was exported for a batch of one is rewritten for any batch; where that changes what it computes,
    clips run one by one instead, and a warning says so.
    """

    fingerprint_name = "omni.encoders.onnx_encoder.OnnxEncoder"
    uncounted_arguments = ("graph", "file_extensions", "providers")

    def __init__(
        self,
        graph: str | Path,
        modality: str,
        preprocessor: Preprocessor | Mapping[str, Any] | None = None,
        output: str | None = None,
        layout: Literal["features_last", "channels_first"] = "features_last",
        max_features: int | None = None,
        dim: int | None = None,
        file_extensions: tuple[str, ...] = (),
        licence: str | None = None,
        providers: list[str] | None = None,
    ) -> None:
        super().__init__(licence=licence)
        if layout not in ("features_last", "channels_first"):
            raise ValueError(f"layout is {layout!r}; allowed: features_last, channels_first")
        self.modality = modality
        self.file_extensions = tuple(file_extensions)
        self.layout = layout
        self._graph = find_weights(graph, (".onnx",))
        self._providers = _default_providers() if providers is None else _checked_providers(providers)
        self._preprocessor = _build_preprocessor(preprocessor)
        self._preprocessor_given = ConstructorArguments(type(self).__name__, {"preprocessor": preprocessor}, {})
        self._preprocessor_given.finish(parts=())
        self._preprocessor_config = preprocessor
        self._session: onnxruntime.InferenceSession | None = None
        with naming(self._graph):
            self._model = onnx.load(self._graph, load_external_data=False)
        self._weight_files = weight_files(self._model, self._graph)  # all in its folder
        outputs = [value.name for value in self._model.graph.output]
        if not outputs:
            raise ValueError(f"{self._graph} holds no graph with outputs: it is damaged or no ONNX file")
        self.output = outputs[0] if output is None else output
        if self.output not in outputs:
            raise ValueError(f"{self._graph} has no output {self.output!r}; it has {', '.join(outputs)}")
        self._rewritten: bytes | None = None
        self._one_by_one = False
        if has_fixed_batch(self._model):
            self._free_batch()
        self.dim, self._clip_features = self._output_size(dim, max_features)
        self.max_features = max_features or self._clip_features

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        if self._preprocessor is None:
            return super().preprocess(media)
        return dict(self._preprocessor(media))

    def features_per_clip(self, inputs: dict[str, Tensor]) -> int | None:
        return self._clip_features or None  # 0 where the graph does not declare it

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        """Encode tensors by input name, each [B, ...], to [B, N, D]."""
        output = self.run(inputs, [self.output])[0]
        values = self._to_features(output)
        mask = inputs.get("mask") if "mask" not in self.input_names else None
        if mask is None:
            mask = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
        return Features(values, mask.bool())

    @property
    def input_names(self) -> list[str]:
        """Names of the graph's inputs."""
        return [item.name for item in self._open().get_inputs()]

    def run(self, inputs: Mapping[str, Tensor], outputs: list[str]) -> list[Tensor]:
        """Run the graph on a batch; results are on the device of the inputs.

        Raises ValueError if an input of the graph is missing, or the graph cannot be run on what it is given.
        """
        session = self._open()
        missing = [item.name for item in session.get_inputs() if item.name not in inputs]
        if missing:
            raise ValueError(f"{self._graph} needs the inputs {missing}; preprocessing gave {sorted(inputs)}")
        device = next(iter(inputs.values())).device
        feed = {
            item.name: inputs[item.name].to("cpu", _TORCH_TYPES[item.type]).contiguous().numpy()
            for item in session.get_inputs()
        }
        try:
            arrays = self._run_session(session, feed, outputs)
        except Exception as error:  # onnxruntime's errors have no base class of their own
            shapes = {name: array.shape for name, array in feed.items()}
            raise ValueError(f"{self._graph} cannot be run on inputs of the shapes {shapes}: {error}") from error
        return [torch.from_numpy(array).to(device) for array in arrays]

    def _run_session(self, session: Any, feed: Mapping[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
        if not self._one_by_one:
            return cast(list[np.ndarray], session.run(outputs, feed))
        clips = range(len(next(iter(feed.values()))))
        rows = [session.run(outputs, {name: array[i : i + 1] for name, array in feed.items()}) for i in clips]
        return [np.concatenate(column) for column in zip(*rows, strict=True)]

    def preprocessing_config(self) -> dict[str, Any]:
        return {
            "modality": self.modality,
            "output": self.output,
            "layout": self.layout,
            "preprocessor": self._describe_preprocessor(),
        }

    def _describe_preprocessor(self) -> Any:
        match self._preprocessor_config:
            case Mapping():
                return self._preprocessor_config
            case None:
                return repr(type(None))  # as features were cached under
            case _:
                return self._preprocessor_given.text()

    def _weight_bytes(self) -> Iterator[tuple[str, memoryview | bytes]]:
        yield "graph", self._graph.read_bytes()
        for name in self._weight_files:
            yield name, (self._graph.parent / name).read_bytes()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": None}  # a session cannot be pickled; each process opens its own

    def _open(self) -> onnxruntime.InferenceSession:
        if self._session is None:
            with naming(self._graph):
                self._session = _open_session(self._rewritten or str(self._graph), self._providers)
        return self._session

    def _free_batch(self) -> None:
        with naming(self._graph):
            whole = onnx.load(self._graph)  # with weights kept outside, since a session made of bytes finds no files
        rewritten = with_free_batch(whole).SerializeToString()
        if _same_alone_and_together(whole.SerializeToString(), rewritten):
            self._rewritten = rewritten
        else:
            self._one_by_one = True
            logger.warning(
                "%s was exported for a batch of one and cannot be widened: clips run one by one, which is slower. "
                "Export it with a dynamic first dimension.",
                self._graph,
            )

    def _to_features(self, output: Tensor) -> Tensor:
        if output.ndim == 2:
            return output[:, None]
        if self.layout == "channels_first":
            return output.flatten(2).transpose(1, 2).contiguous()
        return output.flatten(1, -2)

    def _output_size(self, dim: int | None, max_features: int | None) -> tuple[int, int]:
        """Return width and number of features of a clip, from the graph's declared shape where it declares one."""
        (value,) = [item for item in self._model.graph.output if item.name == self.output]
        sizes = [item.dim_value for item in value.type.tensor_type.shape.dim][1:]  # 0 where it is not a number
        width = (sizes[0] if self.layout == "channels_first" else sizes[-1]) if sizes else 0
        others = (sizes[1:] if self.layout == "channels_first" else sizes[:-1]) if sizes else [0]
        num_features = int(np.prod(others)) if others else 1
        if not (dim or width):
            raise ValueError(f"{self._graph} does not declare the width of {self.output!r}: give it as `dim`")
        if not (max_features or num_features):
            raise ValueError(f"{self._graph} does not declare how many features {self.output!r} has: give max_features")
        return dim or width, num_features


def _build_preprocessor(preprocessor: Preprocessor | Mapping[str, Any] | None) -> Preprocessor | None:
    return build(preprocessor, "preprocessor", Preprocessor) if isinstance(preprocessor, Mapping) else preprocessor


def _default_providers() -> list[str]:
    available = onnxruntime.get_available_providers()
    return [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]


def _checked_providers(providers: Sequence[str]) -> list[str]:
    """Return the names of providers; their options, which can name a library to load, are not taken."""
    available = onnxruntime.get_available_providers()
    if isinstance(providers, str) or not providers or not all(name in available for name in providers):
        raise ValueError(f"providers is {providers!r}; allowed is a list of {', '.join(available)}")
    return [*providers]


def _open_session(graph: str | bytes, providers: list[str]) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Without this, waiting threads spin and take the processor from torch, which runs next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=providers)


def _same_alone_and_together(fixed: bytes, free: bytes) -> bool:
    """Return whether two random clips, run together in the rewritten graph, give what each gives in the original."""
    generator = np.random.default_rng(0)
    try:
        alone, together = (_open_session(graph, ["CPUExecutionProvider"]) for graph in (fixed, free))
        feed = {}
        for item in alone.get_inputs():
            if not all(isinstance(size, int) for size in item.shape[1:]):
                return False  # there is no size to try it with
            values = generator.uniform(0, 2, (2, *item.shape[1:]))
            feed[item.name] = torch.from_numpy(values).to(_TORCH_TYPES[item.type]).numpy()
        pair = cast(list[np.ndarray], together.run(None, feed))
        for i in range(2):
            single = cast(list[np.ndarray], alone.run(None, {name: array[i : i + 1] for name, array in feed.items()}))
            if not all(np.allclose(one, two[i : i + 1], atol=1e-4) for one, two in zip(single, pair, strict=True)):
                return False
    except Exception as error:  # onnxruntime's errors have no common class of their own
        logger.debug("rewritten graph does not run: %s", error)
        return False
    return True
