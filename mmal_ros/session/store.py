"""Flags and labels of a session, in SQLite: what was written is on disk when the call returns.

Labels are only added. Several processes may have the file open: the recorder adds flags while a page adds labels.
Nobody else may open it, not even to look: the locks that SQLite has on a file are a process's, and go when that process
closes any descriptor of it (sqlite.org/howtocorrupt, 2.2).
On a full disk the session's reserve is given up for them, see `space`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import URL, BigInteger, Boolean, Executable, Float, String, create_engine, event, func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.schema import CreateIndex, CreateTable

from mmal_ros.files import make_private, open_private
from mmal_ros.session.card import SessionError
from mmal_ros.session.records import Flag, Label, LabelValue
from mmal_ros.session.space import give_up_reserve, is_full

LARGEST_ID = (1 << 63) - 1
"""The largest number of a window that SQLite can keep."""
BUSY_TIMEOUT_S = 10.0
"""How long one writer waits for another."""
PRIMARY_CODE = 0xFF
"""What of SQLite's error codes is not a detail (sqlite.org/rescode.html)."""
MORE_THAN_TABLES = """
SELECT 1 FROM sqlite_schema
WHERE sql NOT LIKE 'CREATE TABLE %' AND sql NOT LIKE 'CREATE INDEX %' AND sql NOT LIKE 'CREATE UNIQUE INDEX %'
UNION ALL
SELECT 1 FROM sqlite_schema AS it, pragma_table_xinfo(it.name) AS col WHERE it.sql LIKE 'CREATE TABLE %' AND col.hidden
"""
"""By their text: the type beside it may be written as VIEW, and a table of a module has that of a table. What is hidden
is a column that is computed, at whatever cost."""
LONGEST_VALUE_BYTES = 1 << 24
"""Of SQLite's 1 GB: a note is a line, and nothing else here is longer."""
Result = TypeVar("Result")


class UnstorableError(SessionError):
    """A value that no such file can keep, or has: to try again is of no use."""


class BusyError(SessionError):
    """Somebody else is writing, for longer than one waits: to try again is of use, and room is not."""


class _Base(DeclarativeBase):
    pass


class _Flag(_Base):
    __tablename__ = "flag"
    window_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    stamp_ns: Mapped[int] = mapped_column(BigInteger)
    policy: Mapped[str] = mapped_column(String)
    reason: Mapped[str] = mapped_column(String)
    utility: Mapped[float] = mapped_column(Float)
    clip: Mapped[str | None] = mapped_column(String, default=None)
    withdrawn: Mapped[bool] = mapped_column(Boolean, default=False)


class _Label(_Base):
    __tablename__ = "label"
    number: Mapped[int] = mapped_column(primary_key=True)
    request: Mapped[str] = mapped_column(String, unique=True)
    window_id: Mapped[int] = mapped_column(BigInteger, index=True)
    stamp_ns: Mapped[int] = mapped_column(BigInteger)
    annotator: Mapped[str] = mapped_column(String)
    value: Mapped[str | None] = mapped_column(String)
    labelled_ns: Mapped[int] = mapped_column(BigInteger)
    note: Mapped[str] = mapped_column(String, default="")


