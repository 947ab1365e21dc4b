"""Load published Q-Former weights (Hugging Face, LAVIS, X-InstructBLIP) into our `QFormer`."""

from collections.abc import Collection, Mapping

from torch import Tensor

from adapters.qformer import QFormer
from adapters.qformer_names import PARTS, is_part_of, rename_qformer_keys


def load_qformer_weights(
    adapter: QFormer,
    state_dict: Mapping[str, Tensor],
    *,
    modality: str | None = None,
    fresh: Collection[str] = (),
) -> None:
    """Load published weights into `adapter`, strictly; on an error the adapter is unchanged.

    Of a whole model's state dict only the Q-Former's part is looked at. Weights that cannot influence the output are
    not needed: those of text rows in the last layer, and all text weights if the adapter reads no instructions.

    Args:
        adapter: built with the sizes of the checkpoint.
        state_dict: names and tensors as published (LAVIS files hold them under the key `model`).
        modality: which of an X-InstructBLIP checkpoint's Q-Formers, where it has several.
        fresh: parts (keys of `PARTS`) that keep the values they have, whether or not the checkpoint has them. A BLIP-2
            stage 1 checkpoint has no projection: `fresh=["projection"]`. X-InstructBLIP starts audio and 3D from
            the image Q-Former with `["projection", "feature_norm", "self_attention", "cross_attention"]`.

    Raises:
        ValueError: for missing, unexpected or misshaped weights (all are named), an unknown part in `fresh`, no
            Q-Former in the state dict, or several and no `modality`.
    """
    unknown = sorted(set(fresh) - set(PARTS))
    if unknown:
        raise ValueError(f"unknown parts {unknown} in fresh: the parts are {sorted(PARTS)}")
    own = adapter.state_dict()
    kept = {name for name in own if name.startswith(adapter.unpublished_weights) or is_part_of(name, fresh)}
    given = {
        ours: state_dict[name]
        for name, ours in rename_qformer_keys(state_dict, modality=modality).items()
        if not is_part_of(ours, fresh) and adapter.needs(ours)
    }
    problems = [f"missing: {name}" for name in sorted(own.keys() - kept - given.keys())]
    problems += [f"unexpected: {name}" for name in sorted(given.keys() - own.keys())]
    problems += [
        f"misshaped: {name} is {list(given[name].shape)} in the checkpoint, {list(own[name].shape)} in the adapter"
        for name in sorted(given.keys() & own.keys())
        if given[name].shape != own[name].shape
    ]
    if problems:
        raise ValueError(
            f"the checkpoint does not fit this Q-Former ({len(problems)} weights):\n  " + "\n  ".join(problems) + "\n"
            f"Build the Q-Former with the checkpoint's sizes, or name parts to keep in fresh: {sorted(PARTS)}"
        )
    adapter.load_state_dict(own | given)
