"""The commands of `python -m omni`, one module each."""
