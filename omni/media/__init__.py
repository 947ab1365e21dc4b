"""Media: from a file, bytes or an array to what an encoder takes; one module per modality."""
