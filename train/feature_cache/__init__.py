"""The feature cache of a run, and the weights of encoders that it makes needless."""
