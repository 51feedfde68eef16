"""A results folder: sweep.json says which cells there are, cells.csv has their numbers, CELL.h5 the rest."""

import csv
import functools
import io
import json
import math
import os
import warnings

from . import cellfile, program, table
from . import columns as about
from .cellfile import CellFile
from .columns import Column
from .errors import DamagedFile, LowbitError, LowbitWarning, NotAResultsFolder


def load(folder, *, all=False):
    """Reads the results folder `folder`, as `lowbit run` leaves it: Results.

    all: also what earlier sweeps (another config, an override) left in the folder; asks the program for its cells.
    Warns (LowbitWarning) where cells have not run or a file is gone; the others are read all the same. Errors:
    NotAResultsFolder, DamagedFile.
    """
    return Results(folder, all)


def _read_json(path):
    try:
        with open(path, encoding="utf-8") as f:
            return json.load(f)
    except (OSError, ValueError, RecursionError) as e:
        raise DamagedFile(f"{path} is damaged: {e}") from None


def _plural(n, what):
    return f"{n} {what}" + ("" if n == 1 else "s")


class Results:
    """The results of one sweep. Frames are made when they are asked for, once."""

    def __init__(self, folder, all=False):
        self.path = os.fspath(folder)
        if not os.path.isdir(self.path):
            raise NotAResultsFolder(f"{self.path}: no such folder: 'lowbit run CONFIG' makes it")
        index = os.path.join(self.path, "sweep.json")
        self._table = None
        if not os.path.isfile(index):
            self._without_index(all)
            return
        read = _read_json(index)
        if not isinstance(read, dict) or read.get("format") != "lowbit sweep":
            raise DamagedFile(f'{index}: its format is not "lowbit sweep"')
        try:
            self.name, self.model = read["name"], read["model"]
            self._cells = [_Cell(self.path, x) for x in read["cells"]]
            for x in sorted(read.get("pending", []), key=lambda x: x["at"]):
                self._cells.insert(x["at"], _Cell(self.path, {**x, "state": "not run"}))
        except (KeyError, TypeError, AttributeError) as e:
            raise DamagedFile(f"{index} is damaged: {type(e).__name__}: {e}") from None
        if all:
            self._add_unlisted()
        for why in self.incomplete():
            warnings.warn(f"{self.path}: {why}", LowbitWarning, stacklevel=3)

    def _without_index(self, all):
        """The cells of a folder whose sweep.json is gone, as the program finds them."""
        if not any(f.endswith(".h5") for f in os.listdir(self.path)):
            raise NotAResultsFolder(
                f"{self.path}: not a results folder: it has no sweep.json (results of a config are in results/NAME)"
            )
        if not all:
            raise NotAResultsFolder(
                f"{self.path}: results are there, but their index is gone (sweep.json): load(folder, all=True) reads "
                "them, and the run of their config writes it again"
            )
        self._cells = []
        self._add_unlisted()
        header, *rows = self._table
        name, model = header.index("experiment"), header.index("model")
        self.name = rows[0][name]
        self.model = ", ".join(dict.fromkeys(row[model] for row in rows))

    def _add_unlisted(self):
        text = program.report(self.path, "--all", "--cells", "--no-write")
        header, *rows = self._table = list(csv.reader(io.StringIO(text, newline="")))
        of, listed = header.index, {c.stem for c in self._cells}
        for row in rows:
            x = {"stem": row[of("cell")], "label": _value("text", row[of("label")]), "state": row[of("state")]}
            if x["stem"] not in listed:
                self._cells.append(_Cell(self.path, x))
                listed.add(x["stem"])

    def incomplete(self):
        """What is not there, in words; nothing where the sweep is whole."""
        n, told = len(self._cells), []
        waiting = [c.label for c in self._cells if c.state == "not run"]
        gone = [c.label for c in self._cells if c.state == "missing"]
        if waiting:
            told.append(f"{len(waiting)} of {_plural(n, 'cell')} not run yet: {_few(waiting)}: run the config again")
        if gone:
            told.append(f"{_plural(len(gone), 'file')} gone: {_few(gone)}: run the config again")
        return told

    def __repr__(self):
        states = [c.state for c in self._cells]
        counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
        return f"<lowbit results {self.path}: {_plural(len(states), 'cell')}: {counts}>"

    def columns(self, frame):
        """A frame that says of each column of "cells", "layers", "windows" or "curves" its unit and its meaning."""
        if frame not in ("cells", "layers", "windows", "curves"):
            raise LowbitError(f"there is no frame '{frame}': must be cells, layers, windows or curves")
        attrs = getattr(self, frame).attrs
        names = list(attrs["units"])
        return table.make(
            about.OF_COLUMNS,
            {
                "column": names,
                "unit": [attrs["units"][k] for k in names],
                "meaning": [attrs["meanings"][k] for k in names],
            },
        )

    def report(self, *args):
        """The text that `lowbit report` prints of this folder; args as on the command line: "--sort", "ppl"."""
        return program.report(self.path, *args)

    @functools.cached_property
    def cells(self):
        header, rows = self._read_cells_csv()
        known = {c.name: c for c in about.CELLS}
        shown, values = [], {}
        for i, name in enumerate(header):
            texts = [row[i] for row in rows]
            column = known.get(name) or Column(name, _kind_of(texts), "", "")
            if name.startswith("option."):
                column = column._replace(meaning="option of the method; empty where it has none of that name")
            try:
                values[name] = [_value(column.kind, t) for t in texts]
            except ValueError as e:
                raise DamagedFile(f"{self.path}/cells.csv is damaged: column {name}: {e}") from None
            shown.append(column)
        return table.make(shown, values)

    def _read_cells_csv(self):
        if self._table:
            return self._table[0], self._table[1:]
        path = os.path.join(self.path, "cells.csv")
        again = f"'lowbit report {self.path}' writes it"
        try:
            with open(path, encoding="utf-8", newline="") as f:
                header, *rows = csv.reader(f, strict=True)
        except FileNotFoundError:
            raise LowbitError(f"{path} is not there: the sweep was stopped before its report: {again}") from None
        except (OSError, ValueError, csv.Error) as e:
            raise DamagedFile(f"{path} is damaged: {e}: {again} again") from None
        for i, row in enumerate(rows):
            if len(row) != len(header):
                raise DamagedFile(f"{path} is damaged: row {i + 2} has {len(row)} fields, not {len(header)}: {again} again")
        if not {"cell", "state"} <= set(header) or len(set(header)) != len(header):
            raise DamagedFile(f"{path}: not a cells.csv of lowbit: {again} again")
        cell, state = header.index("cell"), header.index("state")
        have = {(row[cell], row[state]) for row in rows}
        found = {(c.stem, "missing" if (c.stem, "missing") in have and c.is_damaged() else c.state) for c in self._cells}
        if have != found:
            raise LowbitError(f"{path} is not of the sweep as it is now (cells ran or files went since): {again} again")
        return header, rows

    @functools.cached_property
    def layers(self):
        parts = [(c, *_layers(f)) for c, f in self._files()]
        extra = dict.fromkeys(x for _, _, found in parts for x in found)
        present = {name for _, values, _ in parts for name in values}
        shown = [c for c in about.LAYERS if c in about.CELL or c.name in present or not parts]
        return _joined([*shown, *extra], [(c, v) for c, v, _ in parts])

    @functools.cached_property
    def windows(self):
        return _joined(about.WINDOWS, [(c, v) for c, f in self._files() for v in _windows(f)])

    @functools.cached_property
    def curves(self):
        parts = [(c, _curves(f)) for c, f in self._files()]
        validated = not parts or any(about.VALIDATION.name in values for _, values in parts)
        shown = [c for c in about.CURVES if validated or c is not about.VALIDATION]
        return _joined(shown, parts)

    cells.__doc__ = (
        "One row a cell and evaluation, also of cells that failed, were refused or have not run: cells.csv.\n\n"
        + about.listed(about.CELLS)
        + "\n    option.NAME: every option of every method; empty where the method has none of that name\n"
    )
    layers.__doc__ = (
        "One row a linear layer of a finished cell (columns that no cell has are left out; diagnostic.NAME: what the\n"
        "method told of its layers).\n\n" + about.listed(about.LAYERS)
    )
    windows.__doc__ = "One row a window of an evaluation of a finished cell.\n\n" + about.listed(about.WINDOWS)
    curves.__doc__ = (
        "One row a step of a training (qat, finetune). Where a held-out text was looked at, the last row of a cell is\n"
        "what came of it, with validation_loss alone; else that column is left out.\n\n" + about.listed(about.CURVES)
    )

    def _files(self):
        for c in self._cells:
            if c.state == "done":
                with CellFile(c.path, c.sha256) as f:
                    yield c, f


