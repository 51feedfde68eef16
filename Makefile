# Lowbit. `make help` lists the targets. MODE=release|debug|asan|tsan|cov, each in build/MODE.
MODE    ?= release
V       ?= 0
DEPS    ?= install
PREFIX  ?= /usr/local
DESTDIR ?=
RESULTS ?= results/demo
LOWBIT_SOURCES ?=
B := build/$(MODE)

# pkg-config name : Debian package that brings it
LIBS := openblas:libopenblas-dev hdf5:libhdf5-dev yaml-0.1:libyaml-dev jansson:libjansson-dev \
        libpcre2-8:libpcre2-dev libutf8proc:libutf8proc-dev libcrypto:libssl-dev zlib:zlib1g-dev
TEST_LIBS := cmocka:libcmocka-dev
pcname = $(firstword $(subst :, ,$(1)))

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wpointer-arith -Wundef -Werror=implicit-function-declaration
STD  := -std=c11 -D_GNU_SOURCE -ffp-contract=off -fno-math-errno
ifneq ($(WERROR),)
WARN += -Werror
endif
CC_release := gcc
FL_release := -O3 -g1 -DNDEBUG
CC_debug   := gcc
FL_debug   := -O0 -g3
CC_asan    := gcc
FL_asan    := -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CC_tsan    := clang
FL_tsan    := -O1 -g1 -fsanitize=thread
CC_cov     := gcc
FL_cov     := -O0 -g --coverage
CC_pieces  := gcc
FL_pieces  := $(FL_release)
CC_fuzz    := clang
FL_fuzz    := -O1 -g -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all
# It compares with thousands of rows of the Unicode tables, which teach the fuzzer nothing and would take most of its time.
FLAGS_regex_set = $(if $(filter fuzz,$(MODE)),-fno-sanitize-coverage=trace-cmp)
ifeq ($(CC_$(MODE)),)
$(error MODE=$(MODE): must be one of release debug asan tsan cov pieces)
endif
CC := $(CC_$(MODE))
# Programs for a sanitizer are large: the quickest linker that is there takes a third of ld's time.
ifneq ($(filter asan tsan,$(MODE)),)
LINKER := $(firstword $(foreach l,lld gold,$(if $(shell command -v ld.$l),-fuse-ld=$l)))
endif
# For tests/pieces: what the thread team is handed is noted.
ifeq ($(MODE),pieces)
NOTES := $(B)/tests/inject/pieces.o
LINKER := -Wl,--wrap=lb_parallel_for,--wrap=lb_parallel_chains $(NOTES)
endif

# oneDNN, for `compute: bf16`, is optional, and its package brings no .pc file: found by linking a program against it. The
# modes that compile with clang go without it: GNU's OpenMP, which it uses, is not built for the thread sanitizer, which
# calls every hand-over between its threads a race. ONEDNN= (empty) builds without it, and does not ask for the package.
ifeq ($(origin ONEDNN),undefined)
ONEDNN_ITEM := onednn
ONEDNN := $(if $(filter clang,$(CC)),,$(shell tools/deps --has onednn && echo yes))
else
ONEDNN_ITEM := $(if $(ONEDNN),onednn)
endif
ONEDNN_CFLAGS := $(if $(ONEDNN),-DLB_HAVE_ONEDNN)

# OpenBLAS is loaded by the program itself (src/math/blas_library.c), by this name; OPENBLAS_SO=NAME takes another.
OPENBLAS_SO = $(shell tools/deps --soname openblas)

PKGS     := $(foreach l,$(LIBS),$(call pcname,$(l)))
PC_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PC_LIBS   = $(shell pkg-config --libs $(filter-out openblas,$(PKGS)) 2>/dev/null)
CFLAGS_ALL = $(STD) $(WARN) $(FL_$(MODE)) -Isrc $(ONEDNN_CFLAGS) $(PC_CFLAGS) $(CFLAGS)
LDFLAGS_ALL = $(FL_$(MODE)) $(LINKER) -rdynamic $(LDFLAGS)
LDLIBS_ALL = $(PC_LIBS) -ldl -lm -lpthread

