"""One training run: set up, step by step, evaluated and saved."""
