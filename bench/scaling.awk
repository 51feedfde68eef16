# Fits seconds = c x^e and bytes = c x^e to the points of each axis, by least squares on logarithms: over all points, and over the upper
# half, where what is large dominates; then the targets. Files: how many processors others kept busy in each run, scaling.csv. rate: GFLOP/s
# of plain products by as many threads; reduced: what is less than in full, or "".
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
function fit(x, y, from, n,   i, sx, sy, sxx, sxy, m, e) {
    for (i = from; i <= n; i++) { m++; sx += log(x[i]); sy += log(y[i]); sxx += log(x[i]) ^ 2; sxy += log(x[i]) * log(y[i]) }
    if (m < 2 || m * sxx == sx * sx) return "      -"
    e = (m * sxy - sx * sy) / (m * sxx - sx * sx)
    return sprintf("%7.2f", e < 0 && e > -0.005 ? 0 : e) # no -0.00
}
# Share of processor time that may go to others before times say nothing.
FILENAME == ARGV[1] { runs++; if ($1 < 0 || $1 > 0.1) disturbed++; if ($1 > most) most = $1; next }
FNR > 1 {
    at[$1, $2, $3] = 1; peak[$1, $2, $3] = $5; rate_of[$1, $2, $3] = $6
    key = $1 SUBSEP $2
    if (!(key in n)) order[++keys] = key
    n[key]++
    X[key, n[key]] = $3; S[key, n[key]] = $4; P[key, n[key]] = $5; G[key, n[key]] = $6
}
END {
    if (reduced != "") print "\nREDUCED: " reduced
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
    few = "layers" SUBSEP "perplexity streamed" SUBSEP 8; many = "layers" SUBSEP "perplexity streamed" SUBSEP 32
    if (few in at && many in at) {
        share = 100 * (peak[many] / peak[few] - 1)
        printf "target: streamed, peak memory from 8 to 32 layers: %+.1f %%, at most 5 %%: %s\n", share, share <= 5 ? "met" : "not met"
    }
    long = "length" SUBSEP "perplexity" SUBSEP 8192
    if (long in at) {
        share = 100 * rate_of[long] / rate
        printf "target: windows of 8192 tokens: %.1f %% of plain SGEMM, at least 70 %%: %s\n", share, disturbed ? "no verdict" : (share >= 70) ? "met" : "not met"
    }
    if (disturbed) printf "THE MACHINE WAS BUSY: others used up to %.1f processors, in %d of %d runs more than 0.1: times and their exponents are no results\n", most, disturbed, runs
}
