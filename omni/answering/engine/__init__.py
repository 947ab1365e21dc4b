"""Answers by an engine elsewhere: encoders and adapters run here, and the LLM there reads their embeddings."""

from omni.answering.engine.client import EngineError
from omni.answering.engine.vllm import VLLMAnswering

__all__ = ["EngineError", "VLLMAnswering"]
