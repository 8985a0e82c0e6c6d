"""What the README shows, done: its application, its curl command, then its JavaScript."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.interop.official_clients import HERE, environment, node
from tests.interop.service import Service

pytestmark = pytest.mark.interop

README = (HERE.parent.parent / "README.md").read_text()
SHOWN_ENDPOINT = "http://127.0.0.1:6420"
SECONDS = 30.0


def code(language: str) -> str:
    """Return all that the README shows in one language."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return "\n".join(blocks)


def run(command: Sequence[str]) -> str:
    """Return what a command that must succeed printed."""
    return subprocess.run(
        command,
        cwd=HERE,
        env=environment(),
        stdout=subprocess.PIPE,
        timeout=SECONDS,
        check=True,
        text=True,
    ).stdout.strip()


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    """Where the README's application is served."""
    (tmp_path / "app.py").write_text(code("python"))
    with Service(tmp_path / "service", tmp_path) as service:
        yield service.endpoint


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_commands_of_the_readme_do_what_it_says(endpoint: str) -> None:
    (command,) = re.findall(r"^curl .*", code("sh"), re.MULTILINE)
    assert run(["sh", "-c", command.replace(SHOWN_ENDPOINT, endpoint)]) == '{"output":5}'

    script = code("js").replace(SHOWN_ENDPOINT, endpoint)
    script = script.replace("rivetkit/client", "rivetkit-2-3-19/client")
    (said,) = re.findall(r"// (.*)$", script, re.MULTILINE)
    assert run([node(), "--input-type=module", "--eval", script]) == said
