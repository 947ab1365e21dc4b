"""The items of a task: what each one shows and asks, which belong together, and the conditions in which it is put."""
