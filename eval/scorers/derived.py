"""What scorers share that are made of another one: it says their name, their version and what they take."""

from eval.scorers.base import Scorer


class Derived:
    """A scorer whose answers go through another scorer.

    Attributes:
        kind: the beginning of its name, such as `pairs`.
        scorer: the other one.
        own_version: its own part of the version.
    """

    kind: str
    scorer: Scorer
    own_version: int

    @property
    def single_name(self) -> str:
        """What stands behind the kind in its name."""
        return self.scorer.name

    @property
    def name(self) -> str:
        """See `Scorer`."""
        return f"{self.kind}-{self.single_name}"

    @property
    def version(self) -> int:
        """Rises with the version of either part."""
        return self.own_version + self.scorer.version - 1

    @property
    def takes(self) -> tuple[type, ...]:
        """See `Scorer`."""
        return self.scorer.takes
