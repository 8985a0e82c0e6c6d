"""Errors of workflows, and what a step's body raises to say how it failed.

    CallerError          who asks about a workflow from outside asks for what there is not
    ApplicationError     the code of the workflow is wrong, or what it asked for did not go well
    ├── StepFailed       one step, for good
    ├── GatherFailed     branches of a ``gather`` or ``map``
    ├── FirstFailed      all branches of a ``first``
    └── UndoFailed       an undo handler
    UserError
    ├── Fatal            raised by a step's body: do not try again
    └── Undo             likewise, and undo what the saga did

Those of the workflow's own code are copied and pickled as what they are, with the errors in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from .errors import ActorError, ApplicationError, CallerError, SystemTrouble, UserError

Place = tuple[str, str] | None
"""Key and kind of an entry; ``None`` where there is none."""


class RecordedError(Exception):
    """Stands for an exception whose class cannot be found any more.

    ``name`` is that of its class.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(name, message)
        self.name = name
        self.message = message

    def __str__(self) -> str:
        return f"{self.name}: {self.message}" if self.message else self.name


def describe(error: BaseException) -> str:
    """Return an error in one line: ``"ValueError: boom"``."""
    text = text_of(error)
    if isinstance(error, ActorError | RecordedError):
        return text  # says itself who it is
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def text_of(error: BaseException) -> str:
    """Return ``str(error)``, or what went wrong with that."""
    try:
        return str(error)
    except Exception as problem:  # code of the application
        return f"<its text cannot be made: {type(problem).__name__}>"


