"""`python -m eval compare A B`: the same tasks of several models, compared item by item."""
