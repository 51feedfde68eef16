"""Data frames: pandas' where it is installed, else Table."""

try:
    import pandas
except ImportError:
    pandas = None

UNKNOWN = {"text": "", "number": float("nan"), "count": None, "bool": None}


class Table:
    """Columns of equal length, for where there is no pandas.

    table["ppl"] is a list, iterating gives rows as dicts, len() is the number of rows, `attrs` says what columns mean.
    Unknown values are "" in columns of text, NaN in columns of numbers, None in those of counts and truth values.
    """

    def __init__(self, columns, attrs=None):
        self._columns = {name: list(values) for name, values in columns.items()}
        self.attrs = dict(attrs or {})
        if len({len(v) for v in self._columns.values()}) > 1:
            raise ValueError("columns of different lengths: " + str({k: len(v) for k, v in self._columns.items()}))

    @property
    def columns(self):
        return list(self._columns)

    def __getitem__(self, name):
        return self._columns[name]

    def __len__(self):
        return len(next(iter(self._columns.values()), []))

    def __iter__(self):
        names = self.columns
        for values in zip(*self._columns.values()):
            yield dict(zip(names, values))

    def where(self, **equal):
        """The rows in which every named column has the given value: cells.where(method="gptq", bits=3)."""
        keep = [i for i, row in enumerate(self) if all(row[name] == value for name, value in equal.items())]
        return Table({name: [v[i] for i in keep] for name, v in self._columns.items()}, self.attrs)

    def select(self, *names):
        """These columns, in this order."""
        return Table({name: self._columns[name] for name in names}, self.attrs)

    def __repr__(self):
        texts = [[_shown(name), *map(_shown, values)] for name, values in self._columns.items()]
        widths = [max(map(len, column)) for column in texts]
        lines = ("  ".join(t.ljust(w) for t, w in zip(line, widths)).rstrip() for line in zip(*texts))
        return "\n".join(lines) if texts else "(no columns)"


def _shown(value):
    """On one line, and nothing that a terminal would obey: texts may come from anybody's file."""
    text = f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def make(columns, values):
    """columns: Column each; values: name -> list with None for what is unknown. `attrs` of the frame hold units and
    meanings by name of column."""
    attrs = {"units": {c.name: c.unit for c in columns}, "meanings": {c.name: c.meaning for c in columns}}
    if pandas is None:
        known = {c.name: [UNKNOWN[c.kind] if v is None else v for v in values[c.name]] for c in columns}
        return Table(known, attrs)
    frame = pandas.DataFrame({c.name: _series(c.kind, values[c.name]) for c in columns})
    frame.attrs.update(attrs)
    return frame


def _series(kind, values):
    if kind == "text":
        return pandas.Series(["" if v is None else v for v in values], dtype=object)
    if kind == "number":
        return pandas.Series([float("nan") if v is None else v for v in values], dtype="float64")
    whole = None not in values
    if kind == "bool":
        return pandas.Series(values, dtype="bool" if whole else "boolean")
    if any(v is not None and not -(2**63) <= v < 2**63 for v in values):
        return pandas.Series(values, dtype=object)
    return pandas.Series(values, dtype="int64" if whole else "Int64")
