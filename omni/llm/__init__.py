"""The frozen language model: loading, LoRA, what it can do, and the attention of packs."""
