"""Results of the lowbit program as data frames.

    import lowbit
    r = lowbit.run("w3-groups.yaml", **{"eval.windows": 20})   # or lowbit.load("results/w3-groups")
    r.cells       one row a cell and evaluation
    r.layers      one row a linear layer of a cell
    r.windows     one row a window of an evaluation
    r.curves      one row a step of a training
    r.columns("layers")                                        # what each column means, and its unit

pandas DataFrames where pandas is installed, else lowbit.Table. h5py reads the files where it is
installed, else a small reader of the package's own.
"""

from .errors import DamagedFile, LowbitError, LowbitWarning, NotAResultsFolder, ProgramFailed, ProgramNotFound
from .program import report, run
from .results import Results, load
from .table import Table

__version__ = "1.0"
__all__ = [
    "DamagedFile",
    "LowbitError",
    "LowbitWarning",
    "NotAResultsFolder",
    "ProgramFailed",
    "ProgramNotFound",
    "Results",
    "Table",
    "load",
    "report",
    "run",
]
