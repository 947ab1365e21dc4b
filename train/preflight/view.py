"""How the preflight shows itself: aligned columns on a terminal or in a log file."""

from collections.abc import Sequence
from typing import cast

from rich.console import Console
from rich.table import Table
from rich.text import Text

from omni.model.batch import Example
from omni.model.encoder_stack import EncoderStack
from omni.model.modality import Modality
from omni.prompts.chat_layout import IGNORED_LABEL, MEDIA_SLOT

_WIDTH_OF_A_FILE = 120  # columns where the output is no terminal
ANSWER_START, ANSWER_END = "⟦", "⟧"


class Report:
    """Prints checks as they are made, and counts the problems."""

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console()
        self.console = console if console.is_terminal else Console(file=console.file, width=_WIDTH_OF_A_FILE)
        self.problems = 0

    def title(self, text: str) -> None:
        """The name of a stage."""
        self.console.print(Text(f"\n{text}", style="bold"))

    def good(self, what: str, text: str) -> None:
        """A check that passed."""
        self._line("ok", "green", what, text)

    def warning(self, what: str, text: str) -> None:
        """Something to look at that stops nothing."""
        self._line("note", "yellow", what, text)

    def problem(self, what: str, text: str) -> None:
        """Something that would make the run fail."""
        self.problems += 1
        self._line("FAIL", "bold red", what, text)

    def note(self, text: str) -> None:
        """An explanation."""
        self.console.print(Text(text, style="dim"))

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows with their names on the left and figures on the right."""
        table = Table(box=None, padding=(0, 2, 0, 0), title_justify="left", show_edge=False)
        table.add_column(Text(title, style="bold"), no_wrap=True, overflow="ellipsis")
        for name in header[1:]:
            table.add_column(name, justify="right", header_style="dim")
        for row in rows:
            table.add_row(*map(Text, row))
        self.console.print()
        self.console.print(table)

    def prompt(self, sample_id: str, text: Text) -> None:
        """One sample as the model reads it."""
        self.console.print(
            Text(f"\nprompt of {sample_id}, trained on what stands in {ANSWER_START} {ANSWER_END}", "bold")
        )
        self.console.print(text, soft_wrap=True)
        self.console.print()

    def verdict(self) -> None:
        """The last line."""
        if self.problems:
            self.console.print(Text(f"\n{self.problems} problem(s): the run would fail", style="bold red"))
        else:
            self.console.print(Text("\nready to train", style="bold green"))

    def _line(self, mark: str, style: str, what: str, text: str) -> None:
        first, *others = text.splitlines()
        line = Text.assemble((f"{mark:<6}", style), (f"{what:<11}", "bold"), first)
        for other in others:
            line.append("\n" + " " * 17 + other)
        self.console.print(line, soft_wrap=True)


def render_prompt(model: EncoderStack, example: Example) -> Text:
    """A sample as the LLM reads it: media as `<image x 4>` with their number of tokens, answers marked."""
    assert model.language_model is not None
    tokenizer = model.language_model.tokenizer
    media = iter(example.media)
    text = Text()
    ids: list[int] = []
    answering = False

    def flush() -> None:
        if ids:
            text.append(str(tokenizer.decode(ids)), style="green" if answering else "")
            ids.clear()

    for token_id, label in zip(example.token_ids.tolist(), example.labels.tolist(), strict=True):
        if (label != IGNORED_LABEL) != answering:
            flush()
            answering = not answering
            text.append(ANSWER_START if answering else ANSWER_END, style="bold green")
        if token_id == MEDIA_SLOT:
            flush()
            item = next(media)
            modality = cast(Modality, model.modality(item.modality))  # that of a model with an LLM
            text.append(f"<{item.modality} x {modality.num_tokens(item)}>", style="cyan")
        else:
            ids.append(token_id)
    flush()
    if answering:
        text.append(ANSWER_END, style="bold green")
    text.rstrip()
    return text
