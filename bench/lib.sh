# Part of bench/run: what the suites share. A suite is a list of steps; a step measures one program once and puts down what it saw.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of bench/run

python=bench/.venv/bin/python
bin=build/release/bench
export TOKENIZERS_PARALLELISM=false TRANSFORMERS_VERBOSITY=error PYTHONDONTWRITEBYTECODE=1 LOWBIT_QUIET=1

die() { echo "bench/run: $*" >&2 && exit 1; }

# ---- how much work: what is less than in the full benchmark is said wherever results are ----

declare -A used=() full=()
# NAME FULL QUICK: the size as the variable of that name says, else that of the full benchmark or of QUICK=1; as $name.
size() {
    local variable=${1^^} value=$2
    [ "${QUICK:-0}" = 0 ] || value=$3
    value=${!variable:-$value}
    [[ $value =~ ^[1-9][0-9]*$ ]] || die "$variable=$value: must be a whole number of at least 1"
    used[$1]=$value full[$1]=$2
    printf -v "$1" %s "$value"
}
# NAME DEFAULT: the file that the variable of that name says, as $name.
source_of() {
    local variable=${1^^} path
    used[$1]=${!variable:-$2} full[$1]=$2
    path=$(resolve "${used[$1]}")
    printf -v "$1" %s "$path"
}
# NAME...: what this suite's work depends on, beside rounds and threads; sets $work and $reduced, and says what is reduced.
uses() {
    local n
    work='' reduced=''
    for n in rounds threads "$@"; do
        work+="${work:+; }$n ${used[$n]}"
        if [[ ${full[$n]} =~ ^[0-9]+$ ]]; then
            [ "${used[$n]}" -ge "${full[$n]}" ] || reduced+="${reduced:+; }$n ${used[$n]} of ${full[$n]}"
        elif [ "${used[$n]}" != "${full[$n]}" ]; then
            reduced+="${reduced:+; }$n ${used[$n]} for ${full[$n]}"
        fi
    done
    work=${work//,/ } reduced=${reduced//,/ }
    [ -z "$reduced" ] || echo "  reduced: $reduced"
}

# ---- programs ----

# A peer is there, or is named as missing (once).
declare -A told=()
have() {
    case $1 in
    torch) [ -x "$python" ] && grep -qs '^torch	installed' bench/.venv/peers.tsv && return ;;
    gptqmodel) grep -qs '^gptqmodel	installed' bench/.venv/peers.tsv && return ;;
    llamacpp) [ -x bench/.venv/bin/llama-perplexity ] && return ;;
    esac
    if [ -z "${told[$1]:-}" ]; then
        local reason
        reason=$(grep -s "^$1	missing" bench/.venv/peers.tsv | cut -f 3) || true
        note_missing "$1 (${reason:-bench/peers.sh $1 installs it})"
        told[$1]=1
    fi
    return 1
}
note_missing() { printf '%s,%s\n' "$suite" "${1//,/;}" >>"$out/missing.csv" && echo "  missing: $1"; }

# PROGRAM QUANTITY VALUE, of this suite, round and setting of OpenBLAS ("-" for peers).
put() {
    [ -n "$3" ] || die "$suite: $1 gave no $2: see $out/log"
    echo "$suite,$setting,$round,$1,$2,$3,$work,$reduced" >>"$out/$suite.csv"
    printf '  round %s  %-7s %-22s %12s %s\n' "$round" "$setting" "$1" "$3" "$2"
}

# Lowbit once in each OpenBLAS setting: FUNCTION is called with $setting set and "${env[@]}" to put before commands.
each_setting() {
    for setting in $settings; do
        env=(env)
        [ "$setting" = preset ] || env=(env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE)
        "$@"
    done
    setting=-
}

