# Part of bench/run: the suites. Each measures Lowbit and its peers on the same input and puts down rows named as in bench/targets.csv.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of bench/run and bench/lib.sh

all_suites="perplexity families gptq solve grid qat-stories qat tokenizer startup"

# ---- perplexity: time a window, share of the yardstick, memory ----

eval_json() { sed -n "s/.*\"$1\": *\([0-9.e+-]*\).*/\1/p" "$out/log/$2.json"; }
# PROGRAM NAME FLAG...: one evaluation by Lowbit.
evaluate() {
    local program=$1 name=$2 seconds
    shift 2
    ours "$name" ./lowbit eval "$model" "$text" --protocol "W2-$length" --windows "$windows" --bos never --threads "$threads" --json "$out/log/$name.json" "$@"
    seconds=$(per "$(eval_json seconds_per_window "$name")" 1)
    put "$program" s/window "$seconds"
    put "$program" GFLOP/s "$(awk -v f="$window_flops" -v s="$seconds" 'BEGIN { printf "%.1f\n", f / s / 1e9 }')"
    put "$program" "GB peak" "$(gigabytes "$name")"
}
ppl_float() { each_setting evaluate "Lowbit float32" eval; }
ppl_bf16() { each_setting evaluate "Lowbit bf16" eval-bf16 --compute bf16; }
ppl_stream() { each_setting evaluate "Lowbit streamed" eval-stream --weights stream; }
ppl_torch() { # PROGRAM DTYPE
    theirs "torch-$2" "$python" bench/peers/torch_perplexity.py "$folder" "$text" "$length" "$windows" "$threads" "$2" || return 0
    put "$1" s/window "$(word "torch-$2" 1)"
    put "$1" "GB peak" "$(gigabytes "torch-$2")"
}
ppl_torch32() { ppl_torch "PyTorch float32" float32; }
ppl_torch16() { ppl_torch "PyTorch bfloat16" bfloat16; }
llama() { # NAME MODEL CHUNKS
    theirs "$1" bench/.venv/bin/llama-perplexity -m "$2" -f "$text" -c "$length" -b "$length" --chunks "$3" -t "$threads"
}
llama_seconds() { sed -n 's/.*perplexity: \([0-9.]*\) seconds per pass.*/\1/p' "$out/log/$1.err" "$out/log/$1.out" | head -n 1; }
ppl_llama() { # PROGRAM NAME MODEL
    llama "$2" "$3" "$windows" || return 0
    put "$1" s/window "$(llama_seconds "$2")"
    put "$1" "GB peak" "$(gigabytes "$2")"
}
ppl_llama4() { ppl_llama "llama.cpp 4-bit file" llama-4bit "$model"; }
ppl_llama32() { ppl_llama "llama.cpp float32" llama-f32 "$float_gguf"; }

suite_perplexity() {
    local plan=(ppl_float step_sgemm)
    size windows 4 2
    uses model text windows length
    window_flops=$("$bin/model" flops "$model" "$length")
    echo "  a window of $length tokens: $(awk -v f="$window_flops" 'BEGIN { printf "%.4f", f / 1e12 }') TFLOP with causal attention"
    if ./lowbit --version | grep -q '^oneDNN '; then plan+=(ppl_bf16); else note_missing "Lowbit bf16 (this build is without oneDNN)"; fi
    if knows eval weights; then plan+=(ppl_stream); else note_missing "Lowbit streamed (this build has no --weights)"; fi
    with_torch "$model" ppl_torch32 ppl_torch16
    if have llamacpp && [[ $model == *.gguf ]]; then
        mkdir -p "$out/models"
        float_gguf=$out/models/$(basename "$model" .gguf)-f32.gguf
        [ -e "$float_gguf" ] || bench/.venv/bin/llama-quantize --allow-requantize "$model" "$float_gguf" F32 >"$out/log/llama-quantize.txt" 2>&1 ||
            { rm -f "$float_gguf" && note_missing "llama.cpp float32 (its quantize failed: results/bench/log/llama-quantize.txt)"; }
        plan+=(ppl_llama4)
        [ ! -e "$float_gguf" ] || plan+=(ppl_llama32)
    fi
    alternate
}

# ---- families: random models of other programs than Llama's, tiny ones and in SmolLM2's shapes ----

