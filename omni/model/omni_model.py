"""OmniModel: encoders and adapters in front of a frozen causal LLM, trained, asked, saved and loaded.

`omni.model.core` embeds conversations and runs the LLM; this is what users do with it.
Shapes: B batch, D width of the LLM.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from omni.config import ModelConfig
from omni.explaining import Cost, Explanation
from omni.model.building import build_from_config
from omni.model.card import ModelCard
from omni.model.checkpoint import load_model, save_model, write_model
from omni.model.combining import combine_models
from omni.model.core import ModelCore
from omni.model.explaining import PARTS, answer_to_explain, explain
from omni.model.fingerprint import model_fingerprint
from omni.model.inference import embed_conversations, generate, score_batch
from omni.model.preparation import Messages
from omni.model.pretrained import Pretrained
from omni.samples.messages import Sample


class OmniModel(Pretrained, ModelCore):
    """Frozen encoders -> trained adapters -> frozen causal LLM: generates, scores, embeds, is saved and loaded.

    Args:
        llm: the language model.
        modalities: name -> encoder, adapter and cue.
        system: system message where a conversation has none; None = the chat template's default.
        card: what is known of its training, for the model card.
        prompt: layout of conversations; None = the LLM's chat template.
    """

    # --- inference ---

    def generate(
        self,
        messages: Messages | Sample | Sequence[Messages | Sample],
        *,
        streamer: Any = None,
        **generation_config: Any,
    ) -> Any:
        """Return the assistant's answer to a conversation (str), or to each of several (list of str).

        Greedy, at most 64 new tokens, unless options by transformers' names, or a `GenerationConfig` of transformers as
        `generation_config`, say otherwise; None says nothing. `max_length` counts the conversation, media included.
        What the LLM's folder says (temperature, penalties) is used with `do_sample=True` only, and never for the
        length. An answer ends with the LLM's context in any case. A streamer of transformers receives the ids of a
        single conversation's answer as they come.

        Raises:
            ValueError: a conversation that does not fit the model (`prepare`), several with a streamer, or options
                that leave no room for an answer or ask for more than one text a conversation.
        """
        return generate(self, messages, streamer, **generation_config)

    def score(self, messages: Messages | Sample, candidates: Sequence[str], normalization: str = "sum") -> Tensor:
        """Return the log-likelihood in nats of each candidate as the assistant's answer: [num_candidates].

        The token that ends an answer counts too.

        `normalization`: "sum", "mean" (per token) or "bytes" (per UTF-8 byte of the candidate).
        """
        return self.score_batch([messages], [candidates], normalization)[0]

    def score_batch(
        self,
        messages: Sequence[Messages | Sample],
        candidates: Sequence[str] | Sequence[Sequence[str]],
        normalization: str = "sum",
    ) -> Tensor:
        """Score the candidates of several conversations as `score` does: [B, num_candidates].

        The candidates are the same for all, or a list for each, all lists of one length.
        """
        return score_batch(self, messages, candidates, normalization)

    def embed(self, messages: Messages | Sample | Sequence[Messages | Sample], prompt: str | None = None) -> Tensor:
        """Return the LLM's last hidden state at the last token of each conversation, in float32: [B, D].

        prompt: text put at the end of the user's last turn, such as "Summarise this in one word:", after which the
            last token stands for all that came before (PromptEOL, Jiang et al. 2023, arXiv 2307.16645; of pictures
            E5-V, Jiang et al. 2024, arXiv 2407.12580).
        """
        return embed_conversations(self, messages, prompt)

    def explain(
        self,
        messages: Messages | Sample,
        answer: str | None = None,
        *,
        parts: int = PARTS,
        frequency_bands: int = 1,
        attention: bool = True,
        occlusion: bool = True,
        batch_size: int = 16,
        on_cost: Callable[[Cost], None] | None = None,
    ) -> Explanation:
        """Return what an answer stands on: for each word a map over the parts of every medium, by two measures.

        *Attention* is where the model looks, *occlusion* the drop of the word's log-likelihood when a part is hidden;
        see `omni.explaining.explanation`. Nobody else may run the model meanwhile: the LLM is switched to an attention
        that gives its weights, and back.

        Args:
            messages: one conversation that ends with the user's turn.
            answer: the answer to explain; None = the one that the model generates.
            parts: the most parts of each medium; the cost of occlusion grows with it.
            frequency_bands: bands of frequency into which the windows of sounds are cut too.
            attention, occlusion: whether to take each measure.
            batch_size: conversations in one call of the LLM; changes the speed, not the maps.
            on_cost: is told the cost before the work begins.

        Raises:
            ValueError: there is nothing to explain (no media, no answer), no medium can be cut, an argument is out of
                range, or it takes more than `MOST_PASSES` passes of the LLM.
            SampleError: the conversation does not fit the model or its context.
            MediaError: a medium cannot be read.
        """
        if answer is None:
            answer = answer_to_explain(self, messages)
        return explain(
            self,
            messages,
            answer,
            parts=parts,
            frequency_bands=frequency_bands,
            attention=attention,
            occlusion=occlusion,
            batch_size=batch_size,
            on_cost=on_cost,
        )

    def fingerprint(self) -> str:
        """Return 64 hex digits that change with anything that changes the outputs."""
        return model_fingerprint(self)

    # --- folders ---

    def write(self, directory: Path) -> None:
        """Write adapters, config, model card and LoRA into an existing folder."""
        write_model(self, directory)

    def save(self, directory: str | Path, card: ModelCard | None = None) -> None:
        """Write adapters, config, model card and LoRA to a folder, in one atomic step; see `omni.model.checkpoint`."""
        save_model(self, Path(directory), card)

    @classmethod
    def load(
        cls,
        directory: str | Path,
        trust_code: bool = False,
        *,
        device: str | torch.device | None = None,
        dtype: str | None = None,
    ) -> Self:
        """Load what `save` wrote; strict: a missing, unexpected or misshaped key is an error that names it.

        trust_code: run code that the folder names and that is not omni's; see SECURITY.md. What was trained or saved
            on this machine needs no such word.
        """
        return load_model(cls, Path(directory), device=device, dtype=dtype, trust_code=trust_code)

    @classmethod
    def combine(
        cls,
        directories: Mapping[str, str | Path],
        *,
        system: str | None = None,
        device: str | torch.device | None = None,
        dtype: str | None = None,
        trust_code: bool = False,
    ) -> Self:
        """Load modalities that were trained apart over the same LLM: modality -> the folder it comes from.

        `trust_code` is that of `load`.
        """
        paths = {name: Path(directory) for name, directory in directories.items()}
        return combine_models(cls, paths, system=system, device=device, dtype=dtype, trust_code=trust_code)


def build_model(
    config: ModelConfig, device: str | torch.device | None = None, card: ModelCard | None = None
) -> OmniModel:
    """Build an untrained model: frozen LLM and encoders with their weights, new adapters, new LoRA.

    New weights come from torch's global random state: seed it before.
    """
    return build_from_config(OmniModel, config, device, card)
