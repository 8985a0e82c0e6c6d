"""The client protocol: values and messages in BARE, CBOR and JSON. Bytes in, records out."""
