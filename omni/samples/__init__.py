"""What a conversation is: messages, samples, and preference pairs."""
