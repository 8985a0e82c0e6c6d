"""The worker process: hosts shards, the actors in them and the files they live in."""
