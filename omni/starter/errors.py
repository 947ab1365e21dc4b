"""The one error that fetching raises for problems that a user can solve."""


class FetchError(RuntimeError):
    """An asset could not be fetched: the message says what went wrong and the way out."""
