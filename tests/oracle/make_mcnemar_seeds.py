"""Makes fixtures/mcnemar_seeds.json: p of two sides of models on the same items, each side one model or several seeds, by
the signs of items (tests/unit/test_mcnemar.c). Run in an environment with numpy and scipy:

    python3 tests/oracle/make_mcnemar_seeds.py

p is exact, in integers: the signs are given item by item. Where there are few items scipy's permutation_test, which goes
through all signs, has to say the same; of one model a side it is binomtest's of the items that one alone has right.

    python3 tests/oracle/make_mcnemar_seeds.py --levels

prints how often a true null hypothesis is refused at 5 % by this test, by McNemar's of all pairs of item and seed, and by
Cochran, Mantel and Haenszel's with an item a stratum (docs/numbers.md)."""

import fractions
import json
import math
import os
import sys

import numpy as np
from scipy import stats

HERE = os.path.dirname(os.path.abspath(__file__))


def differences(own, base):
    m, k = len(own), len(base)
    g = math.gcd(m, k)
    return own.sum(0) * (k // g) - base.sum(0) * (m // g)


def by_signs(d):
    ways = {0: 1}
    for x in np.abs(d):
        if x == 0:
            continue
        after = {}
        for s, n in ways.items():
            for t in (s + int(x), s - int(x)):
                after[t] = after.get(t, 0) + n
        ways = after
    far = sum(n for s, n in ways.items() if abs(s) >= abs(int(d.sum())))
    return fractions.Fraction(far, sum(ways.values()))


def case(rng, m, k, n, quality, alike):
    hard = rng.random(n)
    both = rng.random(n)

    def side(models, shift):
        own = rng.random(n)
        return np.array([(np.where(rng.random(n) < alike, own, rng.random(n)) * 0.4 + both * 0.3 < hard - shift) * 1
                         for _ in range(models)])

    return side(m, 0.0), side(k, quality)


def check(own, base, p):
    d = differences(own, base)
    if len(own) == len(base) == 1:
        n, few = int((d != 0).sum()), int(min((d > 0).sum(), (d < 0).sum()))
        assert abs(stats.binomtest(few, n).pvalue - float(p)) < 1e-12 if n else p == 1
    if 2 <= len(d) <= 12:
        got = stats.permutation_test((d.astype(float),), np.sum, permutation_type="samples", n_resamples=np.inf)
        assert abs(got.pvalue - float(p)) < 1e-12, (got.pvalue, float(p))


def fixture():
    rng, cases = np.random.default_rng(3), []
    for n in (1, 5, 12, 60, 300):
        for m, k in ((1, 1), (3, 1), (1, 2), (3, 3), (4, 2), (5, 3)):
            for quality in (0.0, 0.1, 0.4):
                own, base = case(rng, m, k, n, quality, 0.7)
                p = by_signs(differences(own, base))
                check(own, base, p)
                sides = [["".join(map(str, row)) for row in side] for side in (own, base)]
                cases.append({"own": sides[0], "base": sides[1], "log_p": math.log(p.numerator) - math.log(p.denominator)})
    with open(os.path.join(HERE, "fixtures", "mcnemar_seeds.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
    print(len(cases), "cases")


def pooled(own, base):
    worse = sum(int(((base[0] == 1) & (row == 0)).sum()) for row in own)
    better = sum(int(((base[0] == 0) & (row == 1)).sum()) for row in own)
    return stats.binomtest(min(worse, better), worse + better).pvalue if worse + better else 1.0


def cochran_mantel_haenszel(own, base):
    m, k = len(own), len(base)
    M, right = m + k, own.sum(0) + base.sum(0)
    var = (right * (M - right) * m * k / (M * M * (M - 1))).sum()
    z = (own.sum(0) - right * m / M).sum() / np.sqrt(var) if var else 0.0
    return 2 * stats.norm.sf(abs(z))


def levels():
    rng = np.random.default_rng(5)
    print("share refused at 5 % of 2,000 true null hypotheses, 3 seeds against a baseline, 300 items")
    for alike in (0.0, 0.7, 1.0):
        tests = [[], [], []]
        for _ in range(2000):
            own, base = case(rng, 3, 1, 300, 0.0, alike)
            for t, p in zip(tests, (by_signs(differences(own, base)), pooled(own, base), cochran_mantel_haenszel(own, base))):
                t.append(float(p) < 0.05)
        print(f"seeds alike {alike}: by items {np.mean(tests[0]):.3f}, pooled {np.mean(tests[1]):.3f}, "
              f"CMH {np.mean(tests[2]):.3f}")


levels() if "--levels" in sys.argv else fixture()
