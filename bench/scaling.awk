# Fits seconds = c x^e and bytes = c x^e to the points of each axis, by least squares on logarithms: over all points, and over the upper
# half, where what is large dominates. rate: GFLOP/s of plain products by as many threads.
BEGIN {
    FS = ","
    expected["tokens"] = "time 1, memory 0"
    expected["calibration"] = "time below 1 (solving does not grow), memory below 1"
    expected["layers"] = "time 1; streamed: memory 0 beyond the mapped file"
    expected["width"] = "gptq solve towards 3, perplexity towards 2"
    expected["group"] = expected["bits"] = "time 0"
    expected["length"] = "same number of tokens: time towards 1 as attention dominates"
    expected["threads"] = "time -1"
}
function fit(x, y, from, n,   i, sx, sy, sxx, sxy, m) {
    for (i = from; i <= n; i++) { m++; sx += log(x[i]); sy += log(y[i]); sxx += log(x[i]) ^ 2; sxy += log(x[i]) * log(y[i]) }
    if (m < 2 || m * sxx == sx * sx) return "      -"
    return sprintf("%7.2f", (m * sxy - sx * sy) / (m * sxx - sx * sx))
}
FNR > 1 {
    key = $1 SUBSEP $2
    if (!(key in n)) order[++keys] = key
    n[key]++
    X[key, n[key]] = $3; S[key, n[key]] = $4; P[key, n[key]] = $5; G[key, n[key]] = $6
}
END {
    printf "\n%-12s %-20s %15s  %7s %7s  %7s %7s  %9s  %s\n", "", "", "", "time", "upper", "memory", "upper", "of SGEMM", ""
    printf "%-12s %-20s %15s  %7s %7s  %7s %7s  %9s  %s\n", "axis", "work", "range", "exp.", "half", "exp.", "half", "at most", "expected"
    for (k = 1; k <= keys; k++) {
        key = order[k]
        split(key, p, SUBSEP)
        best = 0
        for (i = 1; i <= n[key]; i++) { x[i] = X[key, i]; s[i] = S[key, i]; b[i] = P[key, i]; if (G[key, i] > best) best = G[key, i] }
        half = int(n[key] / 2) + 1
        if (half == n[key] && half > 1) half--
        printf "%-12s %-20s %15s  %s %s  %s %s  %9s  %s\n", p[1], p[2], x[1] ".." x[n[key]], fit(x, s, 1, n[key]), fit(x, s, half, n[key]), fit(x, b, 1, n[key]), fit(x, b, half, n[key]), best ? sprintf("%.1f %%", 100 * best / rate) : "-", expected[p[1]]
    }
    printf "plain SGEMM with %d threads, each on its own product: %s GFLOP/s; \"of SGEMM\": counted operations of the fastest point, by its time\n", threads, rate
}
