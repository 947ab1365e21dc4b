"""The one error that fetching raises for things that a user can put right."""


class FetchError(RuntimeError):
    """An asset could not be fetched: the message says what went wrong and the way out."""
