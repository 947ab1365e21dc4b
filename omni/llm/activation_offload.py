"""Activations wait for the backward pass in the CPU's memory instead of the accelerator's."""

import torch
from torch import Tensor, nn

MIN_BYTES = 1 << 20  # smaller tensors are not worth a copy


class OffloadActivations(torch.autograd.graph.saved_tensors_hooks):
    """While this is on, what autograd keeps is copied to the CPU, and back when the backward pass needs it.

    torch's own `save_on_cpu` also copies weights, which a frozen LLM keeps for the gradients of its activations: here
    they stay. On CUDA the copies out run beside the computation, on a stream of their own, into pinned memory.
    """

    def __init__(self, min_bytes: int = MIN_BYTES) -> None:
        self.min_bytes = min_bytes
        self._streams: dict[torch.device, torch.cuda.Stream] = {}
        super().__init__(self._pack, self._unpack)

    def _pack(self, tensor: Tensor) -> tuple[torch.device | None, Tensor]:
        base = tensor if tensor._base is None else tensor._base
        if isinstance(base, nn.Parameter) or tensor.nbytes < self.min_bytes:
            return None, tensor
        if not tensor.is_cuda:
            return tensor.device, tensor.detach().to("cpu", copy=True)
        if tensor.device not in self._streams:
            self._streams[tensor.device] = torch.cuda.Stream(tensor.device)
        stream = self._streams[tensor.device]
        stream.wait_stream(torch.cuda.current_stream(tensor.device))
        with torch.cuda.stream(stream):
            copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            copy.copy_(tensor, non_blocking=True)
        tensor.record_stream(stream)  # its memory is used again only after the copy
        return tensor.device, copy

    def _unpack(self, packed: tuple[torch.device | None, Tensor]) -> Tensor:
        device, tensor = packed
        if device is None:
            return tensor
        if device.type == "cuda":
            torch.cuda.current_stream(device).wait_stream(self._streams[device])
        return tensor.to(device, non_blocking=True)
