"""The top floor: a chat page over any trained model. `python -m demo --model DIR`."""
