"""What the columns of the frames mean. Those of cells are in columns.csv, which the program's tests keep equal to
docs/report.md; those of layers, windows and curves follow docs/results.md."""

import csv
import os
from typing import NamedTuple


class Column(NamedTuple):
    name: str
    kind: str  # text, number, count, bool
    unit: str  # "": none; "1": a ratio
    meaning: str


def _of_cells():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "columns.csv")
    with open(path, encoding="utf-8", newline="") as f:
        return [Column(**{"name": row.pop("column"), **row}) for row in csv.DictReader(f)]


def _parsed(text):
    return [Column(*(part.strip() for part in line.split("|"))) for line in text.strip().splitlines()]


def _errors():
    """own_weight_err and its relatives: sums of squares of four pairs, on two kinds of inputs."""
    inputs = {"own": "H of the inputs the layer was solved on", "original": "H of the original model's inputs"}
    for base, what in (("", ""), ("rtn_", "of round-to-nearest onto the same storage: ")):
        for of, h in inputs.items():
            yield Column(f"{base}{of}_weight_err", "number", "", f"{what}sum of squares of D = What - W")
            yield Column(f"{base}{of}_weight_energy", "number", "", f"{what}sum of squares of W")
            yield Column(f"{base}{of}_output_err", "number", "", f"{what}tr(D H D'), a token, {h}")
            yield Column(f"{base}{of}_output_energy", "number", "", f"{what}tr(W H W'), a token, {h}")
            alike = f"{h}, every token counting the same"
            yield Column(f"{base}equal_{of}_output_err", "number", "", f"{what}tr(D H D'), a token, {alike}")
            yield Column(f"{base}equal_{of}_output_energy", "number", "", f"{what}tr(W H W'), a token, {alike}")


def _carried():
    """Who carries H, of the same two kinds."""
    for of, h in (("", "H of the inputs the layer was solved on"), ("original_", "H of the original model's inputs")):
        yield Column(f"{of}participation", "number", "share", f"of tokens, as if so many carried all of {h}")
        yield Column(f"{of}first_share", "number", "share", f"of {h}: that of each sequence's first four tokens")
        yield Column(f"{of}half_share", "number", "share", f"of tokens: the fewest that have half of {h}")


CELL = _parsed("""
    cell  | text | | file name without .h5, as in cells
    label | text | | name of the cell
""")

LAYER_NAMES = _parsed("""
    name          | text   |       | of the layer: "3.down"
    block         | count  |       | its block; -1: embed, head
    type          | text   |       | "down"
    rows          | count  |       | outputs
    cols          | count  |       | inputs
    storage       | text   |       | the number format, in words
    bits          | count  | bits  | a code
    group         | count  |       | columns that share a scale; 0 a row, -1 the matrix; codebooks: weights a block
    quantized     | bool   |       | false: skipped by a rule, or the method quantizes nothing
    same_as       | text   |       | of a layer that is another's: the name of its row
    tokens        | count  | count | calibration tokens that the layer read; only for models with experts
""")

LAYER_SIZES = _parsed("""
    size_weights   | count | count | weights
    size_codes     | count | bytes | codes
    size_scales    | count | bytes | scales
    size_zeros     | count | bytes | zeros
    size_codebook  | count | bytes | codebook
    size_order     | count | bytes | order of the columns
    size_padding   | count | bytes | padding
    size_mask      | count | bytes | mask of pruned weights
    size_low_rank  | count | bytes | low-rank pair
    size_transform | count | bytes | change of the layer's input
    size_act       | count | bytes | quantizer of the layer's input
    size_total     | count | bytes | all of these
""")

LAYER_DERIVED = _parsed("""
    weight_mse          | number |    | mean squared error of a weight
    weight_rel          | number | 1  | the same, relative to the mean square of the weights
    output_mse_original | number |    | mean squared error of an output, H of the original model
    output_rel_original | number | 1  | the same, relative to the outputs' energy
    sqnr_original       | number | dB | -10 log10 of output_rel_original
    output_mse_own      | number |    | mean squared error of an output, H of the inputs the layer was solved on
    output_rel_own      | number | 1  | the same, relative to the outputs' energy
    sqnr_own            | number | dB | -10 log10 of output_rel_own
    ratio_to_rtn        | number | 1  | relative to round-to-nearest, own H where there is one
""")

LAYER_REST = _parsed("""
    flags        | count  |       | sum of bits, as in docs/results.md: 1 dead columns, 2 damping raised, 4 round-to-nearest after a failure, ...
    damp         | number | 1     | fraction of mean diag(H) that was added
    dead_columns | count  | count | inputs that never fired
""")

SECONDS = Column("seconds", "number", "s", "of the layer's solution; a method that trains: equal shares")

CELLS = _of_cells()
IN_LAYERS = LAYER_NAMES + LAYER_SIZES + list(_errors()) + list(_carried()) + LAYER_REST  # datasets of /layers
LAYERS = CELL + IN_LAYERS + LAYER_DERIVED + [SECONDS]

EVALUATION = _parsed("""
    evaluation | text   |       | name of the evaluation
    protocol   | text   |       | how the text was scored
    window     | count  |       | number of the window, from 0
""")
IN_WINDOWS = _parsed("""
    nll        | number | nats  | mean negative log-likelihood of the window's scored tokens
    kl         | number | nats  | their mean KL(baseline ‖ cell)
    agree      | number | share | of them where baseline and cell prefer the same token
""")
WINDOWS = CELL + EVALUATION + IN_WINDOWS

IN_CURVES = _parsed("""
    step          | count  |      | of the training
    loss          | number | nats | what is minimized, a token, mean over the batch
    next_token    | number | nats | its part from the next token
    kl            | number | nats | its part from KL to the original model
    learning_rate | number | 1    | of the step
    grad_norm     | number |      | norm of the gradient before clipping
""")
VALIDATION = Column(
    "validation_loss", "number", "nats", "mean a token over windows of a text that is not trained on, before the step"
)
CURVES = CELL + IN_CURVES + [VALIDATION]

MEANING = Column("meaning", "text", "", "what the column holds")
OF_COLUMNS = [Column("column", "text", "", "name"), Column("unit", "text", "", "1: a ratio; empty: none"), MEANING]


def listed(columns):
    """For documentation: a line a column."""
    return "\n".join(f"    {c.name:24} {'[' + c.unit + ']' if c.unit else '':9} {c.meaning}" for c in columns)
