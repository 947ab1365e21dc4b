"""From messages to token ids, labels and media slots."""
