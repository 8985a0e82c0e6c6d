"""An application whose import does not end, as one that waits for a database would."""

import os
import time
from pathlib import Path

Path(os.environ["HANGING_APPLICATION_SIGN"]).touch()
time.sleep(3600)
