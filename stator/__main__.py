"""The command line. It picks one role for this process and imports that role and nothing else.

``gateway``, ``worker`` and ``trial`` are for the supervisor only: they are started with a boot
record.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

    from stator.runtime.boot import Boot
    from stator.runtime.config import Config

_CHILD_ROLES = ("gateway", "worker", "trial")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command ``argv`` and return the exit code of this process."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in _CHILD_ROLES:
        return _be_child(arguments[0])
    if arguments and arguments[0] == "workflow":
        from stator.client.workflow_command import run_workflow_command

        return run_workflow_command(arguments[1:])
    return _be_told(arguments)


def _be_child(role: str) -> int:
    from setproctitle import setproctitle

    from stator.runtime import faults
    from stator.runtime.boot import BOOT_FD_VARIABLE, read_boot
    from stator.runtime.child import send_stacks_to
    from stator.runtime.exit_codes import ExitCode
    from stator.runtime.log import configure_logging

    fd = os.environ.pop(BOOT_FD_VARIABLE, "")
    if not fd.isdecimal():
        print(f'stator: a {role} is started by "stator serve" only', file=sys.stderr)
        return ExitCode.CONFIG
    boot = read_boot(int(fd))
    send_stacks_to(boot.stack_fd)
    setproctitle(boot.title)
    faults.arm_from_environment()
    log = boot.config.log
    configure_logging(log.level, log.format, role if role == "trial" else f"{role} {boot.index}")
    return _runner_of(role)(boot)


def _runner_of(role: str) -> Callable[[Boot], int]:
    if role == "worker":
        from stator.shards.main import run_worker

        return run_worker
    if role == "trial":
        from stator.shards.trial import run_trial

        return run_trial
    from stator.http.main import run_gateway

    return run_gateway


def _be_told(arguments: Sequence[str]) -> int:
    from stator.runtime.config_source import ConfigError
    from stator.runtime.exit_codes import ExitCode

    options = _parse(arguments)
    try:
        config = _load_config(options)
    except ConfigError as error:
        print(f"stator: {error}", file=sys.stderr)
        return ExitCode.CONFIG
    return _COMMANDS[options.command](config)


def _parse(arguments: Sequence[str]) -> Namespace:
    from argparse import ArgumentParser

    from stator.runtime.config_source import DEFAULT_CONFIG

    parser = ArgumentParser(
        prog="stator",
        description="Durable, addressable actors as one service on one host.",
        epilog="Every setting can also be given as STATOR_SECTION__KEY=value.",
    )
    parser.add_argument("--version", action="version", version=f"stator {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in _COMMANDS.items():
        about = command.__doc__ or ""
        options = commands.add_parser(name, help=about, description=about)
        source = options.add_mutually_exclusive_group()
        source.add_argument(
            "config",
            nargs="?",
            metavar="CONFIG.toml",
            help=f"the configuration; by default {DEFAULT_CONFIG} if there is one",
        )
        if name in _ABOUT_RUNNING:
            source.add_argument(
                "--data-directory",
                metavar="DIRECTORY",
                help="the service is found by its data directory alone; no configuration is read",
            )
        options.add_argument(
            "--set",
            dest="overrides",
            action="append",
            default=[],
            metavar="section.key=value",
            help="override a setting; may be repeated",
        )
    # It takes a command line of its own (see ``main``), and is here to be listed.
    commands.add_parser("workflow", help="Look at an actor's workflow and control it.")
    return parser.parse_args(arguments)


def _version() -> str:
    from importlib.metadata import version

    return version("stator")


def _load_config(options: Namespace) -> Config:
    from pathlib import Path

    from stator.runtime.config import Config, Storage
    from stator.runtime.config_source import DEFAULT_CONFIG, load_config

    directory: str | None = getattr(options, "data_directory", None)
    if directory is not None:
        return Config(storage=Storage(directory=os.path.abspath(directory)))
    given: str | None = options.config
    default = DEFAULT_CONFIG if os.path.exists(DEFAULT_CONFIG) else None
    name = given or default
    return load_config(
        Path(name) if name else None, environ=os.environ, overrides=options.overrides
    )


def _serve(config: Config) -> int:
    """Run the service."""
    from setproctitle import setproctitle

    from stator.supervisor.loop import serve

    setproctitle("stator: supervisor")
    return serve(config)


def _status(config: Config) -> int:
    """Show how the running service is."""
    from stator.supervisor.status import print_status

    return print_status(config)


def _upgrade(config: Config) -> int:
    """Replace the workers of the running service by ones that load what is on disk now."""
    from stator.supervisor.upgrade import upgrade

    return upgrade(config)


def _check(config: Config) -> int:
    """Check the configuration and start nothing."""
    del config
    print("ok")
    return 0


_COMMANDS: dict[str, Callable[[Config], int]] = {
    "serve": _serve,
    "status": _status,
    "upgrade": _upgrade,
    "check": _check,
}
_ABOUT_RUNNING = ("status", "upgrade")

if __name__ == "__main__":
    sys.exit(main())
