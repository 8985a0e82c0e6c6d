"""What is written about the configuration: the files in configs/ and the reference page."""

import ast
import json
import re
import tomllib
from configparser import ConfigParser
from pathlib import Path

import msgspec
import pytest

from stator.runtime.config_schema import Setting, section_names, settings
from stator.runtime.config_source import ConfigError, load_config
from stator.runtime.exit_codes import ExitCode

ROOT = Path(__file__).parents[3]
CONFIGS = ROOT / "configs"
PAGE = ROOT / "docs" / "reference" / "configuration.md"
SECRETS = {"STATOR_AUTH__CLIENT_TOKEN": "token"}


def explanations() -> dict[str, list[str]]:
    """Return the lines under each field of ``runtime/config.py``, by setting or section."""
    found: dict[str, list[str]] = {}
    for node in ast.parse((ROOT / "runtime" / "config.py").read_text()).body:
        if not isinstance(node, ast.ClassDef) or node.name.lower() not in section_names():
            continue
        section = node.name.lower()
        found[section] = (ast.get_docstring(node) or "").splitlines()
        for field, text in zip(node.body, node.body[1:], strict=False):
            if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                continue
            assert isinstance(text, ast.Expr), f"{section}.{field.target.id} has no explanation"
            assert isinstance(text.value, ast.Constant)
            lines = str(text.value.value).splitlines()
            found[f"{section}.{field.target.id}"] = [line.strip() for line in lines]
    return found


EXPLANATIONS = explanations()


def of_section(section: str) -> list[Setting]:
    return [setting for setting in settings().values() if setting.section == section]


def reference_entry(setting: Setting) -> str:
    comment = "".join(f"# {line}\n" for line in EXPLANATIONS[setting.name])
    return f"{comment}{setting.key} = {json.dumps(setting.default)}  # {setting.expected}\n"


def page_row(setting: Setting) -> str:
    default = json.dumps(setting.default)
    meaning = " ".join(EXPLANATIONS[setting.name])
    return f"| `{setting.key}` | `{default}` | {setting.expected} | {meaning} |\n"


@pytest.mark.parametrize("section", section_names())
def test_the_reference_file_explains_every_setting(section: str) -> None:
    head = f"\n# {' '.join(EXPLANATIONS[section])}\n[{section}]\n"
    expected = head + "".join(map(reference_entry, of_section(section)))
    assert expected in (CONFIGS / "reference.toml").read_text()


def test_the_reference_file_holds_the_defaults_and_nothing_else() -> None:
    document = tomllib.loads((CONFIGS / "reference.toml").read_text())
    listed = {f"{section}.{key}" for section, table in document.items() for key in table}
    assert listed == set(settings())

    path = CONFIGS / "reference.toml"
    with_file = load_config(path, environ={}, overrides=["application.registry=a:r"])
    directory = str(CONFIGS)
    without = load_config(
        None,
        environ={},
        overrides=[
            "application.registry=a:r",
            f"application.path={directory}",
            f"storage.directory={directory}/data",
        ],
    )
    assert with_file == without


@pytest.mark.parametrize("section", section_names())
def test_the_reference_page_explains_every_setting(section: str) -> None:
    head = (
        f"## [{section}]\n\n{' '.join(EXPLANATIONS[section])}\n\n"
        "| key | default | accepted | meaning |\n| --- | --- | --- | --- |\n"
    )
    expected = head + "".join(map(page_row, of_section(section)))
    assert expected in PAGE.read_text()


def test_the_reference_page_lists_nothing_else() -> None:
    page = PAGE.read_text()
    assert re.findall(r"^## \[(\w+)\]$", page, re.MULTILINE) == list(section_names())
    rows = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert rows == [setting.key for setting in settings().values()]


def test_the_messages_on_the_reference_page_are_real(tmp_path: Path) -> None:
    mistakes: list[tuple[str, dict[str, str]]] = [
        ("[workers]\ncount = 0", {}),
        ("[server]\nprot = 1", {}),
        ("\n[server]\nport = x", {}),
        ("", {"STATOR_SERVER__PORT": "70000"}),
        ("", {"STATOR_SERVER__PROT": "1"}),
    ]
    path = tmp_path / "x.toml"
    for text, environ in mistakes:
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            load_config(path, environ=environ, overrides=["application.registry=a:r"])
        assert str(caught.value).replace(str(path), "configs/x.toml") + "\n" in PAGE.read_text()


def test_the_development_configuration_is_valid() -> None:
    config = load_config(CONFIGS / "dev.toml", environ={}, overrides=())
    assert config.application.registry == "registry:registry"
    assert config.application.path == str(ROOT / "examples")
    assert config.storage.directory == str(ROOT / "data")
    assert config.namespaces.create_on_use


def test_the_production_configuration_is_refused_without_a_token() -> None:
    path = CONFIGS / "production.toml"
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={}, overrides=())
    assert str(caught.value).startswith(f"{path}: auth.client_token: expected a token because ")


def test_the_production_configuration_is_accepted_with_a_token() -> None:
    config = load_config(CONFIGS / "production.toml", environ=SECRETS, overrides=())
    assert config.server.host == "0.0.0.0"
    assert config.auth.client_token == "token"
    assert not config.auth.insecure


def test_the_unit_agrees_with_the_service() -> None:
    unit = ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(CONFIGS / "stator.service")
    service = unit["Service"]
    config = load_config(CONFIGS / "production.toml", environ=SECRETS, overrides=())
    assert service["Type"] == "notify"
    assert float(service["TimeoutStopSec"]) > config.workers.grace_period
    assert float(service["TimeoutStartSec"]) > config.workers.start_timeout
    assert f"/var/lib/{service['StateDirectory']}" == config.storage.directory
    for_ever = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert for_ever == {ExitCode.CONFIG, ExitCode.APPLICATION}


def test_every_default_is_accepted_where_it_stands() -> None:
    for setting in settings().values():
        assert msgspec.convert(setting.default, setting.type) == setting.default, setting.name
