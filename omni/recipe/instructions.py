"""Named lists of instructions, one of which is drawn for each sample that brings no text of its own.

The wordings follow the manner of InstructBLIP (Dai et al. 2023, appendix) and X-InstructBLIP: short requests for the
same thing in different words, so that the adapter does not tie itself to one prompt.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from omni.samples.messages import Sample, Text

INSTRUCTIONS: dict[str, tuple[str, ...]] = {
    "describe_image": (
        "Describe the picture.",
        "What does this picture show?",
        "What is in the picture?",
        "Write a short caption for this image.",
        "Say in a few words what can be seen here.",
        "What do you see?",
        "Give a brief description of the image.",
        "Tell me what this is a picture of.",
        "Caption this image.",
        "Summarize the content of the picture.",
    ),
    "describe_sound": (
        "Describe the sound.",
        "What can be heard?",
        "What is this sound?",
        "Write a short caption for this recording.",
        "Say in a few words what you hear.",
        "What makes this sound?",
        "Give a brief description of the audio.",
        "Tell me what this recording contains.",
        "Caption this sound.",
        "Summarize what happens in the recording.",
    ),
    "transcribe_speech": (
        "Transcribe the speech.",
        "What is being said?",
        "Write down the words that are spoken.",
        "What does the speaker say?",
        "Turn this recording into text.",
        "Give the exact words of the recording.",
        "Repeat in writing what you hear.",
        "Type out the spoken sentence.",
        "Provide a transcript of the speech.",
        "Convert the speech to text.",
    ),
    "describe_video": (
        "Describe the video.",
        "What happens in this video?",
        "What does the clip show?",
        "Write a short caption for this video.",
        "Say in a few words what takes place.",
        "Who does what in this clip?",
        "Give a brief description of the video.",
        "Tell me what is going on here.",
        "Caption this clip.",
        "Summarize the events of the video.",
    ),
    "describe_object": (
        "Describe the object.",
        "What is this object?",
        "What does this 3D model show?",
        "Write a short caption for this 3D model.",
        "Say in a few words what this object is.",
        "Name the object.",
        "Give a brief description of the shape.",
        "Tell me what has been modelled here.",
        "Caption this 3D model.",
        "What thing has this form?",
    ),
}


def resolve_instructions(instructions: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the texts that a recipe's `instructions` stands for; none for null."""
    if instructions is None:
        return ()
    return INSTRUCTIONS[instructions] if isinstance(instructions, str) else tuple(instructions)


def choose_instruction(instructions: Sequence[str], seed: int, epoch: int, sample_id: str) -> str:
    """Return one of `instructions`, which depends on the arguments alone: not on workers, processes or resuming."""
    digest = hashlib.sha256(f"{seed} {epoch} {sample_id}".encode()).digest()
    return instructions[int.from_bytes(digest[:8], "big") % len(instructions)]


def add_instruction(sample: Sample, instructions: Sequence[str], seed: int, epoch: int) -> Sample:
    """Return `sample` with a drawn instruction at the end of its last user turn, if that turn has no text."""
    last_user = max((i for i, message in enumerate(sample.messages) if message.role == "user"), default=None)
    if not instructions or last_user is None:
        return sample
    message = sample.messages[last_user]
    if any(isinstance(part, Text) and part.text.strip() for part in message.content):
        return sample
    instruction = Text(choose_instruction(instructions, seed, epoch, sample.id))
    messages = list(sample.messages)
    messages[last_user] = replace(message, content=(*message.content, instruction))
    return replace(sample, messages=tuple(messages))
