"""The server of `python -m demo.server`: the interface of OpenAI's clients over a trained model."""
