"""The tab "Which of these?": labels that the user types, ranked by the model and by a joint space."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from demo.chat.controls import FEW, asker
from demo.chat.handlers import visitor_of
from demo.chat.loading import LoadedSpace
from demo.chat.markup import notice
from demo.chat.store import Store
from demo.chat.talk import RefusedError, Talk, reason_of
from demo.chat.tray import draw_tray, read_choices, read_paths
from demo.chat.turns import Attachment, Conversation, Turn

QUESTION = "What is it?"
MOST_LABELS = 200
BY_MEDIA, BY_LIKELIHOOD = "What the media add", "Likelihood"
_SECONDS = 300.0


@dataclass(frozen=True)
class Ranking:
    """Labels with their probabilities, each tensor `[L]`; `without` and `in_space` are None where there is no such."""

    labels: Sequence[str]
    shown: Tensor  # by which they are ranked
    likelihood: Tensor
    without: Tensor | None
    in_space: Tensor | None


class Labels:
    """Rank labels.

    Args:
        talk: asks the model.
        store: the uploads.
        space: a joint space that classifies too, or None.
        folder: where uploads lie.
    """

    def __init__(self, talk: Talk, store: Store, space: LoadedSpace | None, folder: Path) -> None:
        self.talk, self.store, self.space, self.folder = talk, store, space, folder

    def rank(self, turn: Turn, labels: Sequence[str], by: str = BY_MEDIA) -> Ranking:
        """Return the probability of each label among all: of the likelihood that the model gives it as its answer, or
        of the likelihood divided by the one without media (pointwise mutual information), which takes away how likely
        a label is anyway.

        Raises:
            ValueError, RuntimeError: the model cannot be asked; the message says why.
        """
        with_question = turn if turn.text.strip() else Turn("user", (*turn.parts, QUESTION))
        answering = self.talk.answering
        asked = Conversation((with_question,)).to_messages(self.store.media_of)
        scores = answering.score(asked, labels, timeout=_SECONDS).float().cpu()
        without = None
        if turn.attachments:
            blank = Turn("user", (with_question.text,))
            without = answering.score(Conversation((blank,)).to_messages(self.store.media_of), labels, timeout=_SECONDS)
            without = without.float().cpu()
        by_media = scores - without if without is not None else scores
        shown = by_media if by == BY_MEDIA else scores
        return Ranking(
            labels,
            shown.softmax(0),
            scores.softmax(0),
            None if without is None else without.softmax(0),
            self._in_space(turn.attachments, labels),
        )

    def _in_space(self, attachments: Sequence[Attachment], labels: Sequence[str]) -> Tensor | None:
        if self.space is None:
            return None
        known = [one for one in attachments if one.modality in self.space.uploads.by_modality]
        if not known or "text" not in self.space.space.modalities:
            return None
        media = {}
        for one in known:
            upload = self.space.uploads.by_modality[one.modality]
            media.setdefault(one.modality, []).append(upload.media(self.store.path_of(one.upload)))
        found = self.space.space.classify(media, labels)
        return torch.cat([*found.values()]).mean(0).float().cpu()

    async def ranked(self, request: gr.Request, box: Any, choices: str, labels: str, by: str) -> tuple[str, str]:
        """Return the table and the notice for what was typed."""
        wanted = [*dict.fromkeys(line.strip() for line in labels.splitlines() if line.strip())]
        if not 2 <= len(wanted) <= MOST_LABELS:
            return "", notice(f"Write 2 to {MOST_LABELS} labels, one a line; these are {len(wanted)}.")
        text, files = (box or {}).get("text") or "", (box or {}).get("files") or []
        try:
            with self.talk.charged(visitor_of(request)):
                turn = await asyncio.to_thread(self.talk.question, text, files, read_choices(choices))
                ranking = await asyncio.to_thread(self.rank, turn, wanted, by)
        except (RefusedError, ValueError, RuntimeError, OSError) as error:
            return "", notice(reason_of(error))
        return draw_ranking(ranking), ""


def draw_ranking(ranking: Ranking) -> str:
    """Return the table as HTML, the likeliest label first."""
    columns = [("Probability", ranking.shown)]
    if ranking.without is not None:
        columns += [("Likelihood with the media", ranking.likelihood), ("Without them", ranking.without)]
    if ranking.in_space is not None:
        columns.append(("In the joint space", ranking.in_space))
    rows = []
    order: list[int] = ranking.shown.argsort(descending=True, stable=True).tolist()
    for index in order:
        cells = "".join(f"<td>{_bar(float(values[index]))}</td>" for _, values in columns)
        rows.append(f'<tr><td class="label">{escape(ranking.labels[index])}</td>{cells}</tr>')
    heads = "".join(f"<th>{escape(name)}</th>" for name, _ in columns)
    return (
        f'<div class="scrolled"><table class="ranking"><thead><tr><th>Label</th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _bar(share: float) -> str:
    text = f"{share:.1%}" if share >= 0.001 else "< 0.1%"
    return f'<div class="bar-back"><div class="bar-front" style="width:{max(share, 0) * 100:.1f}%">{text}</div></div>'


def build_labels(labels: Labels) -> None:
    """Put the tab together."""
    uploads = labels.store.uploads
    gr.Markdown(
        "Attach media, write labels as the model would answer (“A frog.”), and see how probable each is. "
        "Models of this size name the right one of ten far more often than they describe it freely."
    )
    wanted = gr.Textbox(
        label="Labels, one a line", lines=4, max_lines=12, placeholder="A frog.\nA duck.\nA bell.", elem_id="labels"
    )
    by = gr.Radio([BY_MEDIA, BY_LIKELIHOOD], value=BY_MEDIA, label="Rank by")
    parts = asker(
        "labels-ask", uploads, f"{QUESTION} (or your question)",
        lambda attached: draw_tray(read_paths(attached), labels.store, labels.talk),
    )  # fmt: skip
    rank = gr.Button("Rank", variant="primary", elem_id="rank")
    table = gr.HTML("", elem_id="ranking", js_on_load=None)
    for start in (parts.box.submit, rank.click):
        start(
            labels.ranked, [parts.box, parts.choices, wanted, by], [table, parts.notice], js=parts.first, **FEW
        )  # fmt: skip
