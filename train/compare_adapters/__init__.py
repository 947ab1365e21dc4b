"""Adapters trained on the same data with the same budget: `python -m train.compare_adapters`."""
