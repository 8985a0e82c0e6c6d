"""The link between processes: frames, their codec and the multiplexed channel."""
