"""Training of adapters (and LoRA) over frozen encoders and a frozen LLM: `accelerate launch -m train RECIPE.yaml`."""
