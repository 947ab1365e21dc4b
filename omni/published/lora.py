"""The LoRA of a published checkpoint (X-InstructBLIP with `lora: True`), under PEFT's names."""

import re
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from omni.config import LoRAConfig
from omni.llm.language_model import SHARED_LORA, LanguageModel
from omni.published.files import PublishedFile
from omni.published.key_report import FileReport

_NAME = re.compile(
    r"llm_model\.base_model\.model\.(?P<layer>.+\.(?P<module>\w+))\.lora_(?P<which>[AB])(?:\.default)?\.weight$"
)
_ALPHA, _DROPOUT = 32, 0.1  # fixed in the published code, and not in its files


@dataclass(frozen=True)
class PublishedLoRA:
    """The low-rank updates of the LLM in a file."""

    file: PublishedFile
    config: LoRAConfig

    @classmethod
    def find(cls, file: PublishedFile) -> "PublishedLoRA | None":
        """Return the LoRA of the file, or None if it has none; raise ValueError for several ranks."""
        found = {name: match for name in file.state if (match := _NAME.match(name))}
        if not found:
            return None
        ranks = {file.state[name].shape[0 if match["which"] == "A" else -1] for name, match in found.items()}
        if len(ranks) != 1:
            raise ValueError(f"{file.path}: its LoRA has several ranks, {sorted(ranks)}")
        modules = sorted({match["module"] for match in found.values()})
        return cls(file, LoRAConfig(r=ranks.pop(), alpha=_ALPHA, dropout=_DROPOUT, target_modules=modules))

    def account(self, report: FileReport) -> None:
        """Note in `report` which tensors are the LoRA's."""
        report.used.update(name for name in report.names if _NAME.match(name))

    def add_to(self, llm: LanguageModel, used: Collection[str]) -> None:
        """Give the LLM this LoRA.

        Raises:
            ValueError: it was made for another LLM: layers are missing, or have other widths.
        """
        llm.add_lora(self.config, [SHARED_LORA])
        own = {
            (match["layer"], match["which"]): weight
            for name, weight in llm.model.named_parameters()
            if (match := _NAME.match(f"llm_model.{name}"))
        }
        given: dict[tuple[str, str], Tensor] = {}
        for name in used:
            match = _NAME.match(name)
            if match:
                given[match["layer"], match["which"]] = self.file.state[name]
        wrong = sorted(
            {".".join(place) for place in own.keys() ^ given.keys()}
            | {".".join(place) for place in own.keys() & given.keys() if own[place].shape != given[place].shape}
        )
        if wrong:
            raise ValueError(f"the LoRA of {self.file.path} is not one of {llm.config.name}: {', '.join(wrong)}")
        with torch.no_grad():
            for place, weight in own.items():
                weight.copy_(given[place])
