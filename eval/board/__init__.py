"""`python -m eval board`: many models and tasks on one page that needs no network, and as a picture."""
