"""The tree of structs: what it takes, and how it is handed to a child."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.config import (
    Actors,
    Auth,
    Config,
    Cors,
    HttpUrl,
    NamespaceName,
    Namespaces,
    Origin,
    RegistryName,
    Server,
    Storage,
    Token,
    Workers,
)
from stator.runtime.options import Settings

seconds = st.floats(min_value=0.001, max_value=86_400)
configs = st.builds(
    Config,
    server=st.builds(Server, port=st.integers(0, 65_535), keep_alive=seconds),
    namespaces=st.builds(
        Namespaces,
        names=st.lists(st.from_regex(r"\A[a-z][a-z0-9-]{0,20}\Z"), min_size=1).map(tuple),
        create_on_use=st.booleans(),
    ),
    workers=st.builds(Workers, count=st.just("auto") | st.integers(1, 256), grace_period=seconds),
    storage=st.builds(
        Storage,
        directory=st.text(st.characters(categories=["L", "N", "P"]), min_size=1),
        synchronous=st.sampled_from(["normal", "full", "extra"]),
        commit_interval=st.floats(min_value=0, max_value=1),
    ),
    cors=st.builds(Cors, allow_origins=st.sampled_from([(), ("*",), ("https://a", "null")])),
    auth=st.builds(Auth, client_token=st.text(st.characters(min_codepoint=33, max_codepoint=126))),
)


@given(config=configs)
def test_a_child_gets_what_the_parent_read(config: Config) -> None:
    assert msgspec.json.decode(msgspec.json.encode(config), type=Config) == config


@pytest.mark.parametrize(
    "data", [b'{"servr":{}}', b'{"server":{"prot":1}}', b'{"server":{"port":-1}}', b"{"]
)
def test_a_child_refuses_other_data(data: bytes) -> None:
    with pytest.raises((msgspec.ValidationError, msgspec.DecodeError)):
        msgspec.json.decode(data, type=Config)


def test_the_configuration_cannot_be_changed() -> None:
    config = Config()
    with pytest.raises(AttributeError):
        config.server.port = 1  # type: ignore[misc]
    with pytest.raises(AttributeError):
        config.server = Server()  # type: ignore[misc]


def test_a_printed_configuration_does_not_tell_its_tokens() -> None:
    config = Config(auth=Auth(client_token="hush", inspector_token="hush", insecure=True))
    assert "hush" not in repr(config)
    assert "given=['client_token', 'inspector_token', 'insecure']" in repr(config)


def test_the_actors_section_is_what_options_take() -> None:
    in_code_only = {"name", "icon", "can_hibernate_websocket"}
    defaults = msgspec.to_builtins(Settings())
    configurable = {key: value for key, value in defaults.items() if key not in in_code_only}
    assert msgspec.to_builtins(Actors()) == configurable


def is_accepted(value: str, kind: object) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (
            RegistryName,
            ["", "app:registry", "my.app.main:build.registry", "_a1:b", "größe:x"],
            ["app", "app:", ":x", "a b:c", "1a:b", "a..b:c", "a:b:c", "app.py:x y", "a:b\n"],
        ),
        (
            HttpUrl,
            ["", "http://h", "https://h:1/p/q", "https://user:pw@h"],
            ["h:1", "ftp://h", "http://", "http:///p", "http://h?x", "http://h#x", "http://h /"],
        ),
        (
            Origin,
            ["*", "null", "https://a.example", "http://h:1", "capacitor://localhost"],
            ["", "a.example", "https://a/", "https://a/b", "HTTPS://a", "https://", "https://a\n"],
        ),
        (
            NamespaceName,
            ["default", "a", "A.b_c-9", "x" * 64],
            ["", "-a", ".", "a b", "a/b", "ä", "x" * 65, "a\0", "a\n"],
        ),
        (Token, ["", "abc", "a/b+c=="], ["a b", "a\n", "ä", "\x7f"]),
    ],
    ids=["registry", "url", "origin", "namespace", "token"],
)
def test_texts_have_their_form(kind: object, good: list[str], bad: list[str]) -> None:
    assert [value for value in good if not is_accepted(value, kind)] == []
    assert [value for value in bad if is_accepted(value, kind)] == []
