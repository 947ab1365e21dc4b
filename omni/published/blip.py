"""The common part of BLIP-2 and InstructBLIP: one Q-Former on EVA-CLIP's image features, in LAVIS' layout."""

from collections.abc import Sequence

from omni.config import PromptConfig
from omni.published.assembly import Part, Source
from omni.published.blip_folder import describe_folder, text_config_of
from omni.published.files import BLIP, EVA, TRANSFORMERS_BLIP, PublishedFile, only, refuse
from omni.published.qformers import PublishedQFormer

_LABELS = {"image": BLIP, "eva": EVA}


def describe_image_model(
    files: Sequence[PublishedFile],
    name: str,
    prompts: dict[str, PromptConfig],
    *,
    model_type: str,
    reads_instruction: bool,
    licence: str,
) -> Source:
    """Describe the model of one checkpoint, with the vision encoder inside or in a file of its own, or of one folder.

    prompts: name of the projection (`llm_proj`) -> layout of conversations of the models that have it.
    model_type: the model type of transformers, for a folder.

    Raises:
        ValueError: other files are given, or the checkpoint is for no LLM or for one that is not causal.
    """
    refuse(files, (BLIP, TRANSFORMERS_BLIP, EVA), name)
    folder = only(files, TRANSFORMERS_BLIP)
    if folder is not None:
        if len(files) > 1:
            raise ValueError(f"{folder.path} is a whole {name}: name no other file")
        prompt = prompts.get("opt_proj" if text_config_of(folder).get("model_type") == "opt" else "llm_proj")
        return describe_folder(
            folder, name, prompt, model_type=model_type, reads_instruction=reads_instruction, licence=licence
        )
    for file in files:
        if file.label is not None and _LABELS.get(file.label) != file.kind:
            raise ValueError(
                f"{file.label}={file.path}: it is a {file.kind}; labels are image (the checkpoint) and eva, or none"
            )
    checkpoint = only(files, BLIP)
    if checkpoint is None:
        raise ValueError(f"no checkpoint of {name} is among the files")
    projections = [one for one in ("llm_proj", "opt_proj", "t5_proj") if checkpoint.has(f"{one}.")]
    if "t5_proj" in projections:
        raise ValueError(f"{checkpoint.path} was made for Flan-T5, an encoder-decoder; only causal LLMs are supported")
    if not projections and checkpoint.has("itm_head."):
        raise ValueError(
            f"{checkpoint.path} is BLIP-2's first stage, which has no projection into an LLM; to begin a training with "
            "its Q-Former, name it in init_adapters of a recipe"
        )
    if len(projections) > 1 or any(one not in prompts for one in projections):
        raise ValueError(
            f"{checkpoint.path} projects by {' and '.join(projections)}; a {name} does by {' or '.join(prompts)}"
        )
    vision = only(files, EVA)
    if vision is None and checkpoint.has("visual_encoder.blocks."):
        vision = checkpoint  # the checkpoint's own encoder, which was trained further
    part = Part(
        PublishedQFormer(checkpoint),
        None
        if vision is None
        else {"class_path": "omni.encoders.EvaClipEncoder", "init_args": {"weights": str(vision.path)}},
        "eva_vit_g.pth",
        reads_instruction=reads_instruction,
        licence=licence,
    )
    prompt = prompts[projections[0]] if projections else next(iter(prompts.values()))
    return Source(name, {"image": part}, files, prompt)
