"""What a task would score without the adapter: a linear map of frozen features, and an encoder's labels as text."""