class SessionStore:
    """The tables of one session; a context manager. Every method raises SessionError where the file cannot be used."""

    def __init__(self, path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        """Open the file, and make it if it is not there; after the time-out another one who writes is an error."""
        self.path = path
        self._engine = _engine(path, busy_timeout_s)
        self._twice(self._make)

    def _make(self) -> None:
        with suppress(FileExistsError):  # to close one that is there would end every lock this process has on it
            os.close(open_private(self.path, os.O_RDWR | os.O_EXCL))
        make_private(self.path)
        with self._engine.begin() as connection:
            if connection.exec_driver_sql(MORE_THAN_TABLES).first():  # a view in place of a table may have no end
                raise SessionError(
                    f"{self.path} cannot be used: it has a view, a trigger or a computed column, and ours have none"
                )
            _make_tables(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._engine.dispose()

    def flag(self, flag: Flag) -> None:
        """Keep a flag. One that is there already is replaced, but keeps its clip."""
        new = insert(_Flag).values(**asdict(flag))
        kept = {"clip": func.coalesce(new.excluded.clip, _Flag.clip)}
        self._write(new.on_conflict_do_update(index_elements=["window_id"], set_={**asdict(flag), **kept}))

    def withdraw(self, window_id: int) -> None:
        """Mark a flag as not to be labelled; it loses its clip's name. Unknown ones are not complained about."""
        self._write(update(_Flag).where(_Flag.window_id == window_id).values(withdrawn=True, clip=None))

    def attach_clip(self, window_id: int, clip: str) -> None:
        """Say where the clip of a flag is, or that it is lost (`CLIP_LOST`)."""
        self._write(update(_Flag).where(_Flag.window_id == window_id).values(clip=clip))

    def flags(self, *, withdrawn: bool = False) -> list[Flag]:
        """The flags in the order of time; with those withdrawn only if asked for."""
        query = select(_Flag).order_by(_Flag.stamp_ns, _Flag.window_id)
        with self._reading() as session:
            rows = session.scalars(query if withdrawn else query.where(_Flag.withdrawn.is_(False))).all()
            return [_flag_of(row) for row in rows]

    def add_label(self, label: Label, request: str) -> bool:
        """Add a label; it is on disk when this returns.

        Args:
            label: what was said.
            request: names this act of labelling: the same request again adds nothing.

        Returns:
            Whether it was added; False: this request had been.
        """
        return self.add_labels([(label, request)]) == 1

    def add_labels(self, labels: Sequence[tuple[Label, str]]) -> int:
        """Add several (label, request), all of them or none; returns how many were new."""
        if not labels:
            return 0
        new = insert(_Label).on_conflict_do_nothing(index_elements=["request"])
        return self._write(new, [_columns(*entry) for entry in labels])

    def labels(self) -> list[Label]:
        """Everything that was ever said, in the order in which it was said."""
        with self._reading() as session:
            return [_label_of(row) for row in session.scalars(select(_Label).order_by(_Label.number)).all()]

    def standing_labels(self) -> list[Label]:
        """What every coder says of every window by now: the last word of each, in the order of time."""
        return standing(self.labels())

    def _write(self, statement: Executable, rows: list[dict[str, Any]] | None = None) -> int:
        """Execute a statement, on disk when it returns; returns how many rows it changed."""

        def once() -> int:
            with self._engine.begin() as connection:
                return connection.execute(statement, rows).rowcount

        return self._twice(once)

    def _twice(self, work: Callable[[], Result]) -> Result:
        """Work that may need room on the disk: where there is none, the reserve is given up for it."""
        with self._clear_errors():
            try:
                return work()
            except OperationalError:
                if not (is_full(self.path.parent) and give_up_reserve(self.path.parent)):
                    raise
            return work()

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with self._clear_errors(), Session(self._engine) as session:
            yield session

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except SessionError:
            raise
        except (ValueError, TypeError, OverflowError, DataError, IntegrityError) as error:
            raise UnstorableError(f"{self.path} cannot be used: {getattr(error, 'orig', None) or error}") from error
        except (DatabaseError, OSError) as error:
            reason = getattr(error, "orig", None) or error
            if getattr(reason, "sqlite_errorcode", 0) & PRIMARY_CODE == sqlite3.SQLITE_BUSY:
                raise BusyError(f"{self.path} cannot be used: {reason}") from error
            remedy = "; the disk is full: make room, and try again" if is_full(self.path.parent) else ""
            raise SessionError(f"{self.path} cannot be used: {reason}{remedy}") from error


def standing(labels: Sequence[Label]) -> list[Label]:
    """The last word of every coder on every window, without what was taken back, in the order of time.

    A retraction takes back the last label that still stood: the one before it stands again.
    """
    said: dict[tuple[int, str], list[Label]] = {}
    for label in labels:
        words = said.setdefault((label.window_id, label.annotator), [])
        if label.value is not None:
            words.append(label)
        elif words:
            words.pop()
    return sorted((words[-1] for words in said.values() if words), key=lambda word: (word.stamp_ns, word.window_id))


def _flag_of(row: _Flag | None) -> Flag:
    """SQLite keeps whatever it is given: what is no number raises ValueError or TypeError."""
    if row is None:
        raise ValueError("a flag has no key")
    clip = None if row.clip is None else str(row.clip)
    policy, reason = str(row.policy), str(row.reason)
    return Flag(int(row.window_id), int(row.stamp_ns), policy, reason, float(row.utility), clip, bool(row.withdrawn))


def _label_of(row: _Label | None) -> Label:
    if row is None:
        raise ValueError("a label has no key")
    value = None if row.value is None else LabelValue(row.value)
    annotator, note = str(row.annotator), str(row.note)
    return Label(int(row.window_id), int(row.stamp_ns), annotator, value, int(row.labelled_ns), note)


def _columns(label: Label, request: str) -> dict[str, Any]:
    return {**asdict(label), "value": None if label.value is None else label.value.value, "request": request}


def _make_tables(connection: Connection) -> None:
    """Where they are not there yet; two processes may come to do so at once."""
    for table in _Base.metadata.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
        for index in table.indexes:
            connection.execute(CreateIndex(index, if_not_exists=True))


def _engine(path: Path, busy_timeout_s: float) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": busy_timeout_s})

    @event.listens_for(engine, "connect")
    def _make_durable(connection: Any, _: Any) -> None:
        """A commit is on disk when it returns, and readers do not keep writers waiting."""
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA trusted_schema=OFF")  # a file from elsewhere may have views and triggers
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE_BYTES)

    return engine
