"""Reading the configuration: defaults < TOML file < environment < ``--set``.

Rule 1. Every value is checked where it stands, also one that a later source overrides, so that
        the message can name the source: a file, a variable or ``--set``.
Rule 2. Values of variables and of ``--set`` are TOML values; what is not TOML is a bare string,
        and so is everything given to a setting that takes strings only (a token ``123``).
Rule 3. ``STATOR_SECTION__KEY`` is ours: an unknown one is an error. Variables without ``__``
        are not.
Rule 4. Paths are relative to the configuration file, without one to the current directory.
        Symbolic links are not followed: a deployment may move one while the service runs.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from .config import Config
from .config_rules import find_violation
from .config_schema import Setting, section_names, settings, shown

DEFAULT_CONFIG = "stator.toml"
"""What commands read if they are given none, where there is one."""

_VARIABLE_PREFIX = "STATOR_"
_NO_FILE = "configuration"
"""What messages name in place of a file when there is none."""


class ConfigError(Exception):
    """The configuration is invalid; its text is one line. The command line ends with CONFIG (2)."""

    def __init__(self, path: str, key: str, problem: str) -> None:
        super().__init__(path, key, problem)
        self.path = path
        """Where it stands: a file, ``STATOR_SERVER__PORT``, ``--set``."""
        self.key = key
        """``server.port``; empty if the problem is the whole source."""
        self.problem = problem

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.path, self.key, self.problem) if part)
        return " ".join(text.split())


class _Given(NamedTuple):
    """A value that a source gives to a setting."""

    source: str
    setting: Setting
    value: Any


def load_config(
    path: Path | None, *, environ: Mapping[str, str], overrides: Sequence[str]
) -> Config:
    """Return the configuration of one service, valid as a whole and with absolute paths.

    ``overrides`` are the arguments of ``--set``. Raises :class:`ConfigError`.
    """
    sources: dict[str, str] = {}
    document: dict[str, dict[str, Any]] = {name: {} for name in section_names()}
    for given in (*_of_file(path), *_of_environment(environ), *_of_overrides(overrides)):
        _check(given)
        document[given.setting.section][given.setting.key] = given.value
        sources[given.setting.name] = given.source
    config = _with_absolute_paths(msgspec.convert(document, Config), path)
    if violation := find_violation(config):
        key, problem = violation
        raise ConfigError(sources.get(key, str(path or _NO_FILE)), key, problem)
    return config


def _of_file(path: Path | None) -> Iterator[_Given]:
    if path is None:
        return
    source = str(path)
    for section, table in _read_toml(path).items():
        if section not in section_names():
            raise _unknown(source, section, "section", section_names())
        if not isinstance(table, dict):
            raise ConfigError(source, section, f"expected a table, got {shown(table)}")
        for key, value in cast("dict[str, Any]", table).items():
            yield _Given(source, _find_setting(source, section, key), value)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError(str(path), "", f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(str(path), "", f"is not valid TOML: {error}") from error


def _of_environment(environ: Mapping[str, str]) -> Iterator[_Given]:
    ours = {setting.variable: setting for setting in settings().values()}
    for variable, text in environ.items():
        if not variable.startswith(_VARIABLE_PREFIX) or "__" not in variable:
            continue
        setting = ours.get(variable)
        if setting is None:
            raise _unknown("environment", variable, "setting", ours)
        yield _Given(variable, setting, _parse(text, setting))


def _of_overrides(overrides: Sequence[str]) -> Iterator[_Given]:
    for override in overrides:
        name, equals, text = override.partition("=")
        section, dot, key = name.partition(".")
        if not (equals and dot):
            raise ConfigError("--set", "", f"expected section.key=value, got {shown(override)}")
        if section not in section_names():
            raise _unknown("--set", name, "setting", settings())
        setting = _find_setting("--set", section, key)
        yield _Given("--set", setting, _parse(text, setting))


def _parse(text: str, setting: Setting) -> Any:
    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    value = document["value"]
    is_one_value = len(document) == 1  # a text with a line break could bring more keys
    return value if is_one_value and (isinstance(value, str) or not setting.is_text) else text


def _find_setting(source: str, section: str, key: str) -> Setting:
    name = f"{section}.{key}"
    setting = settings().get(name)
    if setting is None:
        known = [setting.name for setting in settings().values() if setting.section == section]
        raise _unknown(source, name, "key", known)
    return setting


def _unknown(source: str, name: str, kind: str, known: Iterable[str]) -> ConfigError:
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return ConfigError(source, name, f"unknown {kind}{hint}")


def _check(given: _Given) -> None:
    setting = given.setting
    try:
        msgspec.convert(given.value, setting.type)
    except msgspec.ValidationError as error:
        got = "something else" if setting.is_secret else shown(given.value)
        problem = f"expected {setting.expected}, got {got}"
        raise ConfigError(given.source, setting.name, problem) from (
            None if setting.is_secret else error
        )


def _with_absolute_paths(config: Config, path: Path | None) -> Config:
    directory = path.parent if path else Path()
    changed: dict[str, Any] = {}
    for setting in settings().values():
        section = changed.get(setting.section, getattr(config, setting.section))
        if setting.is_path and (value := getattr(section, setting.key)):
            absolute = os.path.abspath(directory / value)
            changed[setting.section] = msgspec.structs.replace(section, **{setting.key: absolute})
    return msgspec.structs.replace(config, **changed)
