"""Conversations: messages, samples, and preference pairs."""
