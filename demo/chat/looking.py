"""What an answer stands on: maps over the media of the last answer, shown below the chat."""

import asyncio
import math
from dataclasses import replace
from html import escape
from typing import Any

import gradio as gr
from PIL import Image

from demo.chat.appearance import data_url
from demo.chat.handlers import visitor_of
from demo.chat.markup import notice
from demo.chat.modalities import spoken
from demo.chat.talk import Settings, Talk, reason_of, without_folders
from demo.chat.turns import Conversation
from omni.explaining import Explanation

PARTS = 25  # of each medium: each is hidden once, and nobody else is answered meanwhile
_WORDS = 4  # of the answer with maps of their own
_SECONDS = 300.0


class Looking:
    """Explain the last answer of a conversation.

    Args:
        talk: asks the model.
    """

    def __init__(self, talk: Talk) -> None:
        self.talk = talk

    def explain(self, conversation: Conversation, settings: Settings) -> Explanation:
        """Return what the last answer stands on.

        Raises:
            ValueError, RuntimeError, OSError: there is no answer, nothing that it could stand on, or no time; the
                message says why.
        """
        *before, last = conversation.turns or (None,)
        if last is None or last.role != "assistant" or not last.text.strip():
            raise ValueError("There is no answer to explain: ask first.")
        asked = Conversation(tuple(before))
        messages = self.talk.messages(asked, settings)
        if not any(message.media for message in messages):
            raise ValueError("The answer stands on no media: attach something, and ask about it.")
        model = self.talk.model
        found = self.talk.answering.call(lambda: model.explain(messages, last.text, parts=PARTS), timeout=_SECONDS)
        media = [replace(one, notes=tuple(map(without_folders, one.notes))) for one in found.media]
        return replace(found, media=tuple(media))

    async def looked(self, request: gr.Request, state: str, *settings: Any) -> tuple[str, str]:
        """Return the maps of the last answer as HTML, and a notice."""
        try:
            with self.talk.charged(visitor_of(request)):
                found = await asyncio.to_thread(self.explain, Conversation.from_json(state), Settings(*settings))
                return await asyncio.to_thread(draw, found), ""
        except (ValueError, RuntimeError, OSError) as error:
            return "", notice(reason_of(error))


def draw(explanation: Explanation) -> str:
    """Return the HTML: for each medium a picture with a row for each measure, and how far the two agree."""
    words = range(min(_WORDS, len(explanation.words)))
    figures = []
    pictures = explanation.render(words)
    for number, (medium, picture) in enumerate(zip(explanation.media, pictures, strict=True), start=1):
        what = f"[{number}] {spoken(medium.modality)}"
        correlation = medium.correlation()
        agree = "not defined" if math.isnan(correlation) else f"{correlation:+.2f}"
        figures.append(
            f"<figure><figcaption>{escape(what)} · rank correlation of the two measures: {agree}</figcaption>"
            f'<div class="scrolled">{_image(picture, " ".join([f"Maps of {what}.", *medium.notes]))}</div></figure>'
        )
    shown = "" if len(words) == len(explanation.words) else f" The first {len(words)} words have maps of their own."
    return (
        f'<div class="looking"><h3>What “{escape(explanation.answer)}” stands on</h3>'
        "<p>Red parts speak for a word and blue ones against it. Occlusion is what the word needs: how much less "
        "likely it is when the part is hidden. Attention is where the model looks."
        f"{shown}</p>{''.join(figures)}</div>"
    )


def _image(picture: Image.Image, text: str) -> str:
    return f'<img src="{data_url(picture)}" alt="{escape(text)}">'
