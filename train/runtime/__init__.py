"""What every other room of training stands on: processes, seeds, signals, and errors of the disk."""
