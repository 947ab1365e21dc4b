"""Trained folders in other people's evaluation frames; docs/plugins.md says how they are run there."""
