"""The one error that loaders of media raise."""


class MediaError(ValueError):
    """A media item cannot be used: `item` names it and `problem` says what is wrong and what to do. Picklable."""

    def __init__(self, item: str, problem: str) -> None:
        super().__init__(item, problem)
        self.item = item
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.item}: {self.problem}"