# KIND SIZE TOKENIZER: makes the model once and says where.
random_model() {
    local dir=$out/models/$1-$2
    [ -e "$dir/tokenizer.json" ] ||
        { rm -rf "$dir" && "$python" bench/peers/random_model.py "$1" "$2" "$3" "$family_length" "$dir" >"$out/log/$1-$2.made" 2>&1; } || return
    echo "$dir"
}
family_ours() { # KIND SIZE WINDOWS
    local name=family-$1-$2
    family_eval() {
        ours "$name" ./lowbit eval "$out/models/$1-$2" "$family_text" --protocol "W2-$family_length" --windows "$3" --bos never --threads "$threads" \
            --json "$out/log/$name.json"
        put "Lowbit $1 $2" s/window "$(per "$(eval_json seconds_per_window "$name")" 1)"
        put "Lowbit $1 $2" "GB peak" "$(gigabytes "$name")"
        put "Lowbit $1 $2" "mean NLL" "$(eval_json mean_nll "$name")"
    }
    each_setting family_eval "$@"
}
family_theirs() { # KIND SIZE WINDOWS
    local name=torch-$1-$2
    theirs "$name" "$python" bench/peers/torch_perplexity.py "$out/models/$1-$2" "$family_text" "$family_length" "$3" "$threads" float32 || return 0
    put "PyTorch $1 $2" s/window "$(word "$name" 1)"
    put "PyTorch $1 $2" "GB peak" "$(gigabytes "$name")"
    put "PyTorch $1 $2" "mean NLL" "$(word "$name" 2)"
}
suite_families() {
    local plan=() small side kind shape
    size family_length 1024 512
    size family_windows 4 2
    uses text family_length family_windows
    have torch || return 0
    family_text=$text
    folder=$(exported "$model")
    # The tiny ones have a tokenizer of few tokens: their embedding would be all there is to them.
    small=$out/models/small-tokenizer
    [ -e "$small/tokenizer.json" ] ||
        ./lowbit train "$text" --out "$small" --vocab 512 --layers 1 --dim 16 --hidden 16 --heads 2 --steps 1 --batch 1 --length 32 --warmup 0 >/dev/null
    for kind in opt gpt_neox mixtral; do
        random_model "$kind" tiny "$small" >/dev/null || { note_missing "$kind tiny (see $out/log/$kind-tiny.made)" && continue; }
        random_model "$kind" smollm2 "$folder" >/dev/null || { note_missing "$kind smollm2 (see $out/log/$kind-smollm2.made)" && continue; }
        for shape in tiny smollm2; do
            # A tiny model's window takes milliseconds: of few of them, starting is most of what is measured.
            windows_of_shape=$family_windows
            [ "$shape" != tiny ] || windows_of_shape=$((16 * family_windows))
            for side in ours theirs; do
                eval "step_${side}_${kind}_$shape() { family_$side $kind $shape $windows_of_shape; }"
                plan+=("step_${side}_${kind}_$shape")
            done
        done
    done
    alternate
}

# ---- gptq: all layers of the model, from tokens to codes ----

