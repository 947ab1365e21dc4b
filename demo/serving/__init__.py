"""What the chat page and the server share: the address to listen on, who may ask, and what a browser is told."""
