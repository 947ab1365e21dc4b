"""Published checkpoints of others as models of ours: one module per source, and what they share."""