# PROGRAM NAME PROPAGATE FLAG...: statistics and quantization by the cell's own clock; loading and writing the model are left out.
quantize() {
    local program=$1 name=$2 propagate=$3
    shift 3
    rm -rf "$out/quantized"
    ours "$name" ./lowbit quantize "$model" --method gptq --bits 3 --group 64 --propagate "$propagate" --calibration "$calibration" --bos never \
        --samples "$samples" --length "$length" --threads "$threads" --out "$out/quantized" "$@"
    "$bin/record" "$out/quantized/lowbit.h5" >"$out/log/$name.stages"
    put "$program" s "$(awk '$1 == "statistics" || $1 == "quantize" { s += $2 } END { print s }' "$out/log/$name.stages")"
    put "$program" "s without statistics" "$(awk '$1 == "quantize" { print $2 }' "$out/log/$name.stages")"
    put "$program" "GB peak" "$(gigabytes "$name")"
    put "$program" "0.q output MSE" "$(awk '$1 == "mse" { print $3 }' "$out/log/$name.stages")"
    rm -rf "$out/quantized"
}
gptq_quantized() { each_setting quantize "Lowbit quantized" gptq-quantized quantized; }
gptq_original() { each_setting quantize "Lowbit original" gptq-original original; }
gptq_stream() { each_setting quantize "Lowbit streamed" gptq-stream quantized --weights stream; }
torch_gptq() { # PROGRAM PROPAGATE
    theirs "torch-gptq-$2" "$python" bench/peers/torch_gptq.py "$folder" "$calibration" "$samples" "$length" "$threads" 3 64 "$2" || return 1
    put "$1" s "$(word "torch-gptq-$2" 1)"
    put "$1" "GB peak" "$(gigabytes "torch-gptq-$2")"
    put "$1" "0.q output MSE" "$(word "torch-gptq-$2" 2)"
}
gptq_torch_quantized() { torch_gptq "PyTorch quantized" quantized || true; }
gptq_torch_original() { torch_gptq "PyTorch original" original || true; }
gptq_gptqmodel() {
    theirs gptqmodel env "GPTQMODEL_CPU_WORKERS=$threads" "$python" bench/peers/gptqmodel_gptq.py "$folder" "$calibration" "$samples" "$length" "$threads" 3 64 ||
        return 0
    put GPTQModel s "$(tail -n 1 "$out/log/gptqmodel.out" | cut -d ' ' -f 1)"
    put GPTQModel "GB peak" "$(gigabytes gptqmodel)"
}
suite_gptq() {
    local plan=(gptq_quantized gptq_original)
    size samples 16 2
    uses model calibration samples length
    if knows quantize weights; then plan+=(gptq_stream); else note_missing "Lowbit streamed (this build has no --weights)"; fi
    with_torch "$model" gptq_torch_quantized gptq_torch_original
    if have torch && have gptqmodel; then plan+=(gptq_gptqmodel); fi
    alternate
}

# ---- solve: one square layer, H given ----

solve_ours() {
    local repeats=3 flops
    ours solve "$bin/solve" "$size" "$size" 3 64 "$threads" "$repeats"
    # One Cholesky factorization and the inverse of a triangle, 2/3 n^3, and the errors spread to the right, rows n^2.
    flops=$(awk -v n="$size" 'BEGIN { printf "%.0f", 2 / 3 * n ^ 3 + n * n ^ 2 }')
    put Lowbit s "$(word solve 1)"
    put Lowbit GFLOP/s "$(awk -v f="$flops" -v s="$(word solve 1)" 'BEGIN { printf "%.2f\n", f / s / 1e9 }')"
    put Lowbit "output MSE" "$(word solve 2)"
}
solve_step() { each_setting solve_ours; }
solve_torch() {
    theirs torch-solve "$python" bench/peers/torch_solve.py "$out/problem.bin" "$size" "$size" 3 64 "$threads" 1 || return 0
    put PyTorch s "$(word torch-solve 1)"
    put PyTorch "output MSE" "$(word torch-solve 2)"
}
suite_solve() {
    local plan=(solve_step step_sgemm step_dgemm)
    size size 4096 1024
    uses size
    "$bin/solve" "$size" "$size" 3 64 "$threads" 1 "$out/problem.bin" >/dev/null
    if have torch; then plan+=(solve_torch); fi
    alternate
    rm -f "$out/problem.bin"
}

# ---- grid: twelve variants on the statistics of the original model ----

# bits/group/act_order/static_groups, mixed: the first few already differ in all four.
grid_variants=(3/64/false/false 4/row/true/false 3/64/true/true 4/64/true/false 3/row/false/false 4/64/false/true
    3/64/true/false 4/row/false/false 3/64/false/true 4/64/true/true 3/row/true/false 4/64/false/false)
