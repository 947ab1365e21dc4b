"""Speed and memory, measured: `python -m eval.speed train` sets the training step beside a plain transformers loop."""
