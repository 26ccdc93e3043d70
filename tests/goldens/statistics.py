"""Golden numbers of tests and intervals from scipy, for src/analysis/statistics.rs. Writes statistics.json beside
this script.

    python tests/goldens/statistics.py        (scipy 1.16 or so, numpy; any venv outside the repository)

Tails that scipy rounds to 0 are logarithms of sums of Python's integers, which are exact.
"""
import json
import math
import os

import numpy as np
from scipy import stats

HERE = os.path.dirname(os.path.abspath(__file__))


def exact_ln_tail(wins, n):
    """ln P(X >= wins) of n tosses of a fair coin."""
    term = math.comb(n, wins)
    total = 0
    for k in range(wins, n + 1):
        total += term
        term = term * (n - k) // (k + 1)
    # math.log takes integers of any length.
    return math.log(total) - n * math.log(2)


def sign_tests():
    goldens = []
    for n in [1, 2, 5, 9, 10, 16, 17, 30, 99, 100, 333, 1000, 1075, 1197, 5000, 10_000, 99_999, 100_000, 1_000_000]:
        deviation = math.sqrt(n) / 2
        wins = {0, 1, n // 2, (n + 1) // 2, n // 2 + 1, n - 1, n}
        wins |= {round(n / 2 + z * deviation) for z in [-6, -2, -0.5, 0.3, 1, 1.7, 2.5, 5, 12, 20, 35]}
        for k in sorted(k for k in wins if 0 <= k <= n):
            p = stats.binom.sf(k - 1, n, 0.5)
            if p > 1e-290:
                goldens.append([k, n, p])
    return goldens


def ln_sign_tests():
    pairs = [(3, 5), (6, 7), (60, 100), (1075, 1075), (1197, 1197), (1190, 1197), (1900, 2000), (2000, 2000), (9000, 10_000)]
    return [[k, n, exact_ln_tail(k, n)] for k, n in pairs]


def intervals():
    samples = [[1.0, 2.0, 4.0, 8.0], [0.1, -0.3], [5.0, 5.0, 5.0, 5.5, 5.0], list(np.arange(30.0) ** 1.5)]
    means = []
    for values in samples:
        n = len(values)
        error = stats.sem(values)
        of = [[q, *stats.t.interval(1 - 0.05 / q, n - 1, np.mean(values), error)] for q in [1, 2, 4]]
        means.append({"values": values, "mean": float(np.mean(values)), "intervals": of})
    shares = [[k, n, *stats.binomtest(k, n).proportion_ci()]
              for k, n in [(8, 10), (5, 5), (0, 5), (1, 100), (0, 100), (50, 100), (3, 1000), (123_456, 1_000_000)]]
    quantiles = [[degrees, at, stats.t.ppf(at, degrees)]
                 for degrees in [1, 2, 3, 4, 9, 29, 99, 999, 9_999, 10_000, 50_000, 1_000_000, 100_000_000]
                 for at in [0.975, 0.9875, 0.99375]]
    return {"means": means, "shares": shares, "t_quantiles": quantiles}


def correlations():
    samples = [
        ([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]),
        ([3, 1, 2, 2, 5, 5, 5], [1, 1, 0, -2, 4, 4, 3]),
        ([0.0, -0.0, 1, 2], [1, 2, 3, 3]),
        ([1, 2, 3, 4, 5, 6], [9, math.inf, 11, 12, math.inf, 14]),
        ([float(i) for i in range(40)], [float((i * 17) % 23) for i in range(40)]),
    ]
    goldens = []
    for x, y in samples:
        # scipy's ranks are of numbers, and infinity is larger than all of them.
        shown = [["inf" if math.isinf(v) else v for v in values] for values in (x, y)]
        goldens.append({"x": shown[0], "y": shown[1],
                        "spearman": float(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])})
    return goldens


def slopes():
    x, y = [0.0, 1.0, 2.0, 3.0, 7.0], [1.0, 3.0, 4.0, 8.0, 2.0]
    return [{"x": x[:n], "y": y[:n], "slope": stats.linregress(x[:n], y[:n]).slope} for n in [2, 3, 4, 5]]


if __name__ == "__main__":
    with open(os.path.join(HERE, "statistics.json"), "w") as file:
        value = {"sign_tests": sign_tests(), "ln_sign_tests": ln_sign_tests(), **intervals(),
                 "correlations": correlations(), "slopes": slopes()}
        json.dump(value, file, separators=(",", ":"))
        file.write("\n")
