"""Controls: the same questions, put when the model cannot see the right media.

- **blank** (`media-removed-v1`): the media and their cues are left out of the prompt; the text stays. What remains is
  what the LLM guesses from the question alone.
- **shuffled** (`derangement-v1`): each item is shown the media of another item that has another answer. What remains is
  what any media of this kind would give. The requests are those of the other item, so answers are shared with it.
  `derangement-within-v1` takes the other item from the same group of options: all its answers are there already.
"""

import random
from collections.abc import Hashable, Sequence

BLANK_CONTROL = "media-removed-v1"
SHUFFLED_CONTROL = "derangement-v1"
SHUFFLED_WITHIN_CONTROL = "derangement-within-v1"


def derangement(answers: Sequence[Hashable], seed: int) -> list[int] | None:
    """Return for each item the index of another item with a different answer, a permutation where one exists.

    Where an answer belongs to more than half of the items no permutation can do this; then media are drawn with
    repetition from the items with another answer. With a single answer overall there is nothing to shuffle, and None
    is returned.

    Args:
        answers: the right answer of each item (its caption or label).
        seed: the same seed and answers give the same result.
    """
    number = len(answers)
    counts: dict[Hashable, int] = {}
    for answer in answers:
        counts[answer] = counts.get(answer, 0) + 1
    if len(counts) < 2:
        return None
    generator = random.Random(seed)
    largest = max(counts.values())
    if 2 * largest > number:
        return [generator.choice([j for j in range(number) if answers[j] != answer]) for answer in answers]
    # Sort so that equal answers are neighbours, in random order otherwise; a rotation by at least the size of the
    # largest group then moves every item out of its own group.
    order = {answer: rank for rank, answer in enumerate(generator.sample(sorted(counts, key=repr), len(counts)))}
    items = list(range(number))
    generator.shuffle(items)
    items.sort(key=lambda index: order[answers[index]])
    rotation = generator.randint(largest, number - largest)
    result = [0] * number
    for position, item in enumerate(items):
        result[item] = items[(position + rotation) % number]
    return result


def derangement_within(answers: Sequence[Hashable], groups: Sequence[Hashable], seed: int) -> list[int] | None:
    """Return for each item the index of another item of its group with a different answer, as `derangement` draws it.

    An item whose group has no other answer is given any item with another answer, by seed. None is returned where all
    items have the same answer.

    Args:
        answers: the right answer of each item.
        groups: the group of each item.
        seed: the same seed, answers and groups give the same result.
    """
    if len({*answers}) < 2:
        return None
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    generator = random.Random(seed)
    result = [0] * len(answers)
    for items in members.values():
        drawn = derangement([answers[index] for index in items], generator.getrandbits(32))
        for place, index in enumerate(items):
            if drawn is None:
                others = [other for other, answer in enumerate(answers) if answer != answers[index]]
                result[index] = generator.choice(others)
            else:
                result[index] = items[drawn[place]]
    return result