class _Cell:
    """What the index says of one cell."""

    def __init__(self, folder, x):
        self.stem, self.label, self.state = x["stem"], x["label"], x["state"]
        self.sha256 = x.get("sha256")
        if not self.stem or self.stem[0] in ".-" or "/" in self.stem or "\0" in self.stem:
            raise DamagedFile(f"{folder}/sweep.json is damaged: '{self.stem}' is no name of a cell")
        self.path = os.path.join(folder, self.stem + ".h5")
        if self.state == "done" and not os.path.isfile(self.path):
            self.state = "missing"

    def is_damaged(self):
        """Is its file there and not what the index says? A report counts it among the missing."""
        if self.state != "done":
            return False
        try:
            cellfile.check(self.path, self.sha256)
        except DamagedFile:
            return True
        return False


def _few(names):
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _kind_of(texts):
    """Of an option: what all its values can be read as."""
    given = {t for t in texts if t}
    if given and given <= {"true", "false"}:
        return "bool"
    try:
        whole = all(math.isfinite(float(t)) and t.lstrip("-").isdigit() for t in given)
    except ValueError:
        return "text"
    return ("count" if whole else "number") if given else "text"


def _value(kind, text):
    if text == "":
        return None
    if kind == "text":
        # a ' keeps spreadsheets from taking the rest for a formula
        return text[1:] if text[0] == "'" and text[1:2] in ("=", "@", "+", "-", "\t", "\r") else text
    if kind == "bool":
        if text not in ("true", "false"):
            raise ValueError(f"'{text}' is neither true nor false")
        return text == "true"
    return int(text) if kind == "count" else float(text)


