"""The Python client: the wire protocol over HTTP, so it also works against Rivet's own servers."""
