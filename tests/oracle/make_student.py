"""Makes fixtures/student.h: quantiles of Student's t, by scipy.

    python3 -m venv venv && venv/bin/pip install scipy
    venv/bin/python tests/oracle/make_student.py
"""

import os

import scipy
from scipy import stats

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "student.h")


def main():
    with open(OUT, "w") as f:
        f.write("/* Made by tests/oracle/make_student.py (scipy %s): do not edit. */\n" % scipy.__version__)
        f.write("static const struct {\n    double p, df, t;\n} student[] = {\n/* clang-format off */\n")
        for df in (1, 1.5, 2, 2.25, 3, 4, 5, 7, 9, 9.5, 14, 19, 29, 29.83, 58.5, 99, 1000, 123456):
            for p in (0.6, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.9999):
                f.write("    {%r, %r, %r},\n" % (p, float(df), float(stats.t.ppf(p, df))))
        f.write("/* clang-format on */\n};\n")


main()
