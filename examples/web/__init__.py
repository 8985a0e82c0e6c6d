"""The pages of the examples: what they share, and the server that hands them out."""
