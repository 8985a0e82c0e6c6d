"""Reading: sources, their precedence, and what each refuses in which words."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.config_schema import settings
from stator.runtime.config_source import ConfigError, load_config

SERVED = "application.registry=app:registry"


def write(directory: Path, text: str) -> Path:
    path = directory / "x.toml"
    path.write_text(text)
    return path


def refusal(
    path: Path | None = None, environ: dict[str, str] | None = None, overrides: tuple[str, ...] = ()
) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ=environ or {}, overrides=(SERVED, *overrides))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def file_refusal(directory: Path, text: str) -> str:
    return refusal(write(directory, text)).removeprefix(f"{directory}/")


# -------------------------------------------------------------------------- the file


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[serverr]\nport = 1", "serverr: unknown section; did you mean server?"),
        ("port = 1", "port: unknown section"),
        ("server = 5", "server: expected a table, got 5"),
        ("[[server]]\nport = 1", 'server: expected a table, got [{"port": 1}]'),
        ("[server]\nprot = 1", "server.prot: unknown key; did you mean server.port?"),
        ("[server.tls]\nkey = 1", "server.tls: unknown key; did you mean server.tls_key?"),
        (
            "[workers]\ncount = 0",
            'workers.count: expected "auto" or an integer from 1 to 256, got 0',
        ),
        (
            '[workers]\ncount = "many"',
            'workers.count: expected "auto" or an integer from 1 to 256, got "many"',
        ),
        (
            "[server]\nport = 65536",
            "server.port: expected an integer from 0 to 65535, got 65536",
        ),
        ("[server]\nport = -1", "server.port: expected an integer from 0 to 65535, got -1"),
        ("[server]\nport = true", "server.port: expected an integer from 0 to 65535, got true"),
        (
            '[server]\nport = "6420"',
            'server.port: expected an integer from 0 to 65535, got "6420"',
        ),
        (
            "[workers]\ngrace_period = nan",
            "workers.grace_period: expected a number of seconds from 0.001 to 86400, got NaN",
        ),
        (
            "[workers]\ngrace_period = inf",
            "workers.grace_period: expected a number of seconds from 0.001 to 86400, got Infinity",
        ),
        (
            "[limits]\nmax_key_size = 0",
            "limits.max_key_size: expected a whole number of bytes from 1 to 1048576, got 0",
        ),
        (
            "[limits]\nrequests_per_minute = -1",
            'limits.requests_per_minute: expected "auto" or an integer from 0 to 1000000, got -1',
        ),
        (
            '[limits]\nslow_client = "wait"',
            'limits.slow_client: expected "close" or "drop_events", got "wait"',
        ),
        (
            "[server]\nping_timeout = 0",
            "server.ping_timeout: expected a number of seconds from 0.001 to 86400, got 0",
        ),
        (
            "[auth]\ninsecure = 1",
            "auth.insecure: expected true or false, got 1",
        ),
        (
            '[storage]\nsynchronous = "off"',
            'storage.synchronous: expected "extra", "full" or "normal", got "off"',
        ),
        (
            '[application]\nregistry = "app"',
            'application.registry: expected "module:attribute", got "app"',
        ),
        (
            '[server]\nhost = "http://x/"',
            "server.host: expected a host name or an IP address without brackets and port, "
            'got "http://x/"',
        ),
        ("[storage]\ndirectory = ''", 'storage.directory: expected a path, got ""'),
        (
            "[application]\nversion = 2024-01-01",
            'application.version: expected a string of one line, got "2024-01-01"',
        ),
        (
            '[cors]\nallow_origins = ["https://x/"]',
            'cors.allow_origins: expected a list, each item "*" or an origin such as '
            '"https://app.example.com", got ["https://x/"]',
        ),
        (
            "[namespaces]\nnames = []",
            "namespaces.names: expected a list that is not empty, each item a name of 1 to 64 "
            "letters, digits, dots, hyphens and underscores, got []",
        ),
    ],
)
def test_a_mistake_in_the_file_names_file_key_and_expectation(
    tmp_path: Path, text: str, problem: str
) -> None:
    assert file_refusal(tmp_path, text) == f"x.toml: {problem}"


def test_a_long_value_is_cut_in_the_message(tmp_path: Path) -> None:
    message = file_refusal(tmp_path, f'[server]\nport = "{"9" * 1000}"')
    assert message.endswith("999...")
    assert len(message) < 160


def test_invalid_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    message = file_refusal(tmp_path, "[server]\nhost = 'x'\nport 6420\n")
    assert message.startswith("x.toml: is not valid TOML: ")
    assert "(at line 3, column 6)" in message


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"[server]\nhost = '\xff'\n")
    assert refusal(path).startswith(f"{path}: is not valid TOML: 'utf-8' codec")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    assert refusal(path) == f"{path}: cannot be read: No such file or directory"


def test_a_directory_is_not_a_configuration(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"


def test_the_path_is_named_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "[workers]\ncount = 0")
    monkeypatch.chdir(tmp_path)
    assert refusal(Path("x.toml")).startswith("x.toml: workers.count: ")


def test_an_error_tells_its_parts(tmp_path: Path) -> None:
    path = write(tmp_path, "[server]\nport = -1")
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={}, overrides=())
    error = caught.value
    assert (error.path, error.key) == (str(path), "server.port")
    assert error.problem == "expected an integer from 0 to 65535, got -1"


# ------------------------------------------------------------------ environment and --set


def test_a_variable_overrides_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[server]\nport = 1\nbacklog = 2")
    config = load_config(path, environ={"STATOR_SERVER__PORT": "6421"}, overrides=[SERVED])
    assert (config.server.port, config.server.backlog) == (6421, 2)


def test_set_overrides_the_environment(tmp_path: Path) -> None:
    path = write(tmp_path, "[server]\nport = 1")
    config = load_config(
        path, environ={"STATOR_SERVER__PORT": "2"}, overrides=[SERVED, "server.port=3"]
    )
    assert config.server.port == 3


def test_the_last_set_of_a_key_wins() -> None:
    config = load_config(None, environ={}, overrides=[SERVED, "server.port=1", "server.port=2"])
    assert config.server.port == 2


def test_without_any_source_a_setting_has_its_default() -> None:
    assert load_config(None, environ={}, overrides=[SERVED]).server.port == 6420


@pytest.mark.parametrize("name", [name for name in settings() if name != "application.registry"])
def test_every_setting_has_a_variable_and_a_set(name: str) -> None:
    setting = settings()[name]
    wrong = "\x01"  # no setting takes it, so the message shows where it arrived
    assert refusal(environ={setting.variable: wrong}).startswith(f"{setting.variable}: {name}: ")
    assert refusal(overrides=(f"{name}={wrong}",)).startswith(f"--set: {name}: ")


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("STATOR_SERVER__PROT", "; did you mean STATOR_SERVER__PORT?"),
        ("STATOR_QQQQ__ZZZZ", ""),
        ("STATOR_SERVER__", ""),
        ("STATOR_server__port", ""),
    ],
)
def test_an_unknown_variable_of_ours_is_refused(variable: str, hint: str) -> None:
    message = refusal(environ={variable: "1"})
    assert message.startswith(f"environment: {variable}: unknown setting")
    assert message.endswith(hint)


def test_other_variables_are_not_ours() -> None:
    environ = {"STATOR_HOME": "x", "STATORX__PORT": "1", "SERVER__PORT": "2", "PATH": "__"}
    assert load_config(None, environ=environ, overrides=[SERVED]).server.port == 6420


@pytest.mark.parametrize("override", ["server.port", "port=1", "=1", ""])
def test_a_malformed_set_is_refused(override: str) -> None:
    expected = f'--set: expected section.key=value, got "{override}"'
    assert refusal(overrides=(override,)) == expected


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("servr.port=1", "servr.port: unknown setting; did you mean server.port?"),
        ("server.prot=1", "server.prot: unknown key; did you mean server.port?"),
        ("server.port.x=1", "server.port.x: unknown key; did you mean server.port?"),
    ],
)
def test_a_set_of_an_unknown_setting_is_refused(override: str, problem: str) -> None:
    assert refusal(overrides=(override,)) == f"--set: {problem}"


def test_values_are_toml() -> None:
    config = load_config(
        None,
        environ={
            "STATOR_NAMESPACES__NAMES": '["a", "b"]',
            "STATOR_NAMESPACES__CREATE_ON_USE": "true",
            "STATOR_WORKERS__GRACE_PERIOD": "5",
            "STATOR_LOG__LEVEL": '"debug"',
        },
        overrides=[SERVED, "workers.count=3", "server.keep_alive= 1.5"],
    )
    assert config.namespaces.names == ("a", "b")
    assert config.namespaces.create_on_use is True
    assert config.workers.grace_period == 5.0
    assert config.log.level == "debug"
    assert config.workers.count == 3
    assert config.server.keep_alive == 1.5


def test_pings_and_rate_limits_can_be_turned_off() -> None:
    off = ["server.ping_interval=0", "limits.requests_per_minute=0"]
    config = load_config(None, environ={}, overrides=[SERVED, *off])
    assert (config.server.ping_interval, config.limits.requests_per_minute) == (0, 0)


def test_what_is_not_toml_is_a_bare_string() -> None:
    config = load_config(None, environ={}, overrides=[SERVED, "workers.count=auto"])
    assert config.application.registry == "app:registry"
    assert config.workers.count == "auto"


@pytest.mark.parametrize("text", ["12345", "true", "1979-05-27", "5#x", "[1]", "a=b.c=d", "0x1F"])
def test_a_string_setting_takes_the_text_as_it_is(text: str) -> None:
    config = load_config(
        None,
        environ={"STATOR_AUTH__CLIENT_TOKEN": text},
        overrides=[SERVED, f"auth.admin_token={text}"],
    )
    assert (config.auth.client_token, config.auth.admin_token) == (text, text)


def test_a_line_break_in_a_value_brings_no_second_key() -> None:
    message = refusal(environ={"STATOR_SERVER__PORT": "1\nvalue2 = 2"})
    assert message.endswith('expected an integer from 0 to 65535, got "1\\nvalue2 = 2"')


def test_a_value_that_is_overridden_is_checked_as_well(tmp_path: Path) -> None:
    path = write(tmp_path, "[server]\nport = -1")
    assert refusal(path, overrides=("server.port=1",)).startswith(f"{path}: server.port: ")


def test_a_bad_token_is_not_shown() -> None:
    message = refusal(environ={"STATOR_AUTH__CLIENT_TOKEN": "my secret"})
    assert message == (
        "STATOR_AUTH__CLIENT_TOKEN: auth.client_token: "
        "expected a string of visible ASCII characters without spaces, got something else"
    )


@given(text=st.text())
def test_any_text_is_taken_or_refused_in_one_line(text: str) -> None:
    try:
        config = load_config(None, environ={"STATOR_SERVER__PORT": text}, overrides=[SERVED])
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert 0 <= config.server.port <= 65_535


# ----------------------------------------------------------------------------- paths


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    path = write(
        tmp_path / "etc",
        '[application]\npath = "../app"\n[server]\nunix_socket = "s"\ntls_certificate = "c.pem"\n'
        'tls_key = "/k.pem"\n[storage]\ndirectory = "data"',
    )
    config = load_config(path, environ={}, overrides=[SERVED])
    assert config.application.path == str(tmp_path / "app")
    assert config.server.unix_socket == str(tmp_path / "etc" / "s")
    assert config.server.tls_certificate == str(tmp_path / "etc" / "c.pem")
    assert config.server.tls_key == "/k.pem"
    assert config.storage.directory == str(tmp_path / "etc" / "data")


def test_paths_of_a_relative_file_are_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    write(tmp_path / "etc", "")
    monkeypatch.chdir(tmp_path)
    config = load_config(Path("etc/x.toml"), environ={}, overrides=[SERVED])
    assert config.storage.directory == str(tmp_path / "etc" / "data")


def test_without_a_file_paths_are_relative_to_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(None, environ={"STATOR_STORAGE__DIRECTORY": "d"}, overrides=[SERVED])
    assert config.application.path == str(tmp_path)
    assert config.storage.directory == str(tmp_path / "d")
    assert config.server.unix_socket == ""


def test_a_symbolic_link_is_kept(tmp_path: Path) -> None:
    os.symlink("/somewhere", tmp_path / "current")
    path = write(tmp_path, '[application]\npath = "current"')
    config = load_config(path, environ={}, overrides=[SERVED])
    assert config.application.path == str(tmp_path / "current")


@pytest.mark.parametrize("name", [s.name for s in settings().values() if s.is_path])
def test_a_path_that_is_not_utf8_is_refused(name: str) -> None:
    assert refusal(environ={settings()[name].variable: "d\udcff"}).endswith('"d\udcff"')
