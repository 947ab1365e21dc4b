"""Prompts for the language model, with examples as earlier turns, which base and chat models follow."""

from omni.samples.messages import Message, Text

_CAPTIONS = (
    "A brown dog runs along the beach.",
    "A red double-decker bus in London.",
    "Two children play the piano.",
)
_PROPOSE = "Copy from the caption the words that a question could ask for, with semicolons between them."
_ASK = "Write a short question about the caption to which this is the answer. Do not use the answer in the question."
_ANSWER = "Answer the question about the caption in one to three words."

_PROPOSED = ("brown; dog; along the beach", "red; bus; London", "two; children; the piano")
_ASKED = (
    ("dog", "Which animal runs along the beach?"),
    ("red", "What color is the double-decker bus?"),
    ("the piano", "What do the two children play?"),
)
_ANSWERED = (
    ("Where does the dog run?", "along the beach"),
    ("Which city is the bus in?", "London"),
    ("How many children play the piano?", "two"),
)


def propose_answers(caption: str) -> list[Message]:
    """Return the prompt for answers that a caption gives, separated by semicolons."""
    shown = zip(_CAPTIONS, _PROPOSED, strict=True)
    return conversation(
        [(f"{_PROPOSE}\nCaption: {one}", answer) for one, answer in shown], f"{_PROPOSE}\nCaption: {caption}"
    )


def ask_for(caption: str, answer: str) -> list[Message]:
    """Return the prompt for a question about a caption whose answer is `answer`."""
    shown = [(one, *pair) for one, pair in zip(_CAPTIONS, _ASKED, strict=True)]
    turns = [(f"{_ASK}\nCaption: {one}\nAnswer: {given}", question) for one, given, question in shown]
    return conversation(turns, f"{_ASK}\nCaption: {caption}\nAnswer: {answer}")


def answer_question(caption: str, question: str) -> list[Message]:
    """Return the prompt that asks a question about a caption."""
    shown = [(one, *pair) for one, pair in zip(_CAPTIONS, _ANSWERED, strict=True)]
    turns = [(f"{_ANSWER}\nCaption: {one}\nQuestion: {asked}", answer) for one, asked, answer in shown]
    return conversation(turns, f"{_ANSWER}\nCaption: {caption}\nQuestion: {question}")


def conversation(examples: list[tuple[str, str]], request: str) -> list[Message]:
    """Return a request after solved examples: what was asked and answered."""
    turns: list[Message] = []
    for asked, answered in examples:
        turns += [Message("user", (Text(asked),)), Message("assistant", (Text(answered),))]
    return [*turns, Message("user", (Text(request),))]
