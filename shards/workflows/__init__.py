"""Workflows in a worker: where their records are kept, what runs their steps, who controls them."""
