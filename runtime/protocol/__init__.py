"""The client protocol: values and messages in BARE, CBOR and JSON. Bytes in, records out.

    encoding      which format a body is in
    actions       an action's call and answer, an actor's input
    error_bodies  error answers
    queue         queue sends
    connection    the records of a connection; ``to_server`` and ``to_client`` encode them

Everything else is behind these: :mod:`lowering` and the dialects carry values, :mod:`tagged` the
arrays that stand for what a format lacks, :mod:`bare` the binary frame, :mod:`envelope` the map.

Rule 1. Decoders are total: any bytes give a value or ``InvalidRequest``; nothing is allocated
        for a length that was only declared.
Rule 2. Decoded values are None, bool, int, float, str, bytes, aware datetime, list, dict and set;
        tuples, frozensets and ``cbor2.frozendict`` stand where something hashable must.
Rule 3. Encoders raise ``OutputNotSerializable`` with the path of what cannot be sent.
"""
