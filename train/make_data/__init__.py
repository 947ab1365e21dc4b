"""Training data made offline by a language model: `python -m train.make_data questions ...`."""
