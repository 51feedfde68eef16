"""What is missing, damaged or unfinished, and a program that is not there or fails."""

import csv
import io
import json
import os
import sys
import tempfile
import unittest
import warnings
from unittest import mock

import lowbit
import sweep

try:
    import h5py
except ImportError:
    h5py = None


class InAFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, text, *parts):
        with open(self.path(*parts), "w", encoding="utf-8") as f:
            f.write(text)

    def fails(self, kind, pattern):
        return self.assertRaisesRegex(kind, pattern)


class Folders(InAFolder):
    def test_no_folder(self):
        with self.fails(lowbit.NotAResultsFolder, "nowhere: no such folder: 'lowbit run CONFIG' makes it"):
            lowbit.load(self.path("nowhere"))

    def test_no_results_folder(self):
        with self.fails(lowbit.NotAResultsFolder, "not a results folder: it has no sweep.json"):
            lowbit.load(self.folder)

    def test_index_gone(self):
        copy = sweep.copy(self.folder)
        layers = len(lowbit.load(copy).layers)
        os.remove(os.path.join(copy, "sweep.json"))
        with self.fails(lowbit.NotAResultsFolder, r"their index is gone \(sweep.json\): load\(folder, all=True\) reads"):
            lowbit.load(copy)
        left = lowbit.load(copy, all=True)
        self.assertEqual((left.name, len(left.layers)), ("copy", layers))
        self.assertIn("model", left.model)
        self.assertGreater(len(left.cells), 5)


