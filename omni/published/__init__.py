"""Published checkpoints of others, imported as models of ours: one module per source, and their common parts."""
