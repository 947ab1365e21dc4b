"""`Choose` with several right answers to an item, such as the labels of a sound in AudioSet."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from eval.items.item import Item
from eval.items.loading import LoadedItems
from eval.items.own_options import read_options, right_option
from eval.run.kinds.base import with_bad
from eval.run.kinds.choose import ChooseProcedure
from eval.scorers import ChoiceAnswer, LabelSetAnswer
from eval.task import Task


@dataclass(frozen=True)
class ChooseSeveralProcedure(ChooseProcedure):
    """Scores the options of an item as `Choose` does; each reference of the item names a right one.

    The shuffled control takes the media of an item with another set of right options; the two sets may overlap.
    """

    answer_type: ClassVar[type[ChoiceAnswer]] = LabelSetAnswer

    def prepare(self, task: Task, loaded: LoadedItems, seed: int) -> LoadedItems:
        """Give each item its options and all right ones; an item with a label that is none of them is bad, and named.

        Raises:
            ValueError: there are fewer than two labels.
        """
        named = [reference for item in loaded.items for reference in item.references]
        labels = self.kind.labels or {label: label for label in sorted({*named})}
        if self.kind.own_key is None and loaded.items and len({*labels.values()}) < 2:
            raise ValueError(f"task {task.name!r} needs at least two different labels; found {[*labels]}")
        items, bad = [], {}
        for index, item in enumerate(loaded.items):
            try:
                items.append(self._with_options(item, labels))
            except ValueError as error:
                items.append(item)
                bad[index] = str(error)
        return with_bad(replace(loaded, items=tuple(items)), bad)

    def _with_options(self, item: Item, labels: Mapping[str, str]) -> Item:
        if self.kind.own_key is not None:
            options = read_options(item.meta, self.kind.own_key)
            rights = [right_option(reference, options, self.kind.right_by) for reference in item.references]
        else:
            unknown = [reference for reference in item.references if reference not in labels]
            if unknown:
                raise ValueError(f"has the label {unknown[0]!r}, which is none of {', '.join(labels)}")
            options = tuple(dict.fromkeys(labels.values()))
            rights = [options.index(labels[reference]) for reference in item.references]
        target = " / ".join(options[right] for right in sorted({*rights}))
        return replace(item, options=options, right=min(rights), also_right=frozenset(rights), target=target)
