"""Training of adapters (and LoRA) over frozen encoders and a frozen LLM: `accelerate launch -m train RECIPE.yaml`."""

import omni  # noqa: F401 - says what to do in a Python without its packages, before anything else is imported
