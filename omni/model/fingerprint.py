"""A short text that changes with anything that changes a model's outputs: the key of answers that are kept."""

import dataclasses
import hashlib
import json
from typing import Any

from omni.encoders.fingerprint import tensor_bytes
from omni.model.core import ModelCore
from omni.model.trainable import trained_part_names
from omni.runtime.parameter_names import plain_name


def model_fingerprint(model: ModelCore) -> str:
    """Return 64 hex digits that change with whatever changes a model's outputs.

    That is the LLM with its tokenizer and settings of generation, the layout of conversations, an encoder, an adapter,
    a LoRA, or unfrozen weights.
    """
    llm = model.llm
    weights = llm.identity.weights or llm.identity.files
    told: list[Any] = [llm.identity.embeddings, weights, llm.text_identity, f"{llm.config}", model.system]
    told.append(llm.generation_defaults.to_dict())
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode())
    digest.update(b"" if model.prompt is None else str(model.prompt).encode())
    for name in sorted(model.modalities):
        modality = model.modality(name)
        digest.update(f"{name} {modality.cue!r} {modality.join_clips} {modality.encoder.fingerprint()}".encode())
        if modality.config is not None:  # arguments that leave no trace in the weights, such as `top_k`
            adapter = dataclasses.asdict(modality.config.adapter)
            digest.update(json.dumps(adapter, sort_keys=True, default=str).encode())
    state = {plain_name(name): value for name, value in model.state_dict().items()}
    trained = {name: state[name] for name in {*trained_part_names(model), *model.unfrozen}}
    for name, value in sorted((trained | model.llm.lora_state()).items()):
        digest.update(name.encode())
        digest.update(tensor_bytes(value))
    return digest.hexdigest()
