"""Options that items share: the right answers of a task, cut into groups whose members choose among each other's.

So the options of a whole group are asked about as one tree of tokens, and media that are exchanged within it
(`eval.items.controls.derangement_within`) need no question that another item has not asked.
"""

import math
import random
from collections.abc import Sequence

from eval.items.prefix import digest


def grouped_options(answers: Sequence[str], num_candidates: int, seed: int) -> dict[str, tuple[str, ...]]:
    """Return for each answer the options of all items with this answer: `num_candidates` distinct answers.

    The distinct answers are put in an order by seed and dealt out to as few groups as hold them, so that the sizes of
    groups differ by one at most. It is answers that are dealt, not items: items with the same answer are in one group,
    and however many they are, no group has an answer twice and no item is left over. A group with fewer answers than
    `num_candidates` is completed by answers of other groups, drawn by seed: distractors of the group's items, and right
    for none of them. An answer meets every other one as a distractor with the same probability, as if distractors had
    been drawn for it alone; so no answer has easier ones by construction, and the expected score is that of `sampled`.

    With as many answers as `num_candidates` or fewer, all are the options of every item.

    Args:
        answers: the right answer of each item, in one spelling.
        num_candidates: the number of options, at least 2.
        seed: the same seed and answers give the same groups, whatever the order of the items.
    """
    order = sorted({*answers}, key=lambda answer: digest([seed, "grouped", answer]))
    count = math.ceil(len(order) / num_candidates)
    found: dict[str, tuple[str, ...]] = {}
    for number in range(count):
        group = order[number::count]
        others = [answer for answer in order if answer not in group]
        generator = random.Random(digest([seed, group]))
        options = group + generator.sample(others, min(num_candidates - len(group), len(others)))
        generator.shuffle(options)
        found |= dict.fromkeys(group, tuple(options))
    return found
