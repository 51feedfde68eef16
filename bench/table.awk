# The table of one suite: what was measured, and how it compares. Files: targets.csv, missing.csv, busy.csv, SUITE.csv; variables: suite, and ratios,
# a file that the comparisons are also written to, for the plot.
BEGIN { FS = "," }

function sorted(list, a,   n, i, j, t) {
    n = split(list, a, " ")
    for (i = 2; i <= n; i++) {
        t = a[i] + 0
        for (j = i - 1; j >= 1 && a[j] + 0 > t; j--) a[j + 1] = a[j]
        a[j + 1] = t
    }
    return n
}
function median(a, n) { return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2 }
function row(what, set, list, target,   a, n) {
    n = sorted(list, a)
    printf "  %-58s %-7s %10.4g %10.4g %10.4g  %s\n", what, set, a[1], median(a, n), a[n], target
    middle = median(a, n)
    low = a[1]
    high = a[n]
}
function larger_is_better(quantity) { return quantity ~ /^(tokens|GFLOP)\/s$/ }

function apart(a, b) { a = 100 * (a - b) / b; return a < 0 ? -a : a }
function at_most(i) { return kind[i] == "at most" || kind[i] == "apart" }

# One comparison, in one setting of OpenBLAS.
function compare(i, set,   r, list, mine, other, x, what, target, met, a, count) {
    for (r = 1; r <= rounds; r++) {
        mine = value[ours[i], set, r, quantity[i]]
        if (mine == "") continue
        if (kind[i] == "at most") x = mine
        else {
            other = value[peer[i], kind[i] == "percent" ? set : "-", r, quantity[i]] # a yardstick is measured in every setting
            if (other == "") continue
            if (kind[i] == "apart") x = apart(mine, other)
            else x = kind[i] == "percent" ? 100 * mine / other : larger_is_better(quantity[i]) ? mine / other : other / mine
        }
        list = list " " x
    }
    if (list == "") return
    what = peer[i] " / " ours[i] ", " quantity[i]
    if (kind[i] == "at most") what = ours[i] ", " quantity[i]
    if (kind[i] == "percent") what = ours[i] ", percent of " peer[i]
    if (kind[i] == "apart") what = ours[i] " and " peer[i] " apart, %, " quantity[i]
    if (larger_is_better(quantity[i]) && kind[i] == "ratio") what = ours[i] " / " peer[i] ", " quantity[i]
    if (target_of[i] != "" && set != "preset") target = (at_most(i) ? "at most " : "at least ") target_of[i] (kind[i] == "percent" || kind[i] == "apart" ? " %" : "")
    if (target != "") {
        count = sorted(list, a)
        met = at_most(i) ? a[count] <= target_of[i] : median(a, count) >= target_of[i]
        # Wall times of short and long work do not compare when others take turns; memory and results do.
        if (quantity[i] ~ /\/s$|^s$|\/window$|^s (to|before)/ && disturbed) target = target ", no verdict"
        else target = target (met ? ", met" : ", not met") (reduced != "" && kind[i] != "apart" ? " (reduced)" : "")
    }
    row(what, set, list, target)
    if (ratios != "") {
        gsub(/"/, "", what)
        printf "\"%s%s\",%s,%.6g,%.6g,%.6g,%s\n", what, set == "-" ? "" : " (" set ")", kind[i], low, middle, high, target == "" ? "NaN" : target_of[i] >ratios
    }
}

FILENAME == ARGV[1] {
    if ($1 == suite) { n++; ours[n] = $2; peer[n] = $3; quantity[n] = $4; kind[n] = $5; target_of[n] = $6 }
    next
}
FILENAME == ARGV[2] { if ($1 == suite) missing[++m] = $2; next }
FILENAME == ARGV[3] {
    if ($1 == suite) { runs++; if ($2 < 0 || $2 > 0.1) disturbed++; if ($2 > most) most = $2 }
    next
}
FNR > 1 {
    if ($8 != "") reduced = $8
    value[$4, $2, $3, $5] = $6
    key = $4 SUBSEP $2 SUBSEP $5
    if (!(key in all)) order[++keys] = key
    all[key] = all[key] " " $6
    set_seen[$2] = 1
    if ($3 > rounds) rounds = $3
}
END {
    printf "\n%s, rounds: %d\n", suite, rounds
    if (reduced != "") print "  REDUCED: " reduced
    printf "  %-58s %-7s %10s %10s %10s\n", "measured", "OpenBLAS", "min", "median", "max"
    for (k = 1; k <= keys; k++) {
        split(order[k], p, SUBSEP)
        row(p[1] ", " p[3], p[2], all[order[k]], "")
    }
    for (k = 1; k <= m; k++) print "  missing: " missing[k]
    printf "  %-58s %-7s %10s %10s %10s  %s\n", "compared (above 1: Lowbit is better)", "OpenBLAS", "min", "median", "max", "target"
    if (disturbed) printf "  THE MACHINE WAS BUSY: others used up to %.1f processors, in %d of %d runs more than 0.1: ratios of wall times are no results\n", most, disturbed, runs
    for (i = 1; i <= n; i++) {
        split("unset preset -", s, " ")
        for (k = 1; k <= 3; k++) if (s[k] in set_seen) compare(i, s[k])
    }
}
