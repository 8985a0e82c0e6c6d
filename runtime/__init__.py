"""What every process of the service shares, and what users write actors with.

Imports nothing of ours from outside this folder, no SQLite, no sockets, no aiohttp: the actor
model can be read and tested with no process, port or file (conventions, section 3).
"""