class Damage(InAFolder):
    def setUp(self):
        super().setUp()
        self.copy = sweep.copy(self.folder)
        self.stem = next(f[:-3] for f in sorted(os.listdir(self.copy)) if f.startswith("gptq") and f.endswith(".h5"))

    def edit(self, name, change):
        path = os.path.join(self.copy, name)
        with open(path, "rb") as f:
            data = bytearray(f.read())
        changed = change(data)
        with open(path, "wb") as f:
            f.write(data if changed is None else changed)

    def test_result_files(self):
        def flip(at):
            def change(data):
                data[at] ^= 1

            return change

        changes = [flip(100), flip(600), lambda data: data[: len(data) // 2], lambda data: b"", lambda data: data[512:]]
        with open(os.path.join(self.copy, self.stem + ".h5"), "rb") as f:
            whole = f.read()
        for change in changes:
            self.edit(self.stem + ".h5", change)
            results = lowbit.load(self.copy)
            self.assertEqual(len(results.cells), 13)
            with self.fails(lowbit.DamagedFile, rf"copy/{self.stem}\.h5.*damaged.*run the cell again"):
                results.layers
            with self.fails(lowbit.DamagedFile, self.stem):
                results.windows
            self.edit(self.stem + ".h5", lambda data: whole)
        self.assertEqual(len(lowbit.load(self.copy).layers), 5 * 35)

    def test_damaged_file_in_a_report(self):
        """cells.csv says then that the cell has no result."""
        path = os.path.join(self.copy, self.stem + ".h5")
        with open(path, "rb") as f:
            whole = f.read()
        self.edit(self.stem + ".h5", lambda data: data[: len(data) // 2])
        lowbit.load(self.copy).report()
        left = lowbit.load(self.copy)
        self.assertEqual(list(left.cells["state"]).count("missing"), 1)
        with self.fails(lowbit.DamagedFile, self.stem):
            left.layers
        self.edit(self.stem + ".h5", lambda data: whole)
        with self.fails(lowbit.LowbitError, "is not of the sweep as it is now"):
            lowbit.load(self.copy).cells

    @unittest.skipUnless(h5py, "h5py is not installed")
    def test_packed_layers_are_not_read(self):
        """Their bytes have checksums of their own, as docs/results.md says."""
        with h5py.File(os.path.join(self.copy, self.stem + ".h5")) as f:
            inside = bytes(f["kept/bytes"][:64])
        with open(os.path.join(self.copy, self.stem + ".h5"), "rb") as f:
            data = f.read()
        at = data.index(inside)

        def change(data):
            data[at] ^= 1

        self.edit(self.stem + ".h5", change)
        self.assertEqual(len(lowbit.load(self.copy).layers), 5 * 35)

    def test_another_file_of_the_name(self):
        other = next(f for f in sorted(os.listdir(self.copy)) if f.startswith("rtn") and f.endswith(".h5"))
        with open(os.path.join(self.copy, other), "rb") as f:
            data = f.read()
        self.edit(self.stem + ".h5", lambda _: data)
        with self.fails(lowbit.DamagedFile, "SHA-256 .*, sweep.json says"):
            lowbit.load(self.copy).curves

    def test_index(self):
        for change in (lambda d: d[:50], lambda d: b"{}", lambda d: b"[1]", lambda d: d.replace(b'"stem"', b'"stam"'),
                       lambda d: d.replace(b'"cells"', b'"sells"'), lambda d: b"[" * 100000):  # fmt: skip
            copy = sweep.copy(tempfile.mkdtemp(dir=self.folder))
            path = os.path.join(copy, "sweep.json")
            with open(path, "rb") as f:
                data = change(f.read())
            with open(path, "wb") as f:
                f.write(data)
            with self.fails(lowbit.DamagedFile, "sweep.json"):
                lowbit.load(copy)

    def test_names_stay_in_the_folder(self):
        for name in ("../other", "/etc/x", ".hidden", ""):
            self.edit("sweep.json", lambda _: json.dumps({
                "format": "lowbit sweep", "format_version": 1, "name": "x", "model": "m",
                "cells": [{"stem": name, "label": "a", "state": "done", "sha256": "0" * 64}],
            }).encode())  # fmt: skip
            with self.fails(lowbit.DamagedFile, "is no name of a cell"):
                lowbit.load(self.copy)

    def test_cells_csv(self):
        def field(name, text):
            def change(data):
                header, *rows = csv.reader(io.StringIO(data.decode(), newline=""))
                rows[3][header.index(name)] = text
                out = io.StringIO(newline="")
                csv.writer(out, lineterminator="\n").writerows([header, *rows])
                return out.getvalue().encode()

            return change

        with open(os.path.join(self.copy, "cells.csv"), "rb") as f:
            whole = f.read()
        for change, why in (
            (lambda d: d[:-20], "is damaged: row 14 has"),
            (lambda d: b"\xff" + d, "is damaged: 'utf-8'"),
            (lambda d: b"", "is damaged"),
            (lambda d: b"a,b\n1,2\n", "not a cells.csv of lowbit"),
            (field("ppl", "1.5x"), "is damaged: column ppl: .*1.5x"),
            (field("true_sequential", "yes"), "is damaged: column true_sequential: 'yes' is neither"),
        ):
            self.edit("cells.csv", change)
            with self.fails(lowbit.DamagedFile, "copy/cells.csv.*" + why):
                lowbit.load(self.copy).cells
            self.edit("cells.csv", lambda _: whole)
        self.assertEqual(len(lowbit.load(self.copy).cells), 13)


class Unfinished(InAFolder):
    def test_an_interrupted_sweep_and_its_end(self):
        """An interruption while the third cell runs: an orderly stop; what is there is read, and a second run ends it."""

        class Interrupting(io.StringIO):
            def write(self, text):
                if text.startswith("[3/7]"):
                    raise KeyboardInterrupt
                return super().write(text)

        with mock.patch.object(sys, "stdout", Interrupting()), self.assertRaises(KeyboardInterrupt):
            sweep.run(self.path("results"), quiet=False)
        with self.assertWarnsRegex(lowbit.LowbitWarning, r"of 7 cells not run yet: .*: run the config again"):
            results = lowbit.load(self.path("results", "sweep"))
        with self.fails(lowbit.LowbitError, r"cells.csv is not there: .*'lowbit report .*sweep' writes it"):
            results.cells
        results.report()
        cells = list(results.cells["state"])
        self.assertIn("not run", cells)
        self.assertIn("done", cells)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            whole = sweep.run(self.path("results"))
        self.assertEqual(whole.incomplete(), [])
        self.assertEqual(len(whole.cells), 13)

    def test_a_file_that_is_gone(self):
        copy = sweep.copy(self.folder)
        gone = next(f for f in os.listdir(copy) if f.startswith("rtn") and f.endswith(".h5"))
        os.remove(os.path.join(copy, gone))
        with self.assertWarnsRegex(lowbit.LowbitWarning, "1 file gone: rtn 3b row: run the config again"):
            results = lowbit.load(copy)
        with self.fails(lowbit.LowbitError, "is not of the sweep as it is now .*'lowbit report .*copy' writes it again"):
            results.cells
        results.report()
        self.assertEqual(list(results.cells["state"]).count("missing"), 1)
        self.assertEqual(len(results.layers), 4 * 35)


class Program(InAFolder):
    def test_not_found(self):
        with mock.patch.dict(os.environ, {"LOWBIT": self.path("lowbit")}):
            with self.fails(lowbit.ProgramNotFound, "LOWBIT=.*/lowbit is no program: build it"):
                lowbit.run("x.yaml")
        with mock.patch.dict(os.environ, {"PATH": self.folder}):
            del os.environ["LOWBIT"]
            with self.fails(lowbit.ProgramNotFound, "there is no 'lowbit' on the PATH: build it .* program=FILE"):
                lowbit.report(sweep.HERE)
        with self.fails(lowbit.ProgramNotFound, "program=nowhere is no program"):
            lowbit.run("x.yaml", program="nowhere")

    def test_a_config_that_cannot_run(self):
        with self.fails(lowbit.ProgramFailed, r"^lowbit run: .*unknown key 'gruop'.*did you mean 'group'") as failed:
            sweep.run(self.path("results"), quantize=[{"method": "rtn", "gruop": 64}])
        self.assertEqual(failed.exception.status, 1)
        with self.fails(lowbit.ProgramFailed, "^lowbit report: .*sweep.json"):
            lowbit.report(self.folder)

    def test_a_value_outside_its_tolerance_is_a_warning(self):
        with open(sweep.CONFIG, encoding="utf-8") as f:
            self.write(f.read(), "config.yaml")
        expected = "method,options,evaluation,protocol,windows,metric,expected,tolerance,kind,source\n"
        expected += "none,,windows,W2-128,,ppl,1,0.001,absolute,made up\n"
        self.write(expected, "expected.csv")
        with self.assertWarnsRegex(lowbit.LowbitWarning, "lowbit run: .*1 value outside the tolerance"):
            results = sweep.run(self.path("results"), self.path("config.yaml"), quantize=[{"method": "rtn"}])
        self.assertEqual(list(results.cells["label"]), ["none", "none", "rtn 3b row", "rtn 3b row"])

    def test_overrides(self):
        """Lists, maps, truth values and texts reach the config as they are."""
        rtn = [{"method": "rtn", "symmetric": True}]
        results = sweep.run(self.path("a: b"), keep_layers=False, name="short", axes={"bits": [2, 5]}, quantize=rtn)
        self.assertEqual(results.path, self.path("a: b", "short"))
        given = set(zip(map(str, results.cells["option.bits"]), map(str, results.cells["option.symmetric"])))
        self.assertLessEqual({("2", "True"), ("5", "True")}, given)


if __name__ == "__main__":
    unittest.main()
