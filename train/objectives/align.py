"""Alignment without the LLM: media tokens are pulled towards the words of their own answer.

The LLM does not run, so a step costs a thousandth of a language-model step, and a batch can hold hundreds of samples.
What it leaves is an adapter whose tokens already lie near the embeddings of the right words, words that training never
showed included, because the LLM's embedding table puts related words near each other.

Shapes: B samples with media, D width of the LLM, S width of the sentence encoder.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel

from omni.model import OmniModel
from omni.model.batch import Example
from omni.prompts.chat_layout import IGNORED_LABEL
from omni.runtime.hub import check_model
from omni.runtime.pretrained import load_config, load_pretrained, load_tokenizer
from omni.runtime.quiet import quiet_loading
from train.objectives.base import ModelKind


class AlignObjective(nn.Module):
    """InfoNCE (van den Oord et al. 2018, arXiv 1807.03748), both ways, between samples' media tokens and their answers.

    A sample is the mean of its media tokens; its answer is the mean of its words' rows in the LLM's embedding table
    and, with `sentence_encoder`, also that encoder's sentence embedding, reached by a linear layer that is thrown away
    after training. Samples with the same answer are positives of each other.

    Args:
        temperature: of the softmax over cosine similarities.
        sentence_encoder: folder, Hugging Face id or starter:NAME of an encoder whose masked mean is a sentence
            embedding (such as starter:minilm); None = words only.
        sentence_dim: width of its embeddings.
        llm_dim: width of the LLM; needed with `sentence_encoder`.
    """

    trains: ClassVar[ModelKind] = "llm"
    runs_llm = False  # it takes the LLM's embedding table alone

    def __init__(
        self,
        temperature: float = 0.07,
        sentence_encoder: str | None = None,
        sentence_dim: int = 384,
        llm_dim: int | None = None,
    ) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"objective.init_args.temperature must be above 0, not {temperature}")
        if sentence_encoder is not None and llm_dim is None:
            raise ValueError("objective.init_args: sentence_encoder also needs llm_dim, the width of the LLM")
        self.temperature = temperature
        self.sentences: SentenceEncoder | None = None
        if sentence_encoder is not None and llm_dim is not None:
            self.sentences = SentenceEncoder(sentence_encoder)
            self.to_sentence = nn.Linear(llm_dim, sentence_dim)

    def forward(
        self, model: OmniModel, batch: Sequence[Example], num_answer_tokens: int, *, packed: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `train.objectives.Objective`. Negatives are the other samples of this process's micro-batch."""
        beside = [name for name in model.modalities if not model.modality(name).adapter.in_sequence]
        if beside:
            raise ValueError(
                f"objective: AlignObjective compares media tokens with words, but the adapters of {beside} make no "
                "tokens of the LLM's width; use train.objectives.LanguageModelObjective"
            )
        examples = [example for example in batch if example.media]
        answers = [_answer_ids(example) for example in examples]
        share = sum(len(answer) for answer in answers) / num_answer_tokens
        if len(examples) < 2:  # nothing to tell apart; text-only rows have nothing to align
            return torch.zeros((), device=model.device), {}
        tokens = [torch.cat(found).mean(0) for found in model.media_tokens(examples)]
        media = torch.stack(tokens).float()  # [B, D]
        texts = [str(model.llm.tokenizer.decode(answer, skip_special_tokens=True)).strip() for answer in answers]
        numbers = torch.tensor([texts.index(text) for text in texts], device=media.device)
        same = numbers[:, None] == numbers
        words = torch.stack([model.llm.embed(_without_specials(model, answer)).mean(0) for answer in answers]).float()
        # All sentences share a large common part (full stop, articles): only what sets them apart counts.
        center = words.mean(0)
        loss = self._info_nce(media - center, words - center, same)
        if self.sentences is not None:
            sentences = self.sentences(texts).to(media.device)
            loss = loss + self._info_nce(self.to_sentence(media), sentences - sentences.mean(0), same)
        return loss * share, {"align_loss": loss.detach() * share}

    def _info_nce(self, media: Tensor, text: Tensor, same: Tensor) -> Tensor:
        """media [B, D], text [B, D], same [B, B] bool: which texts are right for which media -> scalar."""
        logits = F.normalize(media, dim=-1) @ F.normalize(text, dim=-1).T / self.temperature
        targets = same.float() / same.sum(1, keepdim=True)  # symmetric: `same` is an equivalence
        return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def _answer_ids(example: Example) -> Tensor:
    return example.labels[example.labels != IGNORED_LABEL]


def _without_specials(model: OmniModel, answer: Tensor) -> Tensor:
    special = torch.tensor(model.llm.tokenizer.all_special_ids)
    words = answer[~torch.isin(answer, special)]
    return words if len(words) else answer


class SentenceEncoder:
    """Frozen sentence embeddings by masked mean pooling, kept by text: training shows the same answers over again."""

    def __init__(self, name: str) -> None:
        check_model(name, "objective.init_args: the model of sentences")
        self.tokenizer = load_tokenizer(name)
        with quiet_loading():
            load_config(name)  # which refuses what would run code
            self.encoder = load_pretrained(AutoModel, name).eval().requires_grad_(False)
        self.known: dict[str, Tensor] = {}

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Texts -> embeddings [B, S] on the CPU."""
        new = sorted(set(texts) - set(self.known))
        for start in range(0, len(new), 64):
            part = new[start : start + 64]
            inputs = self.tokenizer(part, padding=True, truncation=True, return_tensors="pt")
            hidden = self.encoder(**inputs).last_hidden_state
            mask = inputs["attention_mask"][..., None]
            self.known |= dict(zip(part, (hidden * mask).sum(1) / mask.sum(1), strict=True))
        return torch.stack([self.known[text] for text in texts])
