"""The protocol's errors. A party's bad input is Malformed or Rejected; the caller's own mistake is ValueError."""

from threshold.errors import Malformed, Rejected

__all__ = ["Conflict", "EnvironmentProblem", "Malformed", "Rejected", "StorageError"]


class EnvironmentProblem(Exception):
    """Something around us is missing or broken; the message says what to do. Exit code 3."""


class StorageError(EnvironmentProblem):
    """The database is locked, corrupted, from a newer version, or belongs to another network."""


class Conflict(Exception):
    """A write-once record exists with another value; nothing was written."""
