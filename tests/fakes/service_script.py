"""The supervisor with children of ``child_script``; the arguments are those of ``--set``."""

import os
import sys
from pathlib import Path

from stator.runtime.config_source import load_config
from stator.supervisor.loop import serve

if __name__ == "__main__":
    child = str(Path(__file__).with_name("child_script.py"))
    config = load_config(None, environ={}, overrides=sys.argv[1:])
    sys.exit(serve(config, environ=os.environ, command=(sys.executable, child)))
