"""Frames against the files themselves: h5py, the csv module and the documentation, none through the package."""

import csv
import glob
import math
import os
import re
import tempfile
import unittest
from unittest import mock

import lowbit
import sweep
from lowbit import cellfile, columns, hdf5, table

try:
    import h5py
except ImportError:
    h5py = None

needs_h5py = unittest.skipUnless(h5py, "h5py is not installed")


def rows(frame):
    """A frame as dicts, whichever kind it is; what is unknown is None, also in columns of text."""
    found = list(frame) if isinstance(frame, lowbit.Table) else frame.to_dict("records")
    return [{k: None if _is_unknown(v) else v for k, v in row.items()} for row in found]


def _is_unknown(v):
    return v is None or str(v) in ("", "nan", "<NA>", "NaN")


def raw_cells():
    with open(os.path.join(sweep.made(), "cells.csv"), encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


class Cells(unittest.TestCase):
    def setUp(self):
        self.results = lowbit.load(sweep.made())
        self.rows, self.raw = rows(self.results.cells), raw_cells()

    def test_every_field_is_that_of_the_file(self):
        self.assertEqual(len(self.rows), len(self.raw))
        self.assertEqual(list(self.results.cells.columns), list(self.raw[0]))
        for got, want in zip(self.rows, self.raw):
            for name, text in want.items():
                if text == "":
                    self.assertIsNone(got[name], name)
                elif isinstance(got[name], str):
                    self.assertEqual(got[name], text.lstrip("'"), name)
                elif text in ("true", "false"):
                    self.assertIs(bool(got[name]), text == "true", name)
                else:
                    self.assertEqual(got[name], float(text), name)

    def test_the_sweep_has_every_kind_of_cell(self):
        self.assertEqual({r["state"] for r in self.rows}, {"done", "refused"})
        self.assertEqual({r["bits_text"] for r in self.rows} - {None}, {"3", "3–8"})
        self.assertEqual({r["evaluation"] for r in self.rows} - {None}, {"windows", "tokens"})
        self.assertIn("=qat, short", {r["label"] for r in self.rows})
        self.assertEqual(repr(self.results), f"<lowbit results {sweep.made()}: 7 cells: 6 done, 1 refused>")

    def test_kinds(self):
        first = next(r for r in self.rows if r["method"] == "gptq")
        for name, kind in (("ppl", float), ("windows", int), ("true_sequential", bool), ("option.bits", int)):
            value = first[name]
            self.assertIsInstance(value.item() if hasattr(value, "item") else value, kind, name)
        self.assertEqual(first["option.group"], "row")

    @needs_h5py
    def test_numbers_are_those_of_the_result_files(self):
        for got in self.rows:
            if got["state"] != "done":
                continue
            with h5py.File(os.path.join(sweep.made(), got["cell"] + ".h5")) as f:
                (e,) = [x.attrs for x in f["eval"].values() if x.attrs["name"] == got["evaluation"]]
                same = {"ppl": "ppl", "ppl_se": "ppl_se", "mean_nll": "mean_nll", "tokens_scored": "scored"}
                if e["has_kl"]:
                    same |= {"kl_mean": "kl_mean", "kl_p99": "kl_p99", "top1": "top1", "delta_ln_ppl": "paired_delta"}
                for name, attribute in same.items():
                    self.assertEqual(got[name], e[attribute], name)
                self.assertEqual(got["label"], f.attrs["label"])
                self.assertEqual(got["model_bytes_rest_fp16"], f["size"].attrs["total_as_fp16"])
                if got["method"] != "none":
                    size = f["size"].attrs
                    self.assertEqual(
                        got["bits_per_weight"], 8 * size["quantized_total"] / size["quantized_weights"]
                    )


class EarlierSweeps(unittest.TestCase):
    """What an override takes out of the sweep is there with all=True."""

    def test_all(self):
        with tempfile.TemporaryDirectory() as folder:
            first = rows(sweep.run(folder, quantize=[{"method": "rtn"}]).cells)
            second = sweep.run(folder, quantize=[{"method": "rtn"}], axes={"bits": [5]})
            both = lowbit.load(second.path, all=True)
            labels = ["none", "none", "rtn 5b row", "rtn 5b row", "rtn 3b row", "rtn 3b row"]
            self.assertEqual(list(both.cells["label"]), labels)
            self.assertEqual(list(second.cells["label"]), labels[:4])
            self.assertEqual(rows(both.cells)[4:], first[2:])
            self.assertEqual(len(both.layers), 2 * 35)
            self.assertEqual(len(second.layers), 35)
            path = min(glob.glob(os.path.join(folder, "sweep", "rtn-3b*.h5")))
            with open(path, "r+b") as f:
                f.seek(1000)
                f.write(b"damage")
            with self.assertRaisesRegex(lowbit.DamagedFile, "it begins with .*: run the cell again"):
                both.windows


@needs_h5py
class FromResultFiles(unittest.TestCase):
    def setUp(self):
        self.results = lowbit.load(sweep.made())
        self.files = {}
        for path in glob.glob(os.path.join(sweep.made(), "*.h5")):
            self.files[os.path.basename(path)[: -len(".h5")]] = h5py.File(path)
        self.addCleanup(lambda: [f.close() for f in self.files.values()])

    def of_cell(self, frame, stem):
        return [r for r in rows(frame) if r["cell"] == stem]

    def same(self, got, name, dataset):
        want = (dataset.asstr() if h5py.check_string_dtype(dataset.dtype) else dataset)[()].tolist()
        self.assertEqual([r[name] for r in got], [None if _is_unknown(v) else v for v in want], name)

    def test_layers(self):
        datasets = 0
        for stem, f in self.files.items():
            got = self.of_cell(self.results.layers, stem)
            self.assertEqual(len(got), f.attrs["n_layers"])
            if not got:
                continue
            self.assertEqual({r["label"] for r in got}, {f.attrs["label"]})
            for name in f["layers"]:
                if name != "derived":
                    self.same(got, name, f["layers"][name])
                    datasets += 1
            for name, dataset in f["layers/derived"].items():
                self.same(got, name, dataset)
            self.same(got, "seconds", f["host/layer_seconds"])
        self.assertGreater(datasets, 5 * 30)

    def test_diagnostics(self):
        told = [(stem, f) for stem, f in self.files.items() if "diagnostics" in f]
        self.assertTrue(told)
        for stem, f in told:
            got = self.of_cell(self.results.layers, stem)
            for i, name in enumerate(f["diagnostics/name"].asstr()):
                self.assertEqual([r["diagnostic." + name] for r in got], f["diagnostics/value"][i].tolist())
                self.assertEqual(self.results.layers.attrs["meanings"]["diagnostic." + name],
                                 f["diagnostics/meaning"].asstr()[i])  # fmt: skip

    def test_windows(self):
        for stem, f in self.files.items():
            for e in f["eval"].values():
                got = [r for r in self.of_cell(self.results.windows, stem) if r["evaluation"] == e.attrs["name"]]
                self.assertEqual([r["window"] for r in got], list(range(e.attrs["windows"])))
                for name in ("nll", "kl", "agree"):
                    if "window_" + name in e:
                        self.same(got, name, e["window_" + name])
                    else:
                        self.assertEqual({r[name] for r in got}, {None})

    def test_curves(self):
        steps = 0
        for stem, f in self.files.items():
            got = self.of_cell(self.results.curves, stem)
            steps += len(got)
            if "training" not in f:
                continue
            *before, end = got
            validation = [f["training"][name][()].tolist() for name in ("validation_step", "validation_loss")]
            for name in f["training"]:
                if not name.startswith("validation"):
                    self.same(before, name, f["training"][name])
            self.assertEqual([r["step"] for r in got], list(range(6)))
            self.assertEqual([(r["step"], r["validation_loss"]) for r in got if r["validation_loss"] is not None],
                             list(zip(*validation)))  # fmt: skip
            self.assertEqual(validation[0], [0, 2, 4, 5])
            self.assertEqual({k for k, v in end.items() if v is None}, {c.name for c in columns.IN_CURVES} - {"step"})
        self.assertEqual(steps, 6)

    def test_curves_without_validation(self):
        with tempfile.TemporaryDirectory() as to:
            qat = {"method": "qat", "steps": 5, "batch": 2, "length": 32, "warmup": 2}
            plain = sweep.run(to, validated=False, quantize=[qat])
            self.assertNotIn("validation_loss", plain.curves.columns)
            self.assertEqual(len(plain.curves), 5)


class FromResultFilesWithoutH5py(FromResultFiles):
    """The same with the package's own reader."""

    def setUp(self):
        patch = mock.patch.object(cellfile, "h5py", None)
        patch.start()
        self.addCleanup(patch.stop)
        super().setUp()


@needs_h5py
class OwnReader(unittest.TestCase):
    """hdf5.py against h5py."""

    def compare(self, path):
        own = hdf5.File(path)
        self.addCleanup(own.close)

        def same(name, x):
            self.assertEqual(own.attrs(name), {k: getattr(v, "item", lambda v=v: v)() for k, v in x.attrs.items()})
            if isinstance(x, h5py.Dataset):
                values = (x.asstr() if h5py.check_string_dtype(x.dtype) else x)[()].tolist()
                self.assertEqual(repr(own.read(name)), repr(values), name)
            else:
                self.assertEqual(sorted(own.names(name)), sorted(k for k, v in x.items() if isinstance(v, h5py.Dataset)))

        with h5py.File(path) as f:
            same("/", f)
            f.visititems(same)
        self.assertIsNone(own.read("layers/nothing"))
        self.assertEqual(own.names("nothing"), [])

    def test_result_files(self):
        for path in glob.glob(os.path.join(sweep.made(), "*.h5")):
            self.compare(path)

    def test_heaps_and_trees_of_many_levels(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.h5")
            with h5py.File(path, "w", userblock_size=512, libver=("v108", "v108")) as f:
                for i in range(3000):
                    f[f"many/name of a dataset {i:05d}"] = i / 7
                    if i < 1500:
                        f["many"].attrs[f"attribute {i}"] = "ü" * (i % 40)
                for i, type in enumerate(("i1", "u1", "i2", "u4", "i8", "f4", "f8")):
                    f[f"types/{i}"] = [[[1, 2, 3], [4, 5, 100]]] if i % 2 else 7
                    f.create_dataset(f"typed/{type}", data=[[1, 2, 3], [4, 5, 100]], dtype=type)
                f["texts"] = ["", "a", "ü" * 70000]
                f.create_dataset("none", shape=(0, 3), dtype="f8")
            self.compare(path)

    def test_what_it_does_not_read(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.h5")
            with h5py.File(path, "w", userblock_size=512, libver=("v108", "v108")) as f:
                f.create_dataset("chunks", data=list(range(1000)), chunks=(10,), compression="gzip")
                f.create_dataset("big", data=[1, 2], dtype=">i4")
            own = hdf5.File(path)
            self.addCleanup(own.close)
            for name, why in (("chunks", "layout 2"), ("big", "elements of class 0 with 4 bytes")):
                with self.assertRaisesRegex(hdf5.Unsupported, why):
                    own.read(name)

    def test_damage_ends_as_an_error(self):
        """Whatever byte of a file is another: no other kind of error, and an end."""
        path = min(glob.glob(os.path.join(sweep.made(), "rtn*.h5")))
        with open(path, "rb") as f:
            data = f.read()
        with tempfile.TemporaryDirectory() as folder:
            copy = os.path.join(folder, "x.h5")
            for k in range(400):
                at = 512 + (k * 7919) % (len(data) - 512) if k % 2 else 512 + k * 3
                with open(copy, "wb") as f:
                    f.write(data[:at] + bytes([data[at] ^ (1 << k % 8)]) + data[at + 1 :])
                try:
                    with mock.patch.object(cellfile, "check"), mock.patch.object(cellfile, "h5py", None):
                        with cellfile.CellFile(copy, None) as f:
                            for group in ("layers", "layers/derived", "eval/0", "host"):
                                f.attrs(group)
                                for name in f.names(group):
                                    f.read(f"{group}/{name}")
                except lowbit.LowbitError:
                    pass


class Words(unittest.TestCase):
    """Every column has a meaning, the one of the documentation."""

    def page(self, name):
        with open(os.path.join(sweep.REPOSITORY, "docs", name), encoding="utf-8") as f:
            return f.read()

    def test_cells(self):
        lines = re.findall(r"^\| (\w+) \| ?(\S*) \| (.*) \|$", self.page("report.md"), re.MULTILINE)
        documented = {name: (unit, meaning) for name, unit, meaning in lines}
        for c in columns.CELLS:
            self.assertEqual((c.unit, c.meaning), documented[c.name])
        self.assertLessEqual({n for n in raw_cells()[0] if not n.startswith("option.")}, {c.name for c in columns.CELLS})

    def test_columns_of_layers_are_those_of_the_documentation(self):
        page = self.page("results.md")
        section = page[page.index("### /layers") : page.index("### /eval/i")]
        documented = set()
        for first in re.findall(r"^\|([^|]*)\|", section, re.MULTILINE):
            documented.update(re.findall(r"`(\w+)`", first))
        self.assertEqual({c.name for c in columns.IN_LAYERS}, documented)
        derived = section[section.index("`/layers/derived/`") :]
        self.assertEqual({c.name for c in columns.LAYER_DERIVED}, set(re.findall(r"`(\w+)`", derived)))

    def test_every_column_shown_has_a_meaning(self):
        results = lowbit.load(sweep.made())
        for name in ("cells", "layers", "windows", "curves"):
            frame, told = getattr(results, name), rows(results.columns(name))
            self.assertEqual([r["column"] for r in told], list(frame.columns))
            self.assertEqual([r["column"] for r in told if not r["meaning"]], [])
        for name, needle in (("cells", "delta_ln_ppl"), ("layers", "sqnr_own"), ("curves", "grad_norm")):
            self.assertIn(needle, getattr(lowbit.Results, name).__doc__)
        with self.assertRaisesRegex(lowbit.LowbitError, "no frame 'layer': must be cells, layers"):
            results.columns("layer")


class WithoutPandas(unittest.TestCase):
    def load(self):
        with mock.patch.object(table, "pandas", None):
            results = lowbit.load(sweep.made())
            return results, results.cells

    def test_same_values(self):
        results, cells = self.load()
        self.assertIsInstance(cells, lowbit.Table)
        self.assertEqual(len(cells), len(raw_cells()))
        for got, want in zip(rows(cells), rows(lowbit.load(sweep.made()).cells)):
            for name in want:
                self.assertEqual(got[name], want[name], name)

    def test_a_table(self):
        _, cells = self.load()
        gptq = cells.where(method="gptq", evaluation="windows").select("label", "ppl", "bits")
        self.assertEqual(gptq["label"], ["gptq 3b row", "gptq 3b g64"])
        self.assertEqual(gptq.columns, ["label", "ppl", "bits"])
        lines = repr(gptq).splitlines()
        self.assertEqual(lines[0].split(), ["label", "ppl", "bits"])
        self.assertEqual(len({line.index(word) for line, word in zip(lines, ["ppl", f"{gptq['ppl'][0]:.6g}"])}), 1)
        refused = next(iter(cells.where(state="refused")))
        self.assertTrue(math.isnan(refused["ppl"]))
        self.assertEqual((refused["evaluation"], refused["windows"]), ("", None))
        self.assertEqual(repr(lowbit.Table({"a": ["\x1b[2J\n", 0.1]})), "a\n\\x1b[2J\\n\n0.1")
        with self.assertRaisesRegex(ValueError, "different lengths"):
            lowbit.Table({"a": [1], "b": []})


if __name__ == "__main__":
    unittest.main()
