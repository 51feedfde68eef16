"""Makes fixtures/contrast.h: differences of two sides over seeds and windows, by scipy.

    python3 -m venv venv && venv/bin/pip install scipy
    venv/bin/python tests/oracle/make_contrast.py

The first cases have windows that say the same, so that an interval is of the seeds alone: where these are paired or on
one side, scipy's own test gives it and p. The others add the windows' part: the variance under the moving-block bootstrap
by listing every sample.
"""

import itertools
import math
import os
import random

import scipy
from scipy import optimize, stats

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "contrast.h")
SEEDS, WINDOWS = 5, 6


def block_variance(x):
    n, block = len(x), max(1, round(len(x) ** (1 / 3)))
    means, lengths, have = [], [], 0
    while have < n:
        lengths.append(min(block, n - have))
        have += block
    for starts in itertools.product(range(n - block + 1), repeat=len(lengths)):
        means.append(sum(x[s + i] for s, m in zip(starts, lengths) for i in range(m)) / n)
    mean = math.fsum(means) / len(means)
    return math.fsum((m - mean) ** 2 for m in means) / len(means) * n / (n - block), n / block - 1


def contrast(a, b, paired):
    """a, b: lists of seeds' window lists. Gives delta, low, high, p."""
    windows = len(a[0])
    seeds_a, seeds_b = [math.fsum(r) / windows for r in a], [math.fsum(r) / windows for r in b]
    if paired:
        seeds_a, seeds_b = [x - y for x, y in zip(seeds_a, seeds_b)], None
    elif len(b) == 1:
        seeds_a, seeds_b = [x - seeds_b[0] for x in seeds_a], None
    delta = math.fsum(seeds_a) / len(seeds_a) - (math.fsum(seeds_b) / len(seeds_b) if seeds_b else 0)
    parts = [(stats.sem(r), len(r) - 1) for r in (seeds_a, seeds_b) if r]
    x = [math.fsum(r[w] for r in a) / len(a) - math.fsum(r[w] for r in b) / len(b) for w in range(windows)]
    flat = max(x) - min(x) < 1e-12
    if not flat:
        v, df = block_variance(x)
        parts.append((math.sqrt(v), df))

    def half(level):
        return math.sqrt(sum((stats.t.isf(level / 2, df) * se) ** 2 for se, df in parts))

    if len(parts) == 1:
        test = stats.ttest_1samp(seeds_a, 0)
        p, ends = float(test.pvalue), test.confidence_interval(0.95)
        assert math.isclose(ends.low, delta - half(0.05), rel_tol=1e-9), (ends, delta, half(0.05))
    else:
        p = math.exp(optimize.brentq(lambda u: half(math.exp(u)) - abs(delta), math.log(1e-15), math.log(1 - 1e-12),
                                     xtol=1e-14, rtol=1e-14))
    return delta, float(delta - half(0.05)), float(delta + half(0.05)), p


def draw(rng, seeds, windows, mean, between, text, own):
    rows = []
    for _ in range(seeds):
        shift = rng.gauss(mean, between)
        rows.append([round(shift + t + rng.gauss(0, own), 4) for t in text])
    return rows


def table(rows):
    padded = [r + [0.0] * (WINDOWS - len(r)) for r in rows] + [[0.0] * WINDOWS] * (SEEDS - len(rows))
    return "{" + ", ".join("{" + ", ".join(repr(x) for x in r) + "}" for r in padded) + "}"


def main():
    rng = random.Random(12)
    cases = []
    for flat in (True, False):
        for na, nb, paired in ((3, 1, False), (2, 1, False), (3, 3, True), (5, 5, True), (3, 2, False), (5, 3, False),
                               (2, 5, False), (4, 4, False)):
            windows = 3 if flat else WINDOWS - (na + nb) % 2
            text = [0.0] * windows if flat else [round(rng.gauss(0, 0.3), 4) for _ in range(windows)]
            own = 0.0 if flat else 0.1
            a = draw(rng, na, windows, 2.3, 0.1, text, own)
            # the text weighs on both sides, but not alike
            b = draw(rng, nb, windows, 2.0, 0.2 if nb > 1 else 0.0, [0.6 * t for t in text], own)
            cases.append((na, nb, windows, paired, a, b) + contrast(a, b, paired))
    with open(OUT, "w") as f:
        f.write("/* Made by tests/oracle/make_contrast.py (scipy %s): do not edit. */\n" % scipy.__version__)
        f.write("static const struct {\n    int a_seeds, b_seeds, windows;\n    bool paired;\n")
        f.write("    double a[%d][%d], b[%d][%d], delta, low, high, p;\n" % (SEEDS, WINDOWS, SEEDS, WINDOWS))
        f.write("} contrast[] = {\n    /* clang-format off */\n")
        for na, nb, windows, paired, a, b, delta, low, high, p in cases:
            f.write("    {%d, %d, %d, %s,\n     %s,\n     %s,\n     %r, %r, %r, %r},\n" %
                    (na, nb, windows, "true" if paired else "false", table(a), table(b), delta, low, high, p))
        f.write("    /* clang-format on */\n};\n")


main()
