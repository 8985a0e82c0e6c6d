"""A trial: a process that loads what is on disk as a worker does, and says how that went.

The supervisor runs no user code, so before a roll it has one of these find out whether there is
any use in replacing a worker. It opens no shard and no socket and holds no lock: nothing is lost
when it is killed, and a stop of the service does not wait for it.
"""

from __future__ import annotations

import faulthandler
import os
import time
from threading import Thread

from stator.runtime.boot import REPORT_BYTES, Boot
from stator.runtime.exit_codes import ExitCode
from stator.runtime.log import get_logger

from .loader import ApplicationUnusable, load_registry, log_unusable

FAREWELL_S = 1.0
"""How long threads that the application left running may hold up the end."""


def run_trial(boot: Boot) -> int:
    """Load the application; return ``OK`` or ``APPLICATION``, with why on the ready pipe.

    The stacks of a loading that takes half of ``workers.start_timeout`` go to the supervisor,
    which ends the process after all of it.
    """
    Thread(target=_end_with_supervisor, args=(boot,), name="stator-lifeline", daemon=True).start()
    faulthandler.dump_traceback_later(boot.config.workers.start_timeout / 2, file=boot.stack_fd)
    code, report = _try(boot)
    faulthandler.cancel_dump_traceback_later()
    os.write(boot.ready_fd, report)
    Thread(target=_end_soon, args=(code,), name="stator-farewell", daemon=True).start()
    return code


def _try(boot: Boot) -> tuple[ExitCode, bytes]:
    try:
        load_registry(boot.config.application, boot.config.actors)
    except ApplicationUnusable as error:
        log_unusable(get_logger("stator.trial"), error)
        return ExitCode.APPLICATION, str(error).encode(errors="replace")[:REPORT_BYTES]
    return ExitCode.OK, b"\n"


def _end_with_supervisor(boot: Boot) -> None:
    os.read(boot.lifeline_fd, 1)
    os._exit(ExitCode.ORPHANED)


def _end_soon(code: ExitCode) -> None:
    time.sleep(FAREWELL_S)
    os._exit(code)
