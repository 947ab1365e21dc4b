"""Instructions: drawn from the seed, the pass and the sample alone; added only where there is no text."""

from collections import Counter

import pytest

from omni.recipe.instructions import INSTRUCTIONS, add_instruction, choose_instruction
from omni.samples.messages import Media, Message, Sample, Text


def sample(*parts: Text | Media, name: str = "a") -> Sample:
    return Sample(name, (Message("user", parts), Message("assistant", (Text("A frog."),))))


PICTURE = Media("image", path="frog.png")


@pytest.mark.parametrize("name", sorted(INSTRUCTIONS))
def test_lists_are_of_8_to_12_different_texts(name: str) -> None:
    texts = INSTRUCTIONS[name]
    assert 8 <= len(set(texts)) == len(texts) <= 12
    assert all(text == text.strip() and text[-1] in ".?" for text in texts)


def test_instruction_goes_to_the_end_of_a_user_turn_without_text() -> None:
    changed = add_instruction(sample(PICTURE), ["Say it."], seed=0, epoch=0)
    assert changed.messages[0].content == (PICTURE, Text("Say it."))
    assert changed.messages[1].text == "A frog."


def test_rows_with_text_of_their_own_keep_it() -> None:
    own = sample(PICTURE, Text("What is it?"))
    assert add_instruction(own, ["Say it."], seed=0, epoch=0) is own


def test_last_user_turn_of_a_dialogue_gets_the_instruction() -> None:
    turns = (*sample(PICTURE, Text("first")).messages, Message("user", (PICTURE,)), Message("assistant", (Text("B"),)))
    changed = add_instruction(Sample("a", turns), ["Say it."], seed=0, epoch=0)
    assert [message.text for message in changed.messages if message.role == "user"] == ["first", "Say it."]


def test_choice_is_repeatable_and_changes_with_seed_pass_and_sample() -> None:
    texts = INSTRUCTIONS["describe_image"]
    cases = [(0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b")]
    series = [
        [choose_instruction(texts, seed + 10 * i, epoch + 10 * i, name + str(i)) for i in range(20)]
        for seed, epoch, name in cases
    ]
    assert series[0] == [choose_instruction(texts, 10 * i, 10 * i, f"a{i}") for i in range(20)]
    assert len({tuple(found) for found in series}) == 4


def test_all_texts_are_drawn_about_equally_often() -> None:
    texts = INSTRUCTIONS["describe_sound"]
    counts = Counter(choose_instruction(texts, 0, 0, f"sample-{i}") for i in range(5000))
    assert set(counts) == set(texts)
    assert max(counts.values()) < 1.3 * min(counts.values())
