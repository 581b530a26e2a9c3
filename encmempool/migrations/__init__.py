"""The steps from one version of the database's schema to the next, as SQL files: NNNN_subject.sql, numbered from 1.

A step is one file for every kind of database, or one for each: NNNN_subject.sqlite.sql, NNNN_subject.postgresql.sql.
Statements end with a semicolon at the end of a line. A step that was released is never changed.
"""

from __future__ import annotations

from importlib.resources import files

NEWEST = 2


def step(version: int, database: str) -> tuple[str, ...]:
    """The statements that lead from the version before to this one.

    database    sqlite or postgresql
    """
    (text,) = (
        file.read_text(encoding="utf-8")
        for file in files(__name__).iterdir()
        if file.name.startswith(f"{version:04}_") and file.name.split(".")[1:] in (["sql"], [database, "sql"])
    )
    return tuple(statement for statement in text.split(";\n") if statement.strip())
