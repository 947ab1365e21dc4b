"""The layers of a sharded LLM run on all processes together, or they hang: here processes agree on each run.

A layer whose weights are spread over the processes can only run when all of them run it, forward and backward. But how
often a process runs the LLM depends on its micro-batch: not at all for an empty one, once for each set of LoRAs, twice
for preferences. So before each run processes tell each other what they are about to do. One that has nothing to do
runs along on a row of its own, whose result has no effect.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from omni.llm.cross_attention import attending

_DONE, _WITHOUT_GRADIENT, _WITH_GRADIENT = 0, 1, 2


class Lockstep:
    """Makes all processes run `decoder` the same number of times and in the same order.

    Every run with gradients also goes backwards exactly once on each process, whether anything there needs it or not,
    if what `finish` returns is added to the loss.

    Args:
        decoder: the LLM without its head; takes `inputs_embeds`.
        width: of its input embeddings.
    """

    def __init__(self, decoder: nn.Module, width: int, dtype: torch.dtype, device: torch.device) -> None:
        self.decoder = decoder
        self._row = torch.zeros(1, 1, width, dtype=dtype, device=device)
        # A group of its own, over the CPU: asking must not wait for the device to finish its queue.
        self._group = dist.new_group(backend="gloo")
        self._running_along = False
        self._anchors: list[Tensor] = []
        # First of all hooks: those that gather weights must not have begun when a process has to run along.
        decoder.register_forward_pre_hook(self._before, with_kwargs=True, prepend=True)
        decoder.register_forward_hook(self._after)

    def finish(self) -> Tensor | None:
        """Run along until no process has anything left to run; after each forward pass of training or evaluation.

        Returns a zero that is to be added to the loss, or None if there is nothing to go backwards through.
        """
        while (asked := self._agree(_DONE)) != _DONE:
            self._run_along(asked)
        anchors, self._anchors = self._anchors, []
        return torch.stack(anchors).sum() if anchors else None

    def _agree(self, mine: int) -> int:
        """What runs next on all processes: what most is asked for."""
        asked = torch.tensor(mine)
        dist.all_reduce(asked, dist.ReduceOp.MAX, group=self._group)
        return int(asked)

    def _run_along(self, asked: int) -> None:
        self._running_along = True
        try:
            # Dropout here must not change what it draws elsewhere: generators are put back.
            devices = [] if self._row.device.type == "cpu" else [self._row.device]
            gradients = torch.set_grad_enabled(asked == _WITH_GRADIENT)
            with gradients, torch.random.fork_rng(devices), attending(None):
                self.decoder(inputs_embeds=self._row.clone(), use_cache=False)
        finally:
            self._running_along = False

    def _before(self, decoder: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self._running_along:
            mine = _WITH_GRADIENT if torch.is_grad_enabled() else _WITHOUT_GRADIENT
            while (asked := self._agree(mine)) != mine:
                self._run_along(asked)
        embeds = kwargs.get("inputs_embeds")
        if torch.is_grad_enabled() and embeds is not None and not embeds.requires_grad:
            # A text-only row in front of frozen layers needs no gradient; other processes' rows may.
            kwargs = kwargs | {"inputs_embeds": embeds.detach().requires_grad_()}
        return args, kwargs

    def _after(self, decoder: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if torch.is_grad_enabled():
            # The sum of nothing is 0 even where values are infinite; its gradient of zeros goes through all layers.
            self._anchors.append(output[0].flatten()[:0].sum())
