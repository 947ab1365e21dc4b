"""Examples to click on in an empty chat: held-out starter media, where they have been fetched."""

from demo.chat.app import Example
from omni.readers import open_dataset
from omni.samples.messages import Media, SampleError
from omni.starter import resolve

# modality -> the starter manifests to look into, best first, and a question that goes with them
SOURCES: dict[str, tuple[tuple[str, ...], str]] = {
    "image": (("stamps/image-test.jsonl",), "What is in the picture? Answer in a few words."),
    "sound": (("stamps/sound-test.jsonl", "sonic-pi/sound-test.jsonl"), "What do you hear? Answer in a few words."),
    "speech": (("asterisk/speech-test.jsonl", "stamps/speech-test.jsonl"), "What is being said?"),
}
BOTH = ("stamps/triplet-test.jsonl", "Describe what you see and hear in a few words.")
MAX_EXAMPLES = 4


def starter_examples(modalities: list[str]) -> list[Example]:
    """Return up to four examples for these modalities; none where no starter data is present (nothing is fetched)."""
    examples = []
    if {"image", "sound"} <= set(modalities):
        reference, question = BOTH
        examples += _examples((reference,), {"image", "sound"}, question, "A picture and a sound")
    for modality in modalities:
        references, question = SOURCES.get(modality, ((), ""))
        examples += _examples(references, {modality}, question, f"A{'n' if modality[0] in 'aeiou' else ''} {modality}")
    return examples[:MAX_EXAMPLES]


def _examples(references: tuple[str, ...], wanted: set[str], question: str, kind: str) -> list[Example]:
    for reference in references:
        try:
            rows = open_dataset(resolve(f"starter:{reference}"))
        except FileNotFoundError:
            continue  # not fetched: the page does without this example
        for index in range(len(rows)):
            sample = rows[index]
            media: tuple[Media, ...] = () if isinstance(sample, SampleError) else sample.media
            files = [item.path for item in media if item.modality in wanted and isinstance(item.path, str)]
            if len(files) == len(wanted):
                return [Example(question, files, f"{kind}: {question}")]
    return []
