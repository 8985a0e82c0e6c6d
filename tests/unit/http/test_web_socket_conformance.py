"""RFC 6455 on the wire: the framing cases of the autobahn test suite, sections 1 to 7 and 10.

``autobahntestsuite`` itself cannot be used: its newest release, 25.10.1, installs, but is Python 2
code (``from _version import __version__`` in its first module, Autobahn 0.10.9), and ``wstest``
ends at that import. Sections 9 (speed) and 12 (compression, which is never negotiated) are left
out. Each case runs against an echo server on loopback, in one write and in chops, and once more
byte by byte without a socket.
"""

from __future__ import annotations

import asyncio
import struct
from typing import NamedTuple

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.echo_server import (
    MAX_MESSAGE_BYTES,
    RecordingOwner,
    echo_server,
    open_in_memory,
    run_on,
)
from tests.fakes.wire_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    ServerFrame,
    chopped,
    client_close,
    client_frame,
    close_code,
    in_pieces,
    read_head,
    split_frames,
    upgrade_request,
)


class Case(NamedTuple):
    """What a client sends; what comes back, and with which code it ends."""

    sent: bytes
    answers: tuple[tuple[int, bytes], ...] = ()
    code: int | None = 1000


def fine(sent: bytes, *answers: tuple[int, bytes]) -> Case:
    """Return a case after which the client closes in order."""
    return Case(sent + client_close(1000), answers)


def refused(sent: bytes, code: int, *answers: tuple[int, bytes]) -> Case:
    """Return a case after which nothing that follows is answered."""
    return Case(sent + client_frame(TEXT, b"unheard"), answers, code)


