"""InstructBLIP (Dai et al. 2023, arXiv 2305.06500): an instruction-aware Q-Former before a frozen Vicuna."""

from collections.abc import Sequence

from omni.config import PromptConfig
from omni.published.assembly import Source
from omni.published.blip import describe_image_model
from omni.published.files import PublishedFile

NAME = "InstructBLIP"
PROMPT = PromptConfig(start_token="</s>", answer_end="</s>")
LICENCE = "CC-BY-NC-4.0 (research use only; trained on LLaVA's data)"  # projects/instructblip/README.md of LAVIS


def describe(files: Sequence[PublishedFile]) -> Source:
    """Describe the model that the files make; raise ValueError if it is not an InstructBLIP with a causal LLM."""
    return describe_image_model(
        files, NAME, {"llm_proj": PROMPT}, model_type="instructblip", reads_instruction=True, licence=LICENCE
    )
