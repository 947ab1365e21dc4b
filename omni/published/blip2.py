"""BLIP-2 (Li et al. 2023, arXiv 2301.12597), second stage: a Q-Former without instructions before OPT or Vicuna."""

from collections.abc import Sequence

from omni.config import PromptConfig
from omni.published.assembly import Source
from omni.published.blip import describe_image_model
from omni.published.files import PublishedFile

NAME = "BLIP-2"
# OPT's tokenizer begins every text with </s>; the captions of the training end in a line break.
OPT_PROMPT = PromptConfig(start_token="</s>", answer_prefix=" ", answer_end="\n")
VICUNA_PROMPT = PromptConfig(start_token="</s>", answer_end="</s>")
LICENCE = "BSD-3-Clause"  # the licence of LAVIS, which publishes the weights


def describe(files: Sequence[PublishedFile]) -> Source:
    """Describe the model that the files make; raise ValueError if it is not a BLIP-2 with a causal LLM."""
    prompts = {"opt_proj": OPT_PROMPT, "llm_proj": VICUNA_PROMPT}
    return describe_image_model(files, NAME, prompts, model_type="blip-2", reads_instruction=False, licence=LICENCE)
