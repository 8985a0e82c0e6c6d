"""Durable storage of a shard: one SQLite file, one writer thread, group commit."""
