"""One sweep of the built-in model for all tests, made by the program."""

import atexit
import functools
import os
import shutil
import tempfile

import lowbit

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
CONFIG = os.path.join(HERE, "sweep.yaml")
BUILTIN = os.path.join(REPOSITORY, "data", "builtin")
os.environ.setdefault("LOWBIT", os.path.join(REPOSITORY, "lowbit"))

_folder = tempfile.TemporaryDirectory()
atexit.register(_folder.cleanup)


def text(name):
    return os.path.join(BUILTIN, name)


def run(results, config=CONFIG, quiet=True, validated=True, **overrides):
    """The config above, with the texts where this checkout has them."""
    inputs = {"model": text("model"), "calibration.text": text("calibration.txt"), "training.text": text("train.txt")}
    if validated:
        held_out = {"training.validation": text("eval.txt"), "training.every": 2, "training.validation_windows": 3}
        inputs.update(held_out)
    if "eval" not in overrides:
        inputs["eval"] = [
            {"name": "windows", "text": text("eval.txt"), "protocol": "W2-128", "windows": 6},
            {"name": "tokens", "text": text("eval.txt"), "protocol": "LCPP-128", "windows": 4},
        ]
    return lowbit.run(config, quiet=quiet, **{**inputs, "results": results, **overrides})


@functools.cache
def made():
    return run(_folder.name).path


def copy(to):
    """A copy that a test may damage."""
    folder = os.path.join(to, "copy")
    shutil.copytree(made(), folder, ignore=shutil.ignore_patterns("report", ".cache", ".lock"))
    return folder