def _rows(f, group, prefix, wanted):
    """The wanted columns that a group has, as Python values."""
    have, values = set(f.names(group)), {}
    for c in wanted:
        if prefix + c.name in have:
            v = f.read(f"{group}/{prefix}{c.name}")
            values[c.name] = [bool(x) for x in v] if c.kind == "bool" else v
    return values


def _layers(f):
    values = _rows(f, "layers", "", about.IN_LAYERS)
    values.update(_rows(f, "layers/derived", "", about.LAYER_DERIVED))
    if values and (seconds := f.read("host/layer_seconds")) is not None:
        values[about.SECONDS.name] = seconds
    told, names = [], f.read("diagnostics/name") or []
    for i, name in enumerate(names):
        unit, meaning = f.read("diagnostics/unit")[i], f.read("diagnostics/meaning")[i]
        told.append(Column(f"diagnostic.{name}", "number", unit, meaning))
        values[told[-1].name] = f.read("diagnostics/value")[i]
    return values, told


def _windows(f):
    for i in range(f.attrs("/")["n_evals"]):
        of = f.attrs(f"eval/{i}")
        values = _rows(f, f"eval/{i}", "window_", about.IN_WINDOWS)
        n = len(values["nll"])
        yield {"evaluation": [of["name"]] * n, "protocol": [of["protocol"]] * n, "window": list(range(n)), **values}


def _curves(f):
    """Step k begins with the weights that were validated at k: one row. What no row is of, the end above all, gets one."""
    columns = _rows(f, "training", "", about.IN_CURVES)
    at, losses = f.read("training/validation_step"), f.read("training/validation_loss")
    if at is None or losses is None:
        return columns
    if len(at) != len(losses) or len({len(v) for v in columns.values()}) > 1:
        raise DamagedFile(f"{f.path} is damaged: columns of training have different lengths: run the cell again")
    measured, columns = dict(zip(at, losses)), columns or {"step": []}
    columns[about.VALIDATION.name] = [measured.pop(step, None) for step in columns["step"]]
    for step, loss in measured.items():
        for name, column in columns.items():
            column.append({"step": step, about.VALIDATION.name: loss}.get(name))
    order = sorted(range(len(columns["step"])), key=columns["step"].__getitem__)
    return {name: [column[i] for i in order] for name, column in columns.items()}


def _joined(shown, parts):
    """One frame of several cells; what one of them has no column for is unknown there."""
    out = {c.name: [] for c in shown}
    for cell, values in parts:
        n = len(next(iter(values.values()), []))
        own = {"cell": [cell.stem] * n, "label": [cell.label] * n, **values}
        for name, column in out.items():
            part = own.get(name, [None] * n)
            if len(part) != n:
                raise DamagedFile(f"{cell.path} is damaged: {name} has {len(part)} rows, not {n}")
            column.extend(part)
    return table.make(shown, out)
