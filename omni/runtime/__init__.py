"""What every room stands on: files, devices, other processes, fast linear layers. Knows nothing of models."""
