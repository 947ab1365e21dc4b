"""Texts as Markdown and HTML that show them as they are.

Gradio renders all text of a chat as Markdown with HTML.
"""

import re
from html import escape

# Characters that may mean something in Markdown or HTML: some anywhere, others at the head of a line or in addresses.
# Other text is left as it is, because screen readers are given the Markdown.
_MARKUP = re.compile(
    r"[\\`*_{}\[\]<>#|~$&@]|^ +|^[ ]*[-+=]|(?<=\d)[.)](?=\s)|:(?=//)|(?<=www)\.", re.MULTILINE | re.IGNORECASE
)


def literal(text: str) -> str:
    """Return Markdown that shows `text` as it was typed; `html.unescape` gives the text again."""
    return _MARKUP.sub(lambda match: "".join(f"&#{ord(letter)};" for letter in match.group()), text)


def caption(text: str) -> str:
    """Return a small line of text below a medium or an answer."""
    return f'<span class="caption">{literal(text)}</span>'


def notice(text: str) -> str:
    """Return the HTML of a message of the page itself: an error or a piece of advice, in words."""
    paragraphs = "".join(f"<p>{escape(part)}</p>" for part in text.split("\n\n") if part.strip())
    return f'<div class="notice" role="status">{paragraphs}</div>' if paragraphs else ""
