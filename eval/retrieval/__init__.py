"""Retrieval across a joint space."""
