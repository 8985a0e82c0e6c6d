"""Benchmarks: each figure beside its own limit on the same machine, see docs/performance.md."""
