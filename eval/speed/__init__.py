"""Speed and memory: `python -m eval.speed train` compares the training step with a plain transformers loop."""
