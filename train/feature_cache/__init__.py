"""The feature cache of a run, which also drops the weights of encoders that it makes unnecessary."""