SRC  := $(sort $(wildcard src/*/*.c src/*/*/*.c algorithms/*.c))
MAIN := src/cli/main.c
OBJ  := $(SRC:%.c=$(B)/%.o)
LIBO := $(filter-out $(MAIN:%.c=$(B)/%.o),$(OBJ))
TESTS := $(sort $(wildcard tests/unit/test_*.c tests/property/test_*.c tests/oracle/test_*.c tests/cli/test_*.c))
REAL  := $(sort $(wildcard tests/real/test_*.c))
TESTBIN := $(TESTS:%.c=$(B)/%)
REALBIN := $(REAL:%.c=$(B)/%)
LONG  := $(sort $(wildcard tests/long/test_*.c))
LONGBIN := $(LONG:%.c=$(B)/%)
BENCH := $(sort $(wildcard bench/*.c))
BENCHBIN := $(BENCH:%.c=$(B)/%)
TOOLS := $(patsubst %.c,$(B)/%,$(sort $(wildcard tools/*.c)))

# V=1 shows the commands.
ifeq ($(V),0)
say = @echo '  $(1)  $(2)';
endif

.DEFAULT_GOAL := all
SANITIZERS ?= asan tsan

.PHONY: all deps deps-check demo check check-real check-sanitizers check-abuse check-parity check-mutants check-long check-pages check-papers bench bench-build bench-counts bench-scaling fmt lint analyze install uninstall clean help paper build man FORCE

all: deps ## install what is missing, then build ./lowbit
	@$(MAKE) --no-print-directory build

build: lowbit $(TOOLS)

lowbit: $(B)/lowbit
	@ln -sf $(B)/lowbit lowbit

$(B)/lowbit: $(OBJ)
	$(call say,link,$@)$(CC) $(LDFLAGS_ALL) -o $@ $(OBJ) $(LDLIBS_ALL)

$(B)/liblowbit.a: $(LIBO)
	@rm -f $@
	$(call say,ar  ,$@)ar rcs $@ $(LIBO)

# A change of compiler or flags rebuilds everything: the stamp changes only when its text does.
$(B)/flags: FORCE
	@mkdir -p $(@D); echo '$(CC) $(CFLAGS_ALL)' | cmp -s - $@ || echo '$(CC) $(CFLAGS_ALL)' > $@

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,cc  ,$<)$(CC) $(CFLAGS_ALL) $(FLAGS_$(notdir $*)) $(if $(findstring _avx2,$(notdir $*)),$(AVX2)) $(if $(findstring _avx512,$(notdir $*)),$(AVX512)) -MMD -MP -c -o $@ $<

ARCH := $(shell uname -m)
ifeq ($(ARCH),x86_64)
AVX2   := -mavx2 -mfma
AVX512 := -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma -mprefer-vector-width=512
endif

# The version and the state of the checkout, for provenance.
VERSION_TEXT := $(shell git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)
$(B)/version.txt: FORCE
	@mkdir -p $(@D); echo '$(VERSION_TEXT)' | cmp -s - $@ || echo '$(VERSION_TEXT)' > $@
$(B)/src/result/provenance.o: $(B)/version.txt
FLAGS_blas_library = $(if $(OPENBLAS_SO),-DLB_OPENBLAS_SO='"$(OPENBLAS_SO)"')
FLAGS_provenance = -DLB_BUILD_REVISION='"$(VERSION_TEXT)"' -DLB_BUILD_FLAGS='"$(FL_$(MODE))"' -DLB_BUILD_MODE='"$(MODE)"'

TEST_SUPPORT := $(sort $(wildcard tests/support/*.c))
TEST_CFLAGS = -Itests $(shell pkg-config --cflags cmocka 2>/dev/null) -UNDEBUG
$(B)/tests/%.o: tests/%.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,cc  ,$<)$(CC) $(CFLAGS_ALL) $(TEST_CFLAGS) -MMD -MP -c -o $@ $<
$(TESTBIN) $(REALBIN) $(LONGBIN): $(B)/tests/%: $(B)/tests/%.o $(TEST_SUPPORT:%.c=$(B)/%.o) $(B)/liblowbit.a
	$(call say,link,$@)$(CC) $(LDFLAGS_ALL) -o $@ $< $(TEST_SUPPORT:%.c=$(B)/%.o) $(B)/liblowbit.a $(LDLIBS_ALL) $(shell pkg-config --libs cmocka)
# Preloaded by tests: makes allocations fail.
$(B)/tests/inject.so: tests/inject/inject.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,link,$@)$(CC) $(STD) $(WARN) -O2 -g -fPIC -shared -o $@ $< -ldl
$(B)/bench/%.o: bench/%.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,cc  ,$<)$(CC) $(CFLAGS_ALL) -I. -MMD -MP -c -o $@ $<
$(B)/bench/%: $(B)/bench/%.o $(B)/liblowbit.a
	$(call say,link,$@)$(CC) $(LDFLAGS_ALL) -o $@ $< $(B)/liblowbit.a $(LDLIBS_ALL)

$(B)/tools/%: $(B)/tools/%.o $(B)/liblowbit.a
	$(call say,link,$@)$(CC) $(LDFLAGS_ALL) -o $@ $< $(B)/liblowbit.a $(LDLIBS_ALL)

deps: ## install missing packages with apt (prints the command first; DEPS=manual only prints)
	@DEPS=$(DEPS) tools/deps $(LIBS) $(TEST_LIBS) gnuplot $(ONEDNN_ITEM)

deps-check: ## what make lint, check-real, check-sanitizers and check-pages need beside that
	@DEPS=$(DEPS) tools/deps $(LIBS) $(TEST_LIBS) clang-tsan clang-format clang-tidy shellcheck curl unzip pip browser

demo: all ## the built-in model through all four methods: tables, and plots in results/demo
	./lowbit run configs/demo.yaml

check: all ## unit, property, oracle and command-line tests
	@$(MAKE) --no-print-directory tests-build
	@$(MAKE) --no-print-directory check-built

# Tests of shell scripts: no program of ours runs in them that a sanitizer could look into.
OF_SCRIPTS := cli/test_lint cli/test_check_pages cli/test_fetch cli/test_rank_correlation cli/test_run_tests
# Nothing for the thread sanitizer to see: programs that start no thread, in themselves or in a program that they run.
# tests/pieces says which; one that comes to start threads leaves the list.
ONE_THREAD := unit/test_axis_keys unit/test_base_child unit/test_base_fs_tmp unit/test_base_index unit/test_base_mem \
              unit/test_base_rng unit/test_base_scalar unit/test_base_status unit/test_base_str unit/test_bundle \
              unit/test_columns unit/test_continuation unit/test_contrast unit/test_corpus unit/test_draw \
              unit/test_expected unit/test_expected_early unit/test_experiments unit/test_export unit/test_export_net \
              unit/test_facts unit/test_family unit/test_field_names unit/test_figures unit/test_forward \
              unit/test_guide unit/test_gzip unit/test_head unit/test_install unit/test_io_csv unit/test_io_gguf \
              unit/test_io_h5 unit/test_io_json unit/test_io_safetensors unit/test_io_yaml unit/test_later_fields \
              unit/test_linop unit/test_math_activation unit/test_math_core unit/test_math_kernels \
              unit/test_math_matmul unit/test_math_small unit/test_mcnemar unit/test_model_folder \
              unit/test_net_sharing unit/test_new_model unit/test_options unit/test_page_html unit/test_page_words \
              unit/test_pair_folder unit/test_palette unit/test_plot_excess unit/test_plot_fit unit/test_plot_more \
              unit/test_plot_samples unit/test_plot_style unit/test_plot_tokens unit/test_plot_validation \
              unit/test_preserving unit/test_program unit/test_protocol unit/test_published unit/test_recipes \
              unit/test_regex unit/test_report_large unit/test_report_plots unit/test_report_tables unit/test_rotary unit/test_rows \
              unit/test_run_axes unit/test_run_cells unit/test_run_ends unit/test_run_store unit/test_run_sweep \
              unit/test_sampler unit/test_scale_range unit/test_seeds unit/test_select unit/test_significance \
              unit/test_sources unit/test_spm unit/test_stats_merge unit/test_store_folder unit/test_sweep_label \
              unit/test_table_width unit/test_task_forms unit/test_tasks_store unit/test_tokenizer \
              unit/test_tokenizer_folder unit/test_tokenizer_growth unit/test_topics unit/test_trie unit/test_verdict \
              unit/test_view_find unit/test_view_several property/test_backward property/test_fold \
              property/test_product property/test_walker_keys oracle/test_bos_oracle oracle/test_exported \
              oracle/test_families oracle/test_families_deep oracle/test_families_keys oracle/test_gemma3_whole \
              oracle/test_gguf_pre oracle/test_hub oracle/test_json oracle/test_llama oracle/test_pairs \
              oracle/test_pipelines oracle/test_programs oracle/test_programs_grads oracle/test_protocols \
              oracle/test_regex_oracle oracle/test_sentencepiece oracle/test_sharing oracle/test_tokenizer_oracle \
              oracle/test_transform cli/test_hostile_results cli/test_out_folder cli/test_plot_style cli/test_report \
              cli/test_zoo
# Nothing more for it to see: whatever function these run in threads is run so by others that stay; tests/pieces says which.
SAME_PIECES := cli/test_axes cli/test_bf16 cli/test_cli cli/test_eval_protocols cli/test_experts cli/test_folder \
               cli/test_hostile_texts cli/test_results_place
LEFT_OUT := $(if $(filter asan tsan,$(MODE)),$(OF_SCRIPTS)) $(if $(filter tsan,$(MODE)),$(ONE_THREAD) $(SAME_PIECES))
CHECKED := $(filter-out $(LEFT_OUT:%=$(B)/tests/%),$(TESTBIN))
# Figures, too, are drawn by no program of ours.
QUICK := $(if $(filter asan tsan,$(MODE)),$(if $(shell command -v gnuplot),PATH="$$PWD/tests/quick:$$PATH"))
.PHONY: check-built
check-built:
	@BUILD=$(B) $(QUICK) tools/run-tests $(CHECKED)
print-%:
	@echo '$($*)'

.PHONY: tests-build
tests-build: $(B)/lowbit $(CHECKED) $(TOOLS) $(B)/tests/inject.so

check-real: all ## the same against real models and texts, found through LOWBIT_SOURCES or fetched
	@$(MAKE) --no-print-directory $(REALBIN)
	@LOWBIT_SOURCES="$(LOWBIT_SOURCES)" tests/real/fetch-vocabs || echo "without the vocabularies"
	@LOWBIT_SOURCES="$(LOWBIT_SOURCES)" tools/fetch smollm2-135m stories260k wiki-calibration tiny-calibration || \
	  echo "tests that need what is missing are skipped (with CI=true they fail)"
	@LOWBIT_SOURCES="$(LOWBIT_SOURCES)" tools/run-tests $(REALBIN)

check-sanitizers: all ## the tests under the sanitizers of addresses and undefined behaviour, and of threads
	@for m in $(SANITIZERS); do $(MAKE) --no-print-directory MODE=$$m tests-build && \
	  $(MAKE) --no-print-directory MODE=$$m check-built || exit 1; done

# Its Python packages are installed by tests/parity/python once, where PARITY_PYTHON names none.
$(B)/tests/parity/dump: %: %.o $(TEST_SUPPORT:%.c=$(B)/%.o) $(B)/liblowbit.a
	$(call say,link,$@)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL) $(shell pkg-config --libs cmocka)
check-parity: all ## every family against transformers, side by side: results/parity.csv (FAMILIES='NAME ...': those; needs Python and a package index)
	@$(MAKE) --no-print-directory $(B)/tests/parity/dump
	@python=$$(tests/parity/python) && $$python -B tests/parity/check.py $(B)/tests/parity/dump results/parity.csv $(FAMILIES) && \
	  $$python -B tests/oracle/check_trained.py $(FAMILIES)

check-abuse: all ## what takes too long for make check: many kills, too little memory, thousands of damaged files
	@$(MAKE) --no-print-directory tests-build $(LONGBIN)
	@JOBS=1 tools/run-tests $(LONGBIN)

$(B)/tests/pages/make_pages: %: %.o $(TEST_SUPPORT:%.c=$(B)/%.o) $(B)/liblowbit.a
	$(call say,link,$@)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL) $(shell pkg-config --libs cmocka)
check-pages: all ## pages and figures of many reports in a browser: texts that overlap or are cut, columns that do not sort, looks that fall together in grey
	@$(MAKE) --no-print-directory $(B)/tests/pages/make_pages
	@tests/pages/check $(B)/tests/pages/make_pages

check-papers: all ## every experiment in its smoke size to its tables and plots, in build/check-papers; a minute
	@tools/check-papers

check-mutants: all ## deliberate faults that the tests must notice, one after another (MUTANTS='NAME ...': those); 15 minutes
	@MODE=$(MODE) tests/mutate $(MUTANTS)

check-long: check check-real check-sanitizers check-abuse ## tests of all kinds

# Opt-in: see tests/fuzz/README.md.
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZBIN := $(FUZZ:%=$(B)/tests/fuzz/fuzz_%)
FUZZ_SECONDS ?= 60
FUZZ_JOBS ?= 1
.PHONY: fuzz fuzz-build
$(FUZZBIN): %: %.o $(B)/tests/support/io_probe.o $(B)/tests/support/status_name.o \
  $(B)/tests/support/synthetic_results.o $(B)/liblowbit.a
	$(call say,link,$@)$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(LDLIBS_ALL)
fuzz-build: $(FUZZBIN)
fuzz: ## fuzz every parser for FUZZ_SECONDS each, with clang's libFuzzer
	@$(MAKE) --no-print-directory MODE=fuzz fuzz-build
	@for f in $(FUZZ); do mkdir -p build/fuzz/corpus/$$f; s=tests/fuzz/seeds/$$f; [ -d $$s ] || s=tests/oracle/fixtures/io; \
	  build/fuzz/tests/fuzz/fuzz_$$f -max_total_time=$(FUZZ_SECONDS) -fork=$(FUZZ_JOBS) -timeout=10 -rss_limit_mb=2048 \
	    -artifact_prefix=build/fuzz/crash-$$f- build/fuzz/corpus/$$f $$s || exit 1; done

# The inputs that fuzzing starts from are committed; a format that changes wants new ones.
.PHONY: fuzz-seeds
$(B)/tests/fuzz/make_seeds: %: %.o $(TEST_SUPPORT:%.c=$(B)/%.o) $(B)/liblowbit.a
	$(call say,link,$@)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL) $(shell pkg-config --libs cmocka)
fuzz-seeds: $(B)/tests/fuzz/make_seeds
	$<

$(B)/lowbit $(TESTBIN) $(TOOLS): | $(NOTES)

.SECONDARY: $(BENCHBIN:=.o)
bench-build: build $(BENCHBIN)
bench: all ## speed and memory against peers in the same run: SUITE=, ROUNDS=, ... (see bench/README.md)
	@$(MAKE) --no-print-directory bench-build
	@bench/run
bench-counts: all ## instruction counts of the kernels against bench/counts.csv (UPDATE=1 rewrites it)
	@$(MAKE) --no-print-directory bench-build
	@bench/counts
bench-scaling: all ## how time and memory grow (QUICK=1: under three minutes)
	@$(MAKE) --no-print-directory bench-build
	@bench/scaling

fmt: ## clang-format everything
	clang-format -i $(shell git ls-files '*.c' '*.h')

lint: ## include directions, formatting, file sizes, clang-tidy
	tools/lint

analyze: ## cppcheck
	cppcheck --quiet --enable=warning,performance,portability --error-exitcode=1 --inline-suppr -Isrc --suppress=missingIncludeSystem src algorithms

man: lowbit
	@./lowbit help man > $(B)/lowbit.1

TO := $(DESTDIR)$(PREFIX)
install: all ## install the program, its man page, completions, configs and the built-in model below PREFIX (DESTDIR respected)
	@$(MAKE) --no-print-directory install-files

# What is built already: tests install without building. An earlier version's files do not stay behind.
.PHONY: install-files
install-files:
	install -d "$(TO)/bin" "$(TO)/share/man/man1" "$(TO)/share/lowbit/data" "$(TO)/share/lowbit/tools" "$(TO)/include/lowbit"
	install -m 755 $(B)/lowbit "$(TO)/bin/lowbit"
	$(B)/lowbit help man > $(B)/lowbit.1
	install -m 644 $(B)/lowbit.1 "$(TO)/share/man/man1/lowbit.1"
	$(B)/lowbit completion bash > $(B)/lowbit.bash && $(B)/lowbit completion zsh > $(B)/lowbit.zsh
	install -d "$(TO)/share/bash-completion/completions" "$(TO)/share/zsh/site-functions"
	install -m 644 $(B)/lowbit.bash "$(TO)/share/bash-completion/completions/lowbit"
	install -m 644 $(B)/lowbit.zsh "$(TO)/share/zsh/site-functions/_lowbit"
	for d in configs experiments paper data/builtin data/papers; do rm -rf "$(TO)/share/lowbit/$$d" && cp -R "$$d" "$(TO)/share/lowbit/$$d" || exit 1; done
	chmod -R u+rwX,go+rX,go-w "$(TO)/share/lowbit"
	install -m 755 tools/fetch "$(TO)/share/lowbit/tools/fetch"
	for d in base math quant quant/formats; do install -d "$(TO)/include/lowbit/$$d" && install -m 644 src/$$d/*.h "$(TO)/include/lowbit/$$d/" || exit 1; done

uninstall: ## remove what install put there
	rm -rf "$(TO)/bin/lowbit" "$(TO)/share/man/man1/lowbit.1" "$(TO)/share/bash-completion/completions/lowbit" "$(TO)/share/zsh/site-functions/_lowbit" "$(TO)/share/lowbit" "$(TO)/include/lowbit"

paper: ## the report as PDF: make paper RESULTS=results/NAME
	@paper/build "$(RESULTS)"

clean: ## remove build folders
	rm -rf build lowbit

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# Objects of tests and tools stay.
.SECONDARY:

-include $(OBJ:.o=.d) $(B)/tests/parity/dump.d $(B)/tests/pages/make_pages.d $(TOOLS:=.d) $(BENCHBIN:=.d) $(TESTBIN:=.d) $(REALBIN:=.d) $(LONGBIN:=.d) $(TEST_SUPPORT:%.c=$(B)/%.d)
