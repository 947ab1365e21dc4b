"""The adapters of a model that route media to experts, and how their routing is kept while batches run."""

from collections.abc import Iterator
from contextlib import contextmanager

from adapters import RoutedAdapter
from omni.model.encoder_stack import EncoderStack
from omni.model.routing_log import RoutingLog


def routed_adapters(model: EncoderStack) -> dict[str, RoutedAdapter]:
    """Return the adapters that report routing, by modality."""
    parts = {name: model.modality(name).trained_part for name in model.modalities}
    return {name: part for name, part in parts.items() if isinstance(part, RoutedAdapter)}


@contextmanager
def log_routing(model: EncoderStack, *, only_trained: bool) -> Iterator[RoutingLog]:
    """Inside, it is kept where media that `model` embeds are routed."""
    adapters = routed_adapters(model)
    log = RoutingLog(adapters, only_trained)
    model.routing_log = log if adapters else None
    for adapter in adapters.values():
        adapter.keep_routing(True)
    try:
        yield log
    finally:
        model.routing_log = None
        for adapter in adapters.values():
            adapter.keep_routing(False)
