"""The batches that requests are put to a model in, and how processes share them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from eval.run.requests import Requests

# A prefix is short next to its candidates where these are many; where there is one, the prefix is most of the work.
_PREFIX_BYTES = 150  # of text that costs about as much as a prefix: some thirty tokens, media among them
_SHARING = 4  # prefixes with the same first medium from which on they are batches of their own
_GENERATED_BYTES = 400  # the same for an answer in free text, which is written token by token


@dataclass(frozen=True)
class Batch:
    """Prefixes that go into one call of the model.

    Attributes:
        candidates: prefix key -> the candidates to score, equally many for each; empty where texts are generated.
        generate: prefix keys to generate a text for, with the settings of the digest `settings`.
        settings: the digest of the generation settings; empty where candidates are scored.
    """

    candidates: Mapping[str, Sequence[str]]
    generate: Sequence[str] = ()
    settings: str = ""

    @property
    def prefix_keys(self) -> list[str]:
        """The keys of its prefixes."""
        return [*self.candidates, *self.generate]

    @property
    def num_answers(self) -> int:
        """Answers that it asks for."""
        return sum(map(len, self.candidates.values())) + len(self.generate)

    @property
    def cost(self) -> int:
        """About how much work it is, in bytes of text that the language model reads."""
        return sum(map(_scoring_cost, self.candidates.values())) + len(self.generate) * (
            _PREFIX_BYTES + _GENERATED_BYTES
        )


def make_batches(
    missing: Mapping[str, Sequence[str]], pending: Mapping[str, Sequence[str]], requests: Requests, batch_size: int
) -> list[Batch]:
    """Return batches of at most `batch_size` prefixes that ask for everything that is missing.

    Prefixes of a batch have equally many candidates, since the model takes lists of one length, of about the same
    length altogether, so that little is padded; those that show the same media come after each other. Several that
    begin with the same medium are batches of their own, in which it is read by the language model once.

    Args:
        missing: prefix key -> candidates to score.
        pending: digest of generation settings -> keys of prefixes to answer.
        requests: has the prefixes.
        batch_size: the most prefixes of a batch.
    """
    shown = {key: [part.content_hash() for part in requests.prefixes[key].media] for key in missing}
    order = sorted(missing, key=lambda key: (len(missing[key]), _scoring_cost(missing[key]), shown[key]))
    batches: list[Batch] = []
    for number in dict.fromkeys(len(missing[key]) for key in order):
        group = [key for key in order if len(missing[key]) == number]
        parts = [keys for run in _by_first_medium(group, shown) for keys in _cut(run, batch_size)]
        batches += [Batch({key: missing[key] for key in keys}) for keys in parts]
    for settings, keys in pending.items():
        batches += [Batch({}, part, settings) for part in _cut(keys, batch_size)]
    return batches


def share(batches: Sequence[Batch], count: int) -> list[list[Batch]]:
    """Return the batches of each of `count` processes: the costliest first, each to whom has the least to do.

    The same batches are shared in the same way each time, and each process keeps their order.
    """
    loads = [0] * count
    owners: dict[int, int] = {}
    for index in sorted(range(len(batches)), key=lambda index: -batches[index].cost):
        owner = loads.index(min(loads))
        owners[index] = owner
        loads[owner] += batches[index].cost
    return [[batch for index, batch in enumerate(batches) if owners[index] == number] for number in range(count)]


def _by_first_medium(keys: Sequence[str], shown: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Runs of at least `_SHARING` neighbours with the same first medium, each by itself; before them all others."""
    runs = [list(run) for _, run in groupby(keys, key=lambda key: shown[key][:1] or [key])]
    others = [key for run in runs if len(run) < _SHARING for key in run]
    return [others, *(run for run in runs if len(run) >= _SHARING)]


def _cut(keys: Sequence[str], size: int) -> list[Sequence[str]]:
    return [keys[start : start + size] for start in range(0, len(keys), size)]


def _scoring_cost(candidates: Sequence[str]) -> int:
    return _PREFIX_BYTES + sum(len(candidate.encode()) for candidate in candidates)