grid_config() {
    cat <<EOT
name: grid
results: "$(realpath "$out")"
model: "$(realpath "$model")"
calibration: {text: "$(realpath "$calibration")", recipe: sequential, samples: $samples, length: $length, bos: never, propagate: original}
eval: {text: "$(realpath "$text")", protocol: W2-64, windows: 1, kl: false}
keep_cache: false
quantize:
EOT
    # Static groups need groups: the option does not apply to whole rows.
    printf '%s\n' "${grid_variants[@]}" | awk -F / '{
        printf "  - {method: gptq, bits: %s, group: %s, act_order: %s%s}\n", $1, $2, $3, $4 == "true" ? ", static_groups: true" : "" }'
}
# The whole process, and the output MSE of the first layer in every variant.
grid_run() {
    local cell
    rm -rf "$out/grid"
    ours grid ./lowbit run "$out/grid.yaml" --report=false -o threads="$threads"
    for cell in "$out"/grid/gptq*.h5; do
        "$bin/record" "$cell" | awk '$1 == "option" { o[$2] = $3 } $1 == "mse" { mse = $3 }
            END { print o["bits"] "/" o["group"] "/" o["act_order"] "/" o["static_groups"], mse }'
    done >"$out/log/grid.mse"
    [ "$(cut -d ' ' -f 1 "$out/log/grid.mse" | sort)" = "$(printf '%s\n' "${grid_variants[@]}" | sort)" ] ||
        die "grid: other variants ran than were to: see $out/log/grid.out and grid.mse"
    put Lowbit s "$(took grid 1)"
    put Lowbit "GB peak" "$(gigabytes grid)"
    rm -rf "$out/grid"
}
grid_ours() { each_setting grid_run; }
# Runs of the reference, one a variant; the mean of those that are made stands for those that are not.
grid_torch() {
    local v o
    : >"$out/log/torch-grid.runs"
    for v in "${grid_variants[@]:0:peer_runs}"; do
        IFS=/ read -ra o <<<"$v"
        theirs torch-grid "$python" bench/peers/torch_gptq.py "$folder" "$calibration" "$samples" "$length" "$threads" "${o[0]}" "${o[1]}" original \
            "act_order=${o[2]}" "static_groups=${o[3]}" || return 0
        echo "$v $(word torch-grid 1) $(word torch-grid 2)" >>"$out/log/torch-grid.runs"
    done
    put PyTorch s "$(awk -v n="${#grid_variants[@]}" '{ s += $2 } END { printf "%.3f\n", s / NR * n }' "$out/log/torch-grid.runs")"
    put PyTorch "GB peak" "$(gigabytes torch-grid)"
    put PyTorch "% that 0.q output MSE is apart" "$(awk '
        NR == FNR { mse[$1] = $2; next }
        { d = 100 * ($3 / mse[$1] - 1); if (d < 0) d = -d; if (d > most) most = d }
        END { printf "%.4f\n", most }' "$out/log/grid.mse" "$out/log/torch-grid.runs")"
}
suite_grid() {
    local plan=(grid_ours)
    size samples 16 2
    size variants ${#grid_variants[@]} 4
    [ "$variants" -le ${#grid_variants[@]} ] || die "VARIANTS=$variants: must be at most ${#grid_variants[@]}"
    grid_variants=("${grid_variants[@]:0:variants}")
    size peer_runs "$variants" 2
    [ "$peer_runs" -le "$variants" ] || die "PEER_RUNS=$peer_runs: must be at most $variants, the number of variants"
    uses model calibration samples length variants peer_runs
    grid_config >"$out/grid.yaml"
    with_torch "$model" grid_torch
    alternate
}

# ---- qat: tokens a second, forward + backward + AdamW ----

# Both sides: the same tokens, and so many steps after a first one that does not count.
qat_put() { # PROGRAM NAME
    put "$1" tokens/s "$(word "$2" 1)"
    put "$1" "GB peak" "$(gigabytes "$2")"
    put "$1" "first loss" "$(word "$2" 2)"
    put "$1" "first gradient norm" "$(word "$2" 3)"
}
qat_run() {
    ours qat "$bin/qat" "$qat_model" "$qat_text" "$steps" "$batch" "$train_length" "$threads" 4 "$qat_group" "$out/batches.bin"
    qat_put Lowbit qat
}
qat_ours() { each_setting qat_run; }
qat_peer() { # PROGRAM THREADS
    theirs "torch-qat-$2" "$python" bench/peers/torch_qat.py "$folder" "$out/batches.bin" "$steps" "$batch" "$train_length" "$2" 4 "$qat_group" || return 0
    qat_put "$1" "torch-qat-$2"
}
qat_torch() { qat_peer PyTorch "$threads"; }
qat_torch1() { qat_peer "PyTorch 1 thread" 1; }
suite_qat_stories() {
    local plan=(qat_ours)
    if ! qat_model=$(find_source stories260k) || ! qat_text=$(find_source tinystories-train); then
        note_missing "stories260k (LOWBIT_SOURCES=FOLDER tools/fetch stories260k)"
        return 0
    fi
    qat_group=row
    size steps 20 5
    size batch 8 8
    size train_length 256 256
    uses steps batch train_length
    with_torch "$qat_model" qat_torch1
    if have torch && [ "$threads" != 1 ]; then plan+=(qat_torch); fi
    alternate
    rm -f "$out/batches.bin"
}
suite_qat() {
    local plan=(qat_ours)
    qat_model=$model qat_text=$calibration qat_group=64
    size steps 4 1
    size batch 1 1
    size train_length 1024 256
    uses model calibration steps batch train_length
    with_torch "$qat_model" qat_torch
    alternate
    rm -f "$out/batches.bin"
}

# ---- tokenizer and start ----

tokenize() {
    ours tokenize "$bin/tokenize" "$model" "$text" 5
    put Lowbit "s of processor" "$(word tokenize 1)"
    put Lowbit tokens "$(word tokenize 2)"
}
tokenizer_ours() { setting=- && env=(env) && tokenize; }
tokenizer_peer() {
    theirs tokenizers env RAYON_NUM_THREADS=1 "$python" bench/peers/tokenizers_encode.py "$folder" "$text" 5 || return 0
    put tokenizers "s of processor" "$(word tokenizers 1)"
    put tokenizers tokens "$(word tokenizers 2)"
}
# KIND [short]: the text as a whole, or many short ones, each a call.
kind_texts() { if [ "${2:-}" = short ]; then echo "$out/tokenizers/short 5 apart"; else echo "$text 5"; fi; }
kind_ours() {
    local name="${2:+$2 }$1"
    # shellcheck disable=SC2046 # words
    setting=- && env=(env) && ours "tokenize-${name// /-}" "$bin/tokenize" "$out/tokenizers/$1" $(kind_texts "$@")
    put "Lowbit $name" "s of processor" "$(word "tokenize-${name// /-}" 1)"
    put "Lowbit $name" tokens "$(word "tokenize-${name// /-}" 2)"
}
kind_theirs() {
    local name="${2:+$2 }$1"
    # shellcheck disable=SC2046
    theirs "tokenizers-${name// /-}" env RAYON_NUM_THREADS=1 "$python" bench/peers/tokenizers_encode.py "$out/tokenizers/$1" $(kind_texts "$@") ||
        return 0
    put "tokenizers $name" "s of processor" "$(word "tokenizers-${name// /-}" 1)"
    put "tokenizers $name" tokens "$(word "tokenizers-${name// /-}" 2)"
}
suite_tokenizer() {
    local plan=(tokenizer_ours) kind side
    uses model text
    with_torch "$model" tokenizer_peer
    if have torch; then
        "$python" bench/peers/tokenizer_kinds.py "$folder" "$text" "$out/tokenizers" >"$out/log/tokenizer-kinds.out" ||
            note_missing "other kinds of tokenizers"
        for kind in $(cat "$out/log/tokenizer-kinds.out"); do
            for side in ours theirs; do
                eval "step_${side}_$kind() { kind_$side $kind; }"
                eval "step_${side}_short_$kind() { kind_$side $kind short; }"
                plan+=("step_${side}_$kind" "step_${side}_short_$kind")
            done
        done
    fi
    alternate
}

start_run() {
    ours start ./lowbit eval "$model" "$text" --protocol "W2-$length" --windows 1 --threads "$threads" --json "$out/log/start.json"
    start_put Lowbit start "$(eval_json seconds_per_window start)"
}
start_put() { # PROGRAM NAME SECONDS_OF_THE_WINDOW
    put "$1" "s to the first window's result" "$(took "$2" 1)"
    put "$1" "s before the first window" "$(awk -v a="$(took "$2" 1)" -v b="$3" 'BEGIN { printf "%.3f\n", a - b }')"
}
start_ours() { each_setting start_run; }
start_llama() {
    llama llama-start "$model" 1 || return 0
    start_put llama.cpp llama-start "$(llama_seconds llama-start)"
}
suite_startup() {
    local plan=(start_ours)
    uses model text length
    if [[ $model == *.gguf ]] && have llamacpp; then plan+=(start_llama); fi
    cat "$model" "$text" >/dev/null # a warm cache for all
    alternate
}