def _remade(kind: Any, arguments: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    error.__dict__.update(attributes)
    return error


class _Kept(ActorError):
    """Is copied and pickled as what it is."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (type(self), self.args, dict(vars(self)))


# ------------------------------------------------------------- raised by the body of a step


class Fatal(_Kept, UserError):
    """Raised by the body of a step: this will not work, do not try again."""

    def __init__(self, message: str, *, code: str = "fatal", metadata: Any = None) -> None:
        super().__init__(message, code=code, metadata=metadata)


class Undo(_Kept, UserError):
    """Raised by the body of a step: do not try again, and undo what its saga did."""

    def __init__(self, message: str, *, code: str = "undo", metadata: Any = None) -> None:
        super().__init__(message, code=code, metadata=metadata)


# ----------------------------------------------------------- the workflow's code is to blame


class OutsideStep(ApplicationError):
    """Use this inside a step: the body of a workflow is run again after a restart, and may only
    ask `wf` for things."""

    known = ("workflow", "outside_step", 400)


class EntryInProgress(ApplicationError):
    """Something else was asked of this `wf` and goes on: await one after the other."""

    known = ("workflow", "entry_in_progress", 400)


class DuplicateEntry(ApplicationError):
    """A name may be used once in its scope: choose another, or tell several apart by `key=`."""

    known = ("workflow", "duplicate_entry", 400)


class Diverged(ApplicationError):
    """The code of the workflow asks for something else than its history has: use `wf.version` or
    `wf.removed` where it was changed."""

    known = ("workflow", "diverged", 500)

    @classmethod
    def between(cls, history: Place, code: Place) -> Diverged:
        """Return the error that says what history has at a place, and what the code asks for."""
        has = "has nothing more" if history is None else f"has {_in_words(history)}"
        asks = "nothing more" if code is None else _in_words(code)
        return cls(
            f"the history of the workflow {has} where its code asks for {asks}: "
            "use `wf.version` or `wf.removed` where the code was changed",
            metadata={"history": _as_data(history), "code": _as_data(code)},
        )


def _in_words(place: tuple[str, str]) -> str:
    key, kind = place
    return f"{kind!s} '{key}'"


def _as_data(place: Place) -> dict[str, str] | None:
    return None if place is None else {"key": place[0], "kind": str(place[1])}


class OutputNotSerializable(ApplicationError):
    """A value cannot be stored: annotate what the function returns, or return plain data."""

    known = ("workflow", "output_not_serializable", 500)


class UndoNotAddressable(ApplicationError):
    """An undo handler in a loop or a branch is a method of the actor or a function of a module,
    so that it is found after a restart."""

    known = ("workflow", "undo_not_addressable", 400)


class HistoryUnreadable(ApplicationError):
    """Something stored of the workflow cannot be read: a class it needs is not there any more, or
    a newer stator wrote it."""

    known = ("workflow", "history_unreadable", 500)


class TxnConflict(SystemTrouble):
    """The state was changed by somebody else while the transaction ran; nothing of it was done."""

    known = ("workflow", "txn_conflict", 503)


# -------------------------------------------------------------------- what did not go well


class RunFailed(ApplicationError):
    """The workflow failed."""

    known = ("workflow", "failed", 500)


class RunCancelled(ApplicationError):
    """The workflow was cancelled."""

    known = ("workflow", "cancelled", 409)


_HOW = {
    "exhausted": "failed after",
    "timeout": "took longer than its timeout, after",
    "fatal": "failed for good after",
    "undone": "asked to be undone after",
}
"""By the kind of a step's failure."""


class StepFailed(_Kept, ApplicationError):
    """A step failed for good."""

    known = ("workflow", "step_failed", 500)
    kinds: ClassVar[frozenset[str]] = frozenset(_HOW)

    kind: str = "exhausted"
    """One of :attr:`kinds`."""
    step: str = ""
    """Its name."""
    key: str = ""
    """Of its entry."""
    attempts: int = 0
    error: BaseException | None = None
    """What the last attempt raised."""

    @classmethod
    def of(
        cls,
        *,
        step: str,
        kind: str = "exhausted",
        key: str | None = None,
        attempts: int = 1,
        error: BaseException | None = None,
    ) -> StepFailed:
        """Return the error of a step; ``key`` is its name without one."""
        count = f"{attempts} attempt{'' if attempts == 1 else 's'}"
        cause = "" if error is None else f": {describe(error)}"
        key = step if key is None else key
        made = cls(
            f"step '{step}' {_HOW.get(kind, 'failed after')} {count}{cause}",
            metadata={"step": step, "key": key, "kind": kind, "attempts": attempts},
        )
        made.kind, made.step, made.key, made.attempts, made.error = kind, step, key, attempts, error
        return made


class GatherFailed(_Kept, ApplicationError):
    """Branches failed; all others were waited for."""

    known = ("workflow", "gather_failed", 500)

    name: str = ""
    """Of the ``gather`` or ``map``."""
    errors: Mapping[str, BaseException] = MappingProxyType({})
    """By the name of the branch."""

    @classmethod
    def of(cls, errors: Mapping[str, BaseException], *, name: str = "") -> GatherFailed:
        """Return the error of branches, by their names."""
        return _with_branches(cls(f"branches of '{name}' failed"), errors, name)


class FirstFailed(_Kept, ApplicationError):
    """All branches failed, so none was the first."""

    known = ("workflow", "first_failed", 500)

    name: str = ""
    """Of the ``first``."""
    errors: Mapping[str, BaseException] = MappingProxyType({})
    """By the name of the branch."""

    @classmethod
    def of(cls, errors: Mapping[str, BaseException], *, name: str = "") -> FirstFailed:
        """Return the error of branches, by their names."""
        return _with_branches(cls(f"all branches of '{name}' failed"), errors, name)


Branches = TypeVar("Branches", GatherFailed, FirstFailed)


def _with_branches(made: Branches, errors: Mapping[str, BaseException], name: str) -> Branches:
    listed = "; ".join(f"{branch}: {describe(error)}" for branch, error in errors.items())
    made.message = f"{made.message}: {listed}"
    made.args = (made.message,)
    made.metadata = {"name": name, "branches": list(errors)}
    made.name, made.errors = name, dict(errors)
    return made


class UndoFailed(_Kept, ApplicationError):
    """An undo handler failed, and those that come after it did not run."""

    known = ("workflow", "undo_failed", 500)

    step: str = ""
    """Name of the step that it was to undo."""
    error: BaseException | None = None
    """What its last attempt raised."""

    @classmethod
    def of(cls, *, step: str, error: BaseException) -> UndoFailed:
        """Return the error of the handler of a step."""
        made = cls(f"undoing step '{step}' failed: {describe(error)}", metadata={"step": step})
        made.step, made.error = step, error
        return made


# ------------------------------------------------------------ asked for in vain, from outside


class NoWorkflow(CallerError):
    """The actor has no workflow: its class has no `run` with `@workflow`."""

    known = ("workflow", "not_enabled", 404)


class EntryNotFound(CallerError):
    """The workflow has no entry with this key."""

    known = ("workflow", "entry_not_found", 404)


class AlreadyResolved(CallerError):
    """The promise has its value already."""

    known = ("workflow", "already_resolved", 409)


class NotFinished(CallerError):
    """The workflow has not ended yet."""

    known = ("workflow", "not_finished", 409)


class NotRetryable(CallerError):
    """Only a workflow that failed or was cancelled can be retried."""

    known = ("workflow", "not_retryable", 409)


class InFlight(CallerError):
    """Workflow replay is unavailable while the workflow is currently in flight."""

    known = ("actor", "workflow_in_flight", 409)
