"""The bridge: the labels of an encoder's own classifier as text in the prompt, and no adapter at all.

The same LLM ranks the same candidates; a medium is replaced by a sentence such as `A picture was tagged automatically
with: Arabian camel, ibex, ...`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from eval.items.conditions import BRIDGE, BRIDGE_REFERENCE, OWN, REFERENCE
from eval.items.prefix import Prefix, Turn, digest
from eval.run.answering import ITEM_ERRORS
from eval.run.cache import AnswerCache
from eval.run.kinds import procedure_of
from eval.run.plan import Plan
from eval.run.space import Respondent
from omni.encoders.base import Encoder
from omni.samples.messages import Media, Message, Text

NUM_LABELS = 5
_NOUNS = {
    "image": "A picture",
    "sound": "A sound",
    "speech": "A recording of speech",
    "video": "A video",
    "point_cloud": "A 3D object",
    "depth": "A depth picture",
    "thermal": "A thermal picture",
}


def with_bridge(model: Respondent, plan: Plan, cache: AnswerCache, *, enabled: bool = True) -> Plan:
    """Return the plan with the bridge as a further condition, or with the reason why there is none."""
    try:
        if not enabled:
            raise ValueError("switched off for this run")
        if model.language_model is None:
            raise ValueError("a joint space reads no prompt")
        if not procedure_of(plan.task.kind).ranks_candidates:
            raise ValueError("only a choice among candidates has one")
        tags = {name: _Tagger.of(model.modality(name).encoder, cache) for name in plan.task.modalities}
    except (ValueError, OSError) as error:
        return replace(plan, not_computed={**plan.not_computed, BRIDGE: str(error)})

    def sentence(media: Media) -> str:
        labels = ", ".join(tags[media.modality].labels(media)[:NUM_LABELS])
        return f"{noun_of(media.modality)} was tagged automatically with: {labels}.\n"

    conditions = dict(plan.conditions)
    failed: list[str] = []  # why a medium has no labels
    for name, source in ((BRIDGE, OWN), (BRIDGE_REFERENCE, REFERENCE)):
        if source in plan.conditions:
            conditions[name] = [_told(prefixes, sentence, failed) for prefixes in plan.conditions[source]]
    if not any(conditions[BRIDGE]):
        return replace(plan, not_computed={**plan.not_computed, BRIDGE: f"no item has labels; the first: {failed[0]}"})
    lost = sum(not told for told in conditions[BRIDGE])
    said = f"the {NUM_LABELS} likeliest labels as text{f', {lost} items without labels left out' if lost else ''}"
    return replace(plan, conditions=conditions, settings={**plan.settings, BRIDGE: said})


def noun_of(modality: str) -> str:
    """Return what a medium of a modality is called at the beginning of a sentence."""
    return _NOUNS.get(modality, f"A medium of the kind {modality.replace('_', ' ')}")


def _told(prefixes: Sequence[Prefix], sentence: Callable[[Media], str], failed: list[str]) -> list[Prefix]:
    """The prefixes with sentences in place of media; without those of which a medium cannot be read, for a reason."""
    found = []
    for prefix in prefixes:
        try:
            found.append(in_words(prefix, sentence))
        except ITEM_ERRORS as error:
            failed.append(str(error))
    return found


def in_words(prefix: Prefix, sentence: Callable[[Media], str]) -> Prefix:
    """Return a prefix with a sentence in place of each medium, those of solved examples too."""

    def told(message: Message) -> tuple[Text, ...]:
        return tuple(part if isinstance(part, Text) else Text(sentence(part)) for part in message.content)

    own = replace(prefix, shots=()).messages
    shots = tuple(Message(shot.role, told(shot)) for shot in prefix.shots)
    return Prefix((), prefix.prompt, tuple(Turn(message.role, told(message)) for message in own), shots)


@dataclass(frozen=True)
class _Tagger:
    """The likeliest labels of media by one encoder, which are kept in the answer cache."""

    encoder: Encoder
    names: list[str]
    cache: AnswerCache
    key: str

    @classmethod
    def of(cls, encoder: Encoder, cache: AnswerCache) -> "_Tagger":
        names = encoder.label_names()
        return cls(encoder, names, cache, digest([encoder.fingerprint(), names]))

    def labels(self, media: Media) -> list[str]:
        key = self.cache.key("labels-v1", self.key, media.content_hash())
        stored = self.cache.get(key)
        if stored is None:
            probabilities = self.encoder.label_probabilities(self.encoder.preprocess(media))
            best = probabilities.topk(min(NUM_LABELS, len(self.names))).indices.tolist()
            stored = [self.names[index] for index in best]
            self.cache.put({key: stored})
        return stored
