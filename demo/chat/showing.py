"""A conversation as the chat shows it: media drawn, with their sizes and tokens, and notes below the answers."""

from typing import Any

from demo.chat.markup import caption, literal
from demo.chat.modalities import spoken
from demo.chat.store import Store
from demo.chat.turns import Attachment, Conversation, Turn


def show(conversation: Conversation, store: Store) -> list[Any]:
    """Return the messages of Gradio's chat, dictionaries with `role` and `content`."""
    return [shown_turn(turn, store) for turn in conversation.turns]


def shown_turn(turn: Turn, store: Store) -> dict[str, Any]:
    """Return one message; an answer is Markdown, a question is shown as it was typed."""
    if turn.role == "assistant":
        return {"role": turn.role, "content": "\n\n".join([turn.text, *([caption(turn.note)] if turn.note else [])])}
    content: list[Any] = []
    for part in turn.parts:
        if isinstance(part, str):
            content.append(literal(part))
            continue
        shown = store.show(part)
        content += [{"path": file, "alt_text": describe(part)} for file in shown.files]
        content.append(caption(" · ".join([describe(part), *([shown.caption] if shown.caption else [])])))
    return {"role": turn.role, "content": content or [""]}


def describe(attachment: Attachment) -> str:
    """Return a line about an attachment, such as `bird.png · image · 16 tokens`."""
    tokens = "" if attachment.tokens is None else f" · {attachment.tokens} token{'s' * (attachment.tokens != 1)}"
    return f"{attachment.name} · {spoken(attachment.modality)}{tokens}"
