"""What a stored table looks like: columns with type, unit and meaning, its keys, and how it is partitioned."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

import polars as pl

DataType: TypeAlias = pl.DataType | type[pl.DataType]

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
WHOLE = "all"
UTC_MS = pl.Datetime("ms", "UTC")
EXACT = pl.Decimal(38, 18)


class SchemaMismatch(Exception):
    """Rows do not fit the table: the message names the table, the column and what was expected."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: ``unit`` is empty for names and flags; ``nullable`` columns may hold nulls."""

    name: str
    dtype: DataType
    meaning: str
    unit: str = ""
    nullable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSpec:
    """A table's contract.

    Args:
        name: folder and view name, ``[a-z][a-z0-9_]*``.
        columns: in stored order.
        keys: the columns that identify a row; also its stored order.
        partition_by: a string column whose value names the row's folder, or ``None`` for one partition.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]
    partition_by: str | None = None

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        wrong = [name for name in (self.name, *names) if not _NAME.fullmatch(name)]
        missing = [key for key in (*self.keys, *filter(None, [self.partition_by])) if key not in names]
        if wrong or missing or len(set(names)) != len(names):
            raise ValueError(f"table {self.name}: bad names {wrong}, keys without a column {missing}")

    @property
    def schema(self) -> pl.Schema:
        return pl.Schema({column.name: column.dtype for column in self.columns})

    @property
    def stored_columns(self) -> tuple[tuple[str, str], ...]:
        """Names and types as the manifest records them."""
        return tuple((name, str(dtype)) for name, dtype in self.schema.items())

    def empty(self) -> pl.DataFrame:
        """Return a frame of this schema without rows."""
        return pl.DataFrame(schema=self.schema)

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows in column and key order, after checking that they fit.

        Raises:
            SchemaMismatch: a column is missing, unknown, of another type, or holds a null it must not.
        """
        missing = [name for name in self.schema if name not in frame.columns]
        unknown = [name for name in frame.columns if name not in self.schema]
        if missing or unknown:
            raise SchemaMismatch(f"table {self.name}: missing columns {missing}, unknown columns {unknown}")
        for column in self.columns:
            self._check(column, frame.get_column(column.name))
        return frame.select(self.schema.names()).sort(self.keys, maintain_order=True)

    def _check(self, column: Column, values: pl.Series) -> None:
        if values.dtype != column.dtype:
            raise SchemaMismatch(f"table {self.name}: {column.name} is {values.dtype}, expected {column.dtype}")
        if values.null_count() and not column.nullable:
            raise SchemaMismatch(f"table {self.name}: {column.name} holds {values.null_count()} nulls")

    def partitions_of(self, frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Split rows by partition value, sorted by it.

        Raises:
            SchemaMismatch: a value cannot be a folder name.
        """
        if self.partition_by is None:
            return {WHOLE: frame}
        split = frame.partition_by(self.partition_by, as_dict=True, maintain_order=True)
        named = {str(value): rows for (value,), rows in split.items()}
        for value in named:
            if not re.fullmatch(r"[A-Za-z0-9_\-]{1,64}", value):
                raise SchemaMismatch(f"table {self.name}: {value!r} cannot name a partition")
        return dict(sorted(named.items()))
