"""A child of the supervisor that does nothing, badly if it is told to.

Run as ``python child_script.py worker 0`` in place of ``python -m stator worker 0``. How it
behaves stands in ``behaviour/<role>-<index>`` of the data directory when it starts:

``exit N``        end with exit code N before it is ready
``never ready``   hang before it is ready
``block``         be ready, then block the event loop for ever
``crash``         be ready, then die of a segmentation fault
``stubborn``      be ready, and do not leave when asked
``starts N M``    be ready; N actors started and M failed to

That of a trial stands in ``behaviour/trial``:

``exit N``        end with exit code N
``refuse TEXT``   say why and end with the exit code of an unusable application
``never ready``   hang
``linger``        all is well, but do not end before the test says so, by another behaviour
"""

import asyncio
import ctypes
import os
import sys
import time
from pathlib import Path

from setproctitle import setproctitle

from stator.runtime.boot import BOOT_FD_VARIABLE, Boot, read_boot
from stator.runtime.child import Child, send_stacks_to
from stator.runtime.control import Counter
from stator.runtime.control_block import ControlBlock
from stator.runtime.exit_codes import ExitCode


def main() -> int:
    boot = read_boot(int(os.environ[BOOT_FD_VARIABLE]))
    send_stacks_to(boot.stack_fd)
    setproctitle(boot.title)
    if sys.argv[1] == "trial":
        return _be_tried(boot)
    child = Child(boot, ControlBlock.attach(boot.control_fd))
    behaviour = _behaviour_of(boot, f"{boot.role.name.lower()}-{boot.index}")
    if behaviour.startswith("exit "):
        return int(behaviour.removeprefix("exit "))
    if behaviour == "never ready":
        hang_before_ready()
    code = asyncio.run(_serve(child, behaviour))
    with (Path(boot.data_directory) / "left.log").open("a") as log:
        log.write(f"{boot.role.name.lower()} {boot.index} {code}\n")
    return code


def _be_tried(boot: Boot) -> int:
    verb, _, rest = _behaviour_of(boot, "trial").partition(" ")
    if verb == "exit":
        return int(rest)
    if verb == "refuse":
        os.write(boot.ready_fd, rest.encode())
        return ExitCode.APPLICATION
    if verb == "never":
        hang_before_ready()
    parent = os.getppid()
    while verb == "linger" and _behaviour_of(boot, "trial") == "linger" and os.getppid() == parent:
        time.sleep(0.005)
    os.write(boot.ready_fd, b"\n")
    return ExitCode.OK


def _behaviour_of(boot: Boot, name: str) -> str:
    file = Path(boot.data_directory) / "behaviour" / name
    return file.read_text() if file.exists() else ""


async def _serve(child: Child, behaviour: str) -> int:
    loop = asyncio.get_running_loop()
    child.start(loop)
    child.counters[Counter.REQUESTS] = 7
    if behaviour.startswith("starts "):
        well, badly = map(int, behaviour.split()[1:])
        child.counters[Counter.STARTS], child.counters[Counter.START_FAILURES] = well, badly
    child.ready()
    if behaviour == "block":
        loop.call_soon(block_the_loop)
    if behaviour == "crash":
        loop.call_soon(crash)
    await child.wait_stopping()
    if behaviour == "stubborn":
        await asyncio.Event().wait()
    return child.exit_code()


def hang_before_ready() -> None:
    time.sleep(3600)


def block_the_loop() -> None:
    time.sleep(3600)


def crash() -> None:
    ctypes.string_at(0)


if __name__ == "__main__":
    sys.exit(main())
