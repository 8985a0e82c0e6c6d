"""A broken new version of an application: it is found out, said, and the old code goes on."""

import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stator.runtime.exit_codes import ExitCode
from tests.fakes.deployment import Deployment, keys_by_worker
from tests.fakes.running_service import is_alive

pytestmark = pytest.mark.process

IMPORT = "import asyncio\n"
ON_WAKE = "await asyncio.sleep(0.01)\n\n    @action\n    def increment"
FIRST, SECOND = (keys[0] for keys in keys_by_worker())


def _versions(deployment: Deployment) -> list[str]:
    """Return which code serves an actor of the first worker and one of the second."""
    return [deployment.service.output("counter", "code", key=key) for key in (FIRST, SECOND)]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            IMPORT,
            "import nothing_of_this_name\n",
            "ModuleNotFoundError: No module named 'nothing_of_this_name'",
        ),
        (
            "    state: int = 0\n",
            "    state: int = 0\n    options = 5\n",
            "DefinitionError: Counter.options is an Options(...), not 5",
        ),
        ("registry = setup", "other = setup", "names nothing; it must name what setup("),
        (IMPORT, "import os\nos._exit(0)\n", "the trial ended with exit code 0 (OK)"),
    ],
    ids=["import", "definition", "registry", "exit"],
)
def test_a_broken_application_takes_no_worker_and_mended_it_is_rolled(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    deployment = Deployment(tmp_path)
    with deployment.service as service:
        service.wait_ready()
        pids = service.pids()
        assert _versions(deployment) == ["one", "one"]
        deployment.deploy_broken(old, new)
        failed = deployment.upgrade()
        assert (failed.returncode, failed.stdout) == (ExitCode.CHILD, "")
        assert failed.stderr.startswith("stator: ") and problem in failed.stderr
        assert failed.stderr.endswith("; every worker keeps what it has loaded\n")
        assert (service.pids(), deployment.generations()) == (pids, [1, 1, 1])
        assert _versions(deployment) == ["one", "one"]
        deployment.deploy("mended")
        assert deployment.upgrade().returncode == ExitCode.OK
        assert _versions(deployment) == ["mended", "mended"]


def test_what_is_wrong_is_logged_with_its_stack(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    with deployment.service as service:
        service.wait_ready()
        deployment.deploy_broken(IMPORT, "def deep_inside():\n    1 / 0\ndeep_inside()\n")
        service.send(signal.SIGHUP)
        line = service.wait_event("application unusable", process="trial")
        assert "deep_inside" in line["exception"]
        stopped = service.wait_event("roll stopped", child="trial", level="error")
        assert stopped["reason"] == line["problem"]


def test_an_application_that_hangs_when_it_is_imported_is_given_up(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, {"workers.start_timeout": 6})
    with deployment.service as service:
        service.wait_ready()
        deployment.deploy_broken(IMPORT, "import threading\nthreading.Event().wait()\n")
        failed = deployment.upgrade()
        assert failed.returncode == ExitCode.CHILD
        assert "the application was not loaded within 6 s" in failed.stderr
        assert "app.py" in service.wait_event("trial wrote its stacks")["stack"]
        assert _versions(deployment) == ["one", "one"]


def test_a_service_that_is_stopped_during_a_trial_stops(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    with deployment.service as service:
        service.wait_ready()
        deployment.deploy_broken(IMPORT, "import threading\nthreading.Event().wait()\n")
        service.send(signal.SIGHUP)
        trial = service.wait_event("trial begins")["child_pid"]
        service.send(signal.SIGTERM)
        assert service.wait_exit() == ExitCode.OK
        assert not is_alive(trial)


def test_a_version_that_only_a_worker_cannot_load_takes_one_and_mended_brings_it_back(
    tmp_path: Path,
) -> None:
    deployment = Deployment(tmp_path, {"server.ready_timeout": 20})
    with deployment.service as service, ThreadPoolExecutor(1) as threads:
        service.wait_ready()
        assert service.output("counter", "increment", key=FIRST) == 1
        deployment.deploy_broken(IMPORT, "import sys\nassert 'worker' not in sys.argv\n")
        failed = deployment.upgrade()
        assert failed.returncode == ExitCode.CHILD
        assert failed.stderr.startswith("stator: worker 0 ended with exit code 65 (APPLICATION) ")
        assert service.output("counter", "code", key=SECOND) == "one"
        waiting = threads.submit(service.output, "counter", "increment", key=FIRST)
        deployment.deploy("mended")
        assert waiting.result() == 2
        assert _versions(deployment) == ["mended", "one"]
        assert deployment.upgrade().returncode == ExitCode.OK
        assert _versions(deployment) == ["mended", "mended"]


def test_a_version_whose_actors_do_not_start_takes_one_worker(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, {"workers.roll_watch": 1})
    with deployment.service as service:
        service.wait_ready()
        assert _versions(deployment) == ["one", "one"]
        deployment.deploy_broken(ON_WAKE, ON_WAKE.replace("await", "raise RuntimeError; await"))
        upgrading = deployment.start_upgrade()
        service.wait_event("child is back", child="worker 0")
        assert service.action("counter", "code", key=FIRST).status == 500
        _, complaint = upgrading.communicate(timeout=60)
        assert upgrading.returncode == ExitCode.CHILD
        assert re.fullmatch(
            r"stator: \d actors? failed to start in worker 0, none started; "
            r"the workers after it keep what they have loaded\n",
            complaint,
        )
        assert deployment.generations() == [1, 2, 1]
        assert service.output("counter", "code", key=SECOND) == "one"
        deployment.deploy("mended")
        assert deployment.upgrade().returncode == ExitCode.OK
        assert _versions(deployment) == ["mended", "mended"]
