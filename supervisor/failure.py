"""The one error with which the supervisor refuses to start."""

from stator.runtime.exit_codes import ExitCode


class ServiceFailure(Exception):
    """The service cannot run; the message says what to do about it, in one line."""

    def __init__(self, exit_code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        """With which the supervisor exits."""
