"""Recipes: what a run is made of, read strictly from YAML and the command line."""