# NAME COMMAND...: runs Lowbit's side; its standard output is $out/log/NAME.out, memory and time $out/log/NAME.took. A failure ends the run.
ours() {
    local log=$out/log/$1
    shift
    if "${env[@]}" "$bin/measure" "$log.took" "$@" >"$log.out" 2>"$log.err"; then busy "$log.took" && return; fi
    { tail -n 5 "$log.err" >&2 && die "$suite: $* failed"; }
}
# NAME COMMAND...: a peer's side, without the variables of OpenBLAS. A failure is noted, and the others go on.
theirs() {
    local log=$out/log/$1 name=$1
    shift
    if env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE "$bin/measure" "$log.took" "$@" >"$log.out" 2>"$log.err"; then busy "$log.took" && return; fi
    note_missing "$name failed: $(grep -v '^ *$' "$log.err" | tail -n 1 | cut -c 1-160)"
    return 1
}
# How many processors others kept busy during a run (-1: not known); the table gives no verdict unless that was near 0.
busy() { echo "$suite,$(cut -d ' ' -f 4 "$1")" >>"$out/busy.csv"; }
word() { awk -v n="$2" 'NR == 1 { print $n }' "$out/log/$1.out"; }      # the nth word that it printed
took() { awk -v n="$2" '{ print $n }' "$out/log/$1.took"; }            # 1: wall seconds, 2: processor seconds, 3: peak bytes
gigabytes() { awk -v b="$(took "$1" 3)" 'BEGIN { printf "%.3f\n", b / 1e9 }'; }
per() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.6g\n", a / b }'; }

# MODEL STEP...: adds the steps of PyTorch to $plan, if it is installed; $folder is MODEL as it reads it.
with_torch() {
    have torch || return 0
    folder=$(exported "$1")
    shift
    plan+=("$@")
}
# All steps of $plan in every round, in turn; every other round backwards, so that a drift of the machine favours none.
alternate() {
    local step i n=${#plan[@]}
    for round in $(seq "$rounds"); do
        for ((i = 0; i < n; i++)); do
            step=${plan[$((round % 2 ? i : n - 1 - i))]}
            setting=-
            "$step"
        done
    done
}

# The yardstick: plain products by as many threads, each on its own.
rate_single() { ours sgemm "$bin/sgemm" "$threads" && put "plain SGEMM" GFLOP/s "$(word sgemm 1)"; }
rate_double() { ours dgemm "$bin/sgemm" "$threads" double && put "plain DGEMM" GFLOP/s "$(word dgemm 1)"; }
step_sgemm() { each_setting rate_single; }
step_dgemm() { each_setting rate_double; }

# A path, or a named source that was fetched, as a path; fails if it is not here.
find_source() {
    local file
    if [ -e "$1" ]; then echo "$1" && return; fi
    file=data/cache/$(./lowbit sources --tsv | awk -F '\t' -v name="$1" '$1 == name { print $3; exit }')
    [ -f "$file" ] && echo "$file"
}
resolve() { find_source "$1" || die "$1 is not here: tools/fetch $1"; }
# MODEL: makes the model as peers read it, a folder in float32, and says where.
exported() {
    local dir
    dir=$out/models/$(basename "$1" .gguf)
    [ -e "$dir/config.json" ] || { rm -rf "$dir" && mkdir -p "$out/models" && ./lowbit quantize "$1" --method none --out "$dir" >/dev/null; } || return
    echo "$dir"
}
# An option of a command of Lowbit, in this build.
knows() { ./lowbit help "$1" | grep -q -- "^ *--$2 "; }

version_of() { "$python" -c "import importlib.metadata as m; print(m.version('$1'))" 2>/dev/null || echo "not installed"; }
header() {
    local core_unset
    core_unset=$(env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE "$bin/sgemm" core)
    echo "processor     $(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | sort | uniq -c | sed 's/^ *\([0-9]*\) */\1 x /')"
    echo "kernels       $(kernels_name) (LOWBIT_KERNELS=${LOWBIT_KERNELS:-not set}); threads $threads"
    if [ "$settings" = unset ]; then
        echo "OpenBLAS      $core_unset; neither OPENBLAS_CORETYPE nor OPENBLAS_L2_SIZE is set: preset and unset are the same, measured once"
    else
        echo "OpenBLAS      unset: $core_unset; preset: $("$bin/sgemm" core), OPENBLAS_CORETYPE=${OPENBLAS_CORETYPE:-not set}, OPENBLAS_L2_SIZE=${OPENBLAS_L2_SIZE:-not set}"
    fi
    echo "Lowbit        $(git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)"
    if [ -x "$python" ]; then
        echo "peers         torch $(version_of torch), transformers $(version_of transformers), tokenizers $(version_of tokenizers), GPTQModel $(version_of gptqmodel)"
        echo "              $(sed -n 's/^llamacpp	//p' bench/.venv/peers.tsv 2>/dev/null | tr '\t' ' ' | grep . || echo 'llama.cpp not installed')"
    else
        echo "peers         none: bench/peers.sh installs them"
    fi
    echo "date          $(date -u +%Y-%m-%dT%H:%M:%SZ); load $(cut -d ' ' -f 1 /proc/loadavg) when it began"
}
kernels_name() { "$bin/sgemm" kernels; }
