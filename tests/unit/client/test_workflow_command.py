"""``stator workflow``: the command line, the service it finds, and its exit codes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stator.__main__ import main
from stator.client.loop_thread import LoopThread
from stator.runtime.exact_form import encode_exact
from stator.runtime.exit_codes import ExitCode
from stator.runtime.workflow_control import VerbArguments
from stator.runtime.workflow_handle import WorkflowHistory
from tests.fakes.stub_service import Reply, StubService, error
from tests.fakes.workflow_records import completed, make_history, make_status


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def stub() -> Iterator[StubService]:
    service = StubService()
    service.will_answer(record(make_status()))

    async def stop() -> None:
        await service.__aexit__(None, None, None)

    thread = LoopThread("stub", stop)
    thread.run(service.__aenter__())
    yield service
    thread.close()


def record(answer: Any) -> Reply:
    return Reply(body=msgspec.msgpack.encode(answer))


def port_of(stub: StubService) -> str:
    return stub.endpoint.rpartition(":")[2]


def write_config(path: Path, stub: StubService, *lines: str) -> Path:
    server = ["[server]", f"port = {port_of(stub)}"]
    path.write_text("\n".join(["[application]", 'registry = "a:b"', *server, *lines]))
    return path


def run(*arguments: str) -> int:
    """Return the exit code of a command."""
    try:
        return main(["workflow", *arguments])
    except SystemExit as ended:
        assert isinstance(ended.code, int)
        return ended.code


# ---------------------------------------------------------------- what is asked


def test_a_status_is_printed(stub: StubService, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status", "shop", "berlin", "5", "--url", stub.endpoint) == ExitCode.OK
    assert capsys.readouterr().out.startswith("sleeping  run 2\n")
    assert stub.received[0].target == (
        "/gateway/shop/inspector/workflow/status"
        "?rvt-namespace=default&rvt-method=get&rvt-key=berlin%2C5"
    )


def test_a_status_is_printed_as_json(stub: StubService, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status", "shop", "--json", "--url", stub.endpoint) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["state"] == "sleeping"


def test_options_may_stand_between_the_parts_of_a_key(stub: StubService) -> None:
    assert run("status", "shop", "a", "--url", stub.endpoint, "b") == ExitCode.OK
    assert stub.received[0].target.endswith("rvt-key=a%2Cb")


def test_an_actor_can_be_named_by_its_id(stub: StubService) -> None:
    assert run("cancel", "--id", "i1", "--url", stub.endpoint) == ExitCode.OK
    assert stub.received[0].target == "/gateway/i1/inspector/workflow/cancel"


def test_a_namespace_can_be_named(stub: StubService) -> None:
    assert run("retry", "shop", "--namespace", "n1", "--url", stub.endpoint) == ExitCode.OK
    assert "rvt-namespace=n1" in stub.received[0].target


def test_a_history_is_printed(stub: StubService, capsys: pytest.CaptureFixture[str]) -> None:
    stub.will_answer(record(make_history()))
    assert run("history", "shop", "--url", stub.endpoint) == ExitCode.OK
    assert "charge" in capsys.readouterr().out


def test_a_history_can_be_kept(stub: StubService, tmp_path: Path) -> None:
    stub.will_answer(record(make_history()))
    path = tmp_path / "shop.history"
    assert run("history", "shop", "--save", str(path), "--url", stub.endpoint) == ExitCode.OK
    assert WorkflowHistory.from_bytes(path.read_bytes()).record == make_history()


def test_an_output_is_printed(stub: StubService, capsys: pytest.CaptureFixture[str]) -> None:
    stub.will_answer(record(completed({"n": 1})))
    assert run("output", "shop", "--json", "--url", stub.endpoint) == ExitCode.OK
    assert capsys.readouterr().out == '{"n": 1}\n'


def test_a_fork_names_its_entry(stub: StubService) -> None:
    assert run("fork", "shop", "--from", "orders/~3", "--url", stub.endpoint) == ExitCode.OK
    arguments = msgspec.msgpack.decode(stub.received[0].body, type=VerbArguments)
    assert arguments == VerbArguments("orders/~3")


def test_a_promise_gets_a_value_of_json(stub: StubService) -> None:
    value = '{"by": "Ada"}'
    assert run("resolve", "approved", value, "shop", "k", "--url", stub.endpoint) == ExitCode.OK
    arguments = msgspec.msgpack.decode(stub.received[0].body, type=VerbArguments)
    assert arguments == VerbArguments("approved", encode_exact({"by": "Ada"}))


# ---------------------------------------------------------------- where the service is


def test_the_configuration_says_where_the_service_is(stub: StubService, tmp_path: Path) -> None:
    config = write_config(tmp_path / "c.toml", stub)
    assert run("status", "shop", "--config", str(config)) == ExitCode.OK
    assert len(stub.received) == 1


def test_a_configuration_in_the_directory_is_found(stub: StubService, tmp_path: Path) -> None:
    write_config(tmp_path / "stator.toml", stub)
    assert run("status", "shop") == ExitCode.OK


def test_without_a_configuration_the_environment_says_it(
    stub: StubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIVET_ENDPOINT", stub.endpoint)
    monkeypatch.setenv("RIVET_TOKEN", "t1")
    assert run("status", "shop") == ExitCode.OK
    assert stub.received[0].headers["authorization"] == "Bearer t1"


@pytest.mark.parametrize(
    ("settings", "token"),
    [
        (('admin_token = "adm"', 'inspector_token = "ins"', 'client_token = "cli"'), "adm"),
        (('inspector_token = "ins"', 'client_token = "cli"'), "ins"),
        (('client_token = "cli"',), "cli"),
    ],
)
def test_the_token_is_the_strongest_of_the_configuration(
    stub: StubService, tmp_path: Path, settings: tuple[str, ...], token: str
) -> None:
    config = write_config(tmp_path / "c.toml", stub, "[auth]", *settings)
    assert run("status", "shop", "--config", str(config)) == ExitCode.OK
    assert stub.received[0].headers["authorization"] == f"Bearer {token}"


def test_a_token_that_is_given_wins(stub: StubService, tmp_path: Path) -> None:
    config = write_config(tmp_path / "c.toml", stub, "[auth]", 'admin_token = "adm"')
    assert run("status", "shop", "--token", "mine", "--config", str(config)) == ExitCode.OK
    assert stub.received[0].headers["authorization"] == "Bearer mine"


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost"])
def test_a_service_that_listens_everywhere_is_reached_here(
    stub: StubService, tmp_path: Path, host: str
) -> None:
    listening = [f'host = "{host}"', "[auth]", 'client_token = "t"']
    config = write_config(tmp_path / "c.toml", stub, *listening)
    assert run("status", "shop", "--config", str(config)) == ExitCode.OK


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["inspect", "shop"],
        ["status"],
        ["status", "shop", "--id", "i1"],
        ["resolve", "approved", "{", "shop"],
        ["resolve", "approved", "1"],
        ["status", "shop", "--url", "nowhere"],
        ["status", "shop", "--config", "missing.toml"],
        ["status", "shop", "--config", "missing.toml", "--url", "http://127.0.0.1:1"],
    ],
    ids=" ".join,
)
def test_a_command_that_makes_no_sense_asks_nobody(arguments: list[str]) -> None:
    assert run(*arguments) == ExitCode.CONFIG


def test_any_free_port_cannot_be_guessed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[application]\nregistry = "a:b"\n[server]\nport = 0\n')
    assert run("status", "shop", "--config", str(config)) == ExitCode.CONFIG
    assert "--url" in capsys.readouterr().err


def test_nobody_there_is_not_running(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as bound:  # it does not listen, and nobody else can
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        assert run("status", "shop", "--url", url) == ExitCode.NOT_RUNNING
    assert capsys.readouterr().err.startswith(f"stator: no service answers at {url}: ")


def test_a_refusal_is_one_line(stub: StubService, capsys: pytest.CaptureFixture[str]) -> None:
    refusal = error("workflow.not_enabled", message="no\nworkflow \x1b[31m", status=404)
    stub.will_answer(refusal)
    assert run("status", "shop", "--url", stub.endpoint) == ExitCode.FAILURE
    out, err = capsys.readouterr()
    assert (out, err) == ("", "stator: workflow.not_enabled: no workflow \\x1b[31m\n")


def test_a_run_that_goes_on_has_no_output_yet(
    stub: StubService, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("output", "shop", "--url", stub.endpoint) == ExitCode.FAILURE
    assert "workflow.not_finished" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_named(
    stub: StubService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.will_answer(record(make_history()))
    path = tmp_path / "nowhere" / "h"
    assert run("history", "shop", "--save", str(path), "--url", stub.endpoint) == ExitCode.FAILURE
    assert str(path) in capsys.readouterr().err


def test_the_command_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "workflow" in capsys.readouterr().out
