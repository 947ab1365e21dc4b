"""The contract of adapters whose media stand beside the sequence: layers of the language model attend to them.

Shapes: R rows, L text length, K media states of a row, W their width, D width of the language model.
"""

from collections.abc import Collection
from typing import Literal

from torch import Tensor

from adapters.base import Adapter

AttendTo = Literal["all", "last"]


class AttendedAdapter(Adapter):
    """An adapter whose `forward` makes media states [B, Q, W] that take no place in the sequence.

    Before each of `attended_layers` the framework hands the hidden states of the whole batch to `attend`, and the layer
    takes what comes back. A subclass sets `attended_layers`, implements `forward` and `attend`, and keeps two more
    promises: a token that sees nothing stays as it is, and states that are not visible, which may be padding, influence
    nothing. W is the adapter's own choice.
    """

    in_sequence = False
    attended_layers: Collection[int] = ()  # numbers, from 0, of the language model's layers that it has a block before
    attend_to: AttendTo = "all"  # media before a token that it sees: all, or the last item of its modality

    def attend(self, layer: int, hidden: Tensor, media: Tensor, visible: Tensor) -> Tensor:
        """Return what the layer numbered `layer`, one of `attended_layers`, takes in place of `hidden`.

        hidden [R, L, D], media states [R, K, W], visible [R, L, K] bool (True = that token sees that state)
        -> [R, L, D] in the dtype of `hidden`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement attend(layer, hidden, media, visible)")

    def attended_weights(self, layer: int, hidden: Tensor, media: Tensor, visible: Tensor) -> Tensor | None:
        """Return how much each token looks at each media state in `attend`, with the same arguments: [R, L, K].

        The row of a token that sees something sums to 1. None, the default = not known.
        """
        return None

    def num_tokens(self, num_features: int) -> int:
        """Return 0: media states stand beside the sequence, not in it."""
        return 0
