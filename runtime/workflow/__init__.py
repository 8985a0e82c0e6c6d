"""The workflow engine: durable, replayable runs, without storage and processes.

What users write with is :mod:`stator.workflow`. Where the engine's records are kept, and what runs
a step, is a :class:`.host.Host`; the worker's is in ``shards/workflows``.
"""
