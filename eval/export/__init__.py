"""`python -m eval export`: results in the form of other frameworks."""
