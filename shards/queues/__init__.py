"""The durable queues of actors: messages, who receives them, who waits for replies."""