def pattern(size: int) -> bytes:
    """Return bytes that show when some are missing; they are text too."""
    return (b"*#0123456789abcdef" * (size // 18 + 1))[:size]


HELLO = client_frame(TEXT, b"hello")
HELLO_BACK = (TEXT, b"hello")
SIZES = (0, 125, 126, 127, 128, 65535, 65536, 65537, 2**20)

CASES: dict[str, Case] = {}

for opcode, kind in ((TEXT, "text"), (BINARY, "binary")):
    for size in SIZES:
        data = pattern(size)
        CASES[f"1 {kind} of {size}"] = fine(client_frame(opcode, data), (opcode, data))
CASES["1 all bytes"] = fine(client_frame(BINARY, bytes(range(256))), (BINARY, bytes(range(256))))
CASES["1 many"] = fine(HELLO * 100, *[HELLO_BACK] * 100)

for size in (0, 1, 7, 124, 125):
    data = bytes(range(255 - size, 255))
    CASES[f"2 ping of {size}"] = fine(client_frame(PING, data), (PONG, data))
CASES["2 ping of 126"] = refused(client_frame(PING, b"x" * 126), 1002)
CASES["2 ping of 65536"] = refused(client_frame(PING, b"x" * 65536), 1002)
CASES["2 pong of nothing"] = fine(client_frame(PONG))
CASES["2 pong, then ping"] = fine(client_frame(PONG, b"a") + client_frame(PING, b"b"), (PONG, b"b"))
CASES["2 ten pings"] = fine(
    b"".join(client_frame(PING, b"%d" % i) for i in range(10)),
    *[(PONG, b"%d" % i) for i in range(10)],
)

for bits in range(1, 8):
    CASES[f"3 reserved bits {bits}"] = refused(
        HELLO + client_frame(TEXT, b"x", reserved=bits), 1002, HELLO_BACK
    )
    CASES[f"3 reserved bits {bits} in a ping"] = refused(client_frame(PING, reserved=bits), 1002)
    CASES[f"3 reserved bits {bits} in a close"] = refused(client_frame(CLOSE, reserved=bits), 1002)

for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
    CASES[f"4 opcode {opcode}"] = refused(HELLO + client_frame(opcode), 1002, HELLO_BACK)
    CASES[f"4 opcode {opcode} with payload"] = refused(client_frame(opcode, b"x" * 9), 1002)

CASES.update(
    {
        "5 ping in pieces": refused(in_pieces(PING, b"a", b"b"), 1002),
        "5 pong in pieces": refused(in_pieces(PONG, b"a", b"b"), 1002),
        "5 text in two": fine(in_pieces(TEXT, b"ab", b"cd"), (TEXT, b"abcd")),
        "5 binary in five": fine(in_pieces(BINARY, *[b"x"] * 5), (BINARY, b"xxxxx")),
        "5 empty pieces": fine(in_pieces(TEXT, b"", b"", b""), (TEXT, b"")),
        "5 empty pieces around": fine(in_pieces(TEXT, b"", b"mid", b""), (TEXT, b"mid")),
        "5 pings between": fine(
            client_frame(TEXT, b"a", is_last=False)
            + client_frame(PING, b"1")
            + client_frame(CONTINUATION, b"b", is_last=False)
            + client_frame(PING, b"2")
            + client_frame(CONTINUATION, b"c"),
            (PONG, b"1"),
            (PONG, b"2"),
            (TEXT, b"abc"),
        ),
        "5 continues nothing": refused(client_frame(CONTINUATION, b"x"), 1002),
        "5 continues nothing, not last": refused(
            client_frame(CONTINUATION, b"x", is_last=False), 1002
        ),
        "5 continues a whole message": refused(
            HELLO + client_frame(CONTINUATION, b"x"), 1002, HELLO_BACK
        ),
        "5 text inside text": refused(client_frame(TEXT, b"a", is_last=False) + HELLO, 1002),
        "5 text inside an empty beginning": refused(
            client_frame(TEXT, is_last=False) + HELLO, 1002
        ),
        "5 binary inside text": refused(
            client_frame(TEXT, b"a", is_last=False) + client_frame(BINARY, b"b", is_last=False),
            1002,
        ),
        "5 two messages in pieces": fine(
            in_pieces(TEXT, b"a", b"b") + in_pieces(BINARY, b"c", b"d"),
            (TEXT, b"ab"),
            (BINARY, b"cd"),
        ),
    }
)

GOOD_TEXT = (
    *("κόσμε", "\ufeffmark", "\x00", "\x7f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000"),
    *("\ufffd", "\uffff", "\U00010000", "\U0001fffe", "\U0010ffff", "a€b𝄞c" * 50),
)
BAD_TEXT = (
    *("80", "bf", "c0af", "c1bf", "e080af", "f08080af", "eda080", "edbfbf", "f4908080", "f5"),
    *("fe", "ff", "c3", "e282", "f09d84", "f888808080", "c328", "e228a1", "cebae1bdb9ed"),
)
for text in GOOD_TEXT:
    data = text.encode()
    name = f"6 {text[:6].encode('unicode_escape').decode()}"
    CASES[name] = fine(client_frame(TEXT, data), (TEXT, data))
    CASES[f"{name} in bytes"] = fine(in_pieces(TEXT, *chopped(data, 1)), (TEXT, data))
for hexadecimal in BAD_TEXT:
    data = b"fine so far " + bytes.fromhex(hexadecimal)
    CASES[f"6 bad {hexadecimal}"] = refused(client_frame(TEXT, data), 1007)
    CASES[f"6 bad {hexadecimal} in bytes"] = refused(in_pieces(TEXT, *chopped(data, 1)), 1007)
    CASES[f"6 {hexadecimal} is fine as binary"] = fine(client_frame(BINARY, data), (BINARY, data))
CASES["6 bad before the last piece"] = refused(
    client_frame(TEXT, b"\xff", is_last=False) + client_frame(PING), 1007
)

for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014):
    CASES[f"7 code {code}"] = Case(client_close(code), (), code)
for code in (3000, 3999, 4000, 4999):
    CASES[f"7 code {code}"] = Case(client_close(code, "why"), (), code)
for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
    CASES[f"7 bad code {code}"] = Case(client_close(code), (), 1002)
CASES.update(
    {
        "7 no code": Case(client_close(None), (), None),
        "7 half a code": Case(client_frame(CLOSE, b"\x03"), (), 1002),
        "7 longest reason": Case(client_close(1000, "r" * 123), (), 1000),
        "7 reason too long": Case(client_close(1000, "r" * 124), (), 1002),
        "7 reason is no text": Case(client_close(1000, b"\xff\xfe"), (), 1007),
        "7 after a message": fine(HELLO, HELLO_BACK),
        "7 message after": Case(client_close(1000) + HELLO, (), 1000),
        "7 ping after": Case(client_close(1000) + client_frame(PING), (), 1000),
        "7 twice": Case(client_close(1001) * 2, (), 1001),
        "7 inside a message": Case(
            client_frame(TEXT, b"a", is_last=False) + client_close(), (), 1000
        ),
        "7 garbage after": Case(client_close(1000) + b"\xff" * 20, (), 1000),
    }
)

CASES.update(
    {
        "unmasked text": refused(client_frame(TEXT, b"x", is_masked=False), 1002),
        "unmasked and empty": refused(client_frame(BINARY, is_masked=False), 1002),
        "unmasked later": refused(
            HELLO + client_frame(TEXT, b"x", is_masked=False), 1002, HELLO_BACK
        ),
        "unmasked ping": refused(client_frame(PING, is_masked=False), 1002),
        "unmasked close": refused(client_frame(CLOSE, is_masked=False), 1002),
        "unmasked piece": refused(
            client_frame(TEXT, b"a", is_last=False) + client_frame(0, b"b", is_masked=False), 1002
        ),
        "longest message": fine(
            client_frame(BINARY, bytes(MAX_MESSAGE_BYTES)), (BINARY, bytes(MAX_MESSAGE_BYTES))
        ),
        "longest message in pieces": fine(
            in_pieces(BINARY, bytes(MAX_MESSAGE_BYTES - 3), b"", b"wxy", b""),
            (BINARY, bytes(MAX_MESSAGE_BYTES - 3) + b"wxy"),
        ),
        "too long": refused(client_frame(BINARY, bytes(MAX_MESSAGE_BYTES + 1)), 1009),
        "too long in pieces": refused(
            in_pieces(BINARY, bytes(MAX_MESSAGE_BYTES - 3), b"", b"wxyz", b""), 1009
        ),
        "length of 2**63": refused(struct.pack("!BBQ", 0x82, 0xFF, 2**63) + MASK, 1009),
        "length of 2**64 - 1": refused(struct.pack("!BBQ", 0x82, 0xFF, 2**64 - 1) + MASK, 1009),
        "no WebSocket at all": refused(b"GET / HTTP/1.1\r\n\r\n", 1002),
        "10 pieces of 1300": fine(
            in_pieces(TEXT, *chopped(pattern(65536), 1300)), (TEXT, pattern(65536))
        ),
    }
)

each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def check(case: Case, written: bytes) -> None:
    """Compare what came back with what should."""
    *answers, last = split_frames(written)
    assert [ServerFrame(*answer) for answer in case.answers] == answers
    assert close_code(last) == case.code


async def exchange(port: int, parts: list[bytes]) -> bytes:
    """Return everything that a server sends to a client that sends ``parts`` and then reads."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(upgrade_request())
    await read_head(reader)
    reading = asyncio.ensure_future(reader.read())
    for part in parts:
        writer.write(part)
        await writer.drain()
    written = await reading
    writer.close()
    return written


@each_case
@pytest.mark.parametrize("size", [2**30, 997])
def test_a_client_on_the_wire_is_answered_as_the_standard_says(case: Case, size: int) -> None:
    async def test() -> None:
        async with echo_server() as server:
            check(case, await exchange(server.port, chopped(case.sent, size)))
            (owner,) = server.owners
            assert len(owner.endings) == 1

    run_on(uvloop.new_event_loop, test)


@each_case
@pytest.mark.parametrize("size", [1, 3])
async def test_it_does_not_matter_how_bytes_arrive(case: Case, size: int) -> None:
    if len(case.sent) / size > 2**17:
        size = 997
    owner = RecordingOwner()
    transport = open_in_memory(owner)
    for part in chopped(case.sent, size):
        owner.socket.data_received(part)
    owner.socket.flush()
    check(case, bytes(transport.written))
    assert len(owner.endings) == 1


MESSAGES = st.lists(
    st.tuples(st.just(TEXT), st.text(max_size=40).map(str.encode))
    | st.tuples(st.just(BINARY), st.binary(max_size=300)),
    max_size=6,
)


def cut(draw: st.DrawFn, data: bytes, most: int) -> list[bytes]:
    """Return ``data`` in at most ``most`` parts, some of them empty."""
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=most - 1)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[tuple[int, bytes]], list[bytes]]:
    """Return messages, and reads in which they may arrive: framed and cut in any way."""
    messages = draw(MESSAGES)
    framed = b""
    for opcode, data in messages:
        for frame in split_client_frames(in_pieces(opcode, *cut(draw, data, 4))):
            framed += frame + draw(st.sampled_from([b"", client_frame(PING), client_frame(PONG)]))
    return messages, cut(draw, framed, 30)


def split_client_frames(data: bytes) -> list[bytes]:
    """Return frames of less than 64 KiB as they are."""
    frames: list[bytes] = []
    while data:
        size = data[1] & 0x7F
        end = 6 + size if size < 126 else 8 + struct.unpack_from("!H", data, 2)[0]
        frames.append(data[:end])
        data = data[end:]
    return frames


@given(conversations())
def test_any_way_to_frame_and_cut_messages_gives_the_same_messages(
    conversation: tuple[list[tuple[int, bytes]], list[bytes]],
) -> None:
    messages, reads = conversation

    async def test() -> None:
        owner = RecordingOwner()
        open_in_memory(owner)
        for data in reads:
            owner.socket.data_received(data)
        assert owner.messages == [(data, opcode == TEXT) for opcode, data in messages]
        assert owner.endings == []

    asyncio.run(test())


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_no_bytes_do_more_than_end_the_socket(reads: list[bytes]) -> None:
    async def test() -> None:
        owner = RecordingOwner()
        transport = open_in_memory(owner)
        for data in reads:
            owner.socket.data_received(data)
        owner.socket.connection_lost(None)
        assert len(owner.endings) == 1
        split_frames(bytes(transport.written))

    asyncio.run(test())
