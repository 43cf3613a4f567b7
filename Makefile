# weft: one non-recursive Makefile. `make help` lists the targets.
#
# A build mode (release, debug, asan, tsan, fuzz) has its own folder build/<mode>; the release binaries are
# linked to build/weft-*. Every src/*/*.c but the mains goes into libweft.a of the mode.

CC      ?= gcc
MODE    ?= release
OUT     := build/$(MODE)
PY      := /usr/bin/python3

WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
CPPFLAGS := -Isrc -I. -Ibuild/gen -D_GNU_SOURCE -MMD -MP
CFLAGS.release := -O2 -g -fno-plt -fno-semantic-interposition
CFLAGS.debug   := -O0 -g3 -DWEFT_DEBUG=1
CFLAGS.asan    := -O1 -g -Wno-format-truncation -DWEFT_DEBUG=1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS.tsan    := -O1 -g -Wno-format-truncation -Wno-tsan -DWEFT_DEBUG=1 -fsanitize=thread
CFLAGS.fuzz    := -O1 -g -DWEFT_DEBUG=1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
CFLAGS.sim     := -O2 -g -DWEFT_DEBUG=1 -DWEFT_SIM=1
CFLAGS.sim-O0  := -O0 -g -Wno-format-truncation -DWEFT_DEBUG=1 -DWEFT_SIM=1
CFLAGS.sim-clang := $(CFLAGS.sim)
CFLAGS.coverage := -O0 -g --coverage -Wno-format-truncation -DWEFT_DEBUG=1 -DWEFT_SIM=1
CFLAGS.mutants := -O2 -g -DWEFT_DEBUG=1 -DWEFT_SIM=1 -DWEFT_MUTANTS=1
ARCH    ?= -march=x86-64-v2
ifneq ($(shell uname -m),x86_64)
ARCH    :=
endif
CFLAGS  := -std=gnu17 $(WARN) $(ARCH) $(CFLAGS.$(MODE)) $(EXTRA_CFLAGS)
LDFLAGS := $(filter -fsanitize=% --coverage,$(CFLAGS.$(MODE)))
LDLIBS  := -luring -lxxhash -lm -lpthread

MAINS   := src/server/main.c src/maelstrom/main.c
SRC     := $(filter-out $(MAINS),$(wildcard src/*/*.c)) build/gen/command_table.c build/gen/config_table.c
OBJ     := $(SRC:%.c=$(OUT)/%.o)
LIB     := $(OUT)/libweft.a
UNIT    := $(patsubst test/unit/%.c,$(OUT)/test/unit/%,$(wildcard test/unit/*_test.c))

.PHONY: FORCE all run test sim hunt sim-determinism coverage spin debug asan tsan fuzz unit bench mutants mutants-mechanical tidy format install deps deps-test clean help
.SECONDARY:

all: deps build/weft-server build/weft-bench build/weft-maelstrom build/weft-sim
debug asan tsan: ; $(MAKE) MODE=$@ server unit
server: $(OUT)/weft-server
unit: $(UNIT)

build/weft-server: build/release/weft-server ; ln -sf release/weft-server $@
build/weft-bench: build/release/weft-bench ; ln -sf release/weft-bench $@
build/weft-maelstrom: build/release/weft-maelstrom ; ln -sf release/weft-maelstrom $@
build/history-check: build/release/history-check ; ln -sf release/history-check $@
build/model-check: build/release/model-check ; ln -sf release/model-check $@

$(OUT)/weft-server: $(OUT)/src/server/main.o $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(OUT)/weft-bench: $(patsubst %.c,$(OUT)/%.o,$(wildcard bench/*.c)) $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
# The simulator: all of sim/ but the mains of its tools.
SIMOBJ  := $(patsubst %.c,$(OUT)/%.o,$(filter-out sim/main.c %_main.c,$(wildcard sim/*.c)))
SIMLIB  := $(OUT)/libweft-sim.a
$(OUT)/weft-sim: $(OUT)/sim/main.o $(SIMOBJ) $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
build/weft-sim: FORCE
	$(MAKE) MODE=sim build/sim/weft-sim
	ln -sf sim/weft-sim $@
FORCE:

$(LIB): $(OBJ)
	rm -f $@ && ar rcs $@ $^
# The node as Maelstrom drives it, and the checkers of histories as a program.
$(OUT)/weft-maelstrom: $(OUT)/src/maelstrom/main.o $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -ljansson $(LDLIBS)
$(OUT)/history-check: $(patsubst %.c,$(OUT)/%.o,sim/history_main.c sim/elle.c $(wildcard sim/linear*.c)) $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -ljansson $(LDLIBS)
$(OUT)/test/unit/maelstrom_%: LDLIBS += -ljansson
# Of test/unit/starve.h.
STARVED := malloc calloc realloc io_wait io_attach io_send io_send_lazy io_close io_wake
$(OUT)/test/unit/script_test: LDLIBS += $(STARVED:%=-Wl,--wrap=%)
# Judges tapes of executed commands by the simulator's model of Redis.
$(OUT)/model-check: $(patsubst %.c,$(OUT)/%.o,test/sim/model_check.c sim/value.c sim/tape.c $(wildcard sim/model*.c)) $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(SIMLIB): $(SIMOBJ)
	rm -f $@ && ar rcs $@ $^
$(OUT)/test/unit/sim_%_test: $(OUT)/test/unit/sim_%_test.o $(SIMLIB) $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)
$(OUT)/test/unit/%: $(OUT)/test/unit/%.o $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)
# Generated headers come before anything that may include them.
$(OUT)/%.o: %.c | build/gen/command_table.c build/gen/config_table.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

build/gen/command_table.c: tools/gen_commands.py $(wildcard src/command/table/*.json)
	@mkdir -p $(@D)
	$(PY) tools/gen_commands.py
build/gen/config_table.c: tools/gen_config.py src/config/directives.json
	@mkdir -p $(@D)
	$(PY) tools/gen_config.py
# The page that plays a trace, which weft-sim has inside.
build/gen/trace_page.html: tools/trace_page.py $(wildcard sim/page/*)
	@mkdir -p $(@D)
	$(PY) tools/trace_page.py --template > $@.new && mv $@.new $@
$(OUT)/sim/trace_html.o: build/gen/trace_page.html

-include $(shell find build -name '*.d' 2>/dev/null)

deps: ; @tools/deps.sh build
deps-test: ; @tools/deps.sh test

run: all
	build/weft-server

# Promela models of what threads share, and the bugs that they must find.
spin: deps-test ; $(PY) test/spin/run.py

test: deps-test all build/history-check build/model-check
	$(MAKE) unit
	$(PY) test/run.py

# The simulator: kept seeds and some fresh ones; or seeds from SEED on for so many minutes.
SEED ?= 1
MINUTES ?= 10
JOBS ?= 2
sim: build/weft-sim ; $(PY) test/sim/sim_test.py --first-seed $(SEED)
# The same hashes from gcc and clang, -O0 and -O2, and from two runs.
sim-determinism: build/weft-sim
	$(MAKE) MODE=sim-O0 build/sim-O0/weft-sim
	$(MAKE) MODE=sim-clang CC=clang build/sim-clang/weft-sim
	$(PY) test/sim/determinism.py --first-seed $(SEED) --count $(COUNT)
COUNT ?= 100
coverage:
	$(MAKE) MODE=coverage build/coverage/weft-sim build/coverage/weft-server build/coverage/weft-maelstrom unit
	$(PY) test/coverage.py --seeds $(COUNT)
hunt: build/weft-sim ; build/weft-sim --seed $(SEED) --hunt $(MINUTES) --jobs $(JOBS)

# Each test/fuzz/*_fuzz.c is a libFuzzer program; seeds are in test/fuzz/seeds/<name>/, what a run learns stays in
# build/fuzz/corpus/<name>/.
FUZZ_SECONDS ?= 60
FUZZERS := $(patsubst test/fuzz/%_fuzz.c,%,$(wildcard test/fuzz/*_fuzz.c))
fuzz: ; $(MAKE) MODE=fuzz CC=clang $(FUZZERS:%=fuzz-%)
fuzz-%: build/fuzz/%_fuzz
	mkdir -p build/fuzz/corpus/$* test/fuzz/seeds/$*
	$< -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 -artifact_prefix=build/fuzz/$*- \
	    build/fuzz/corpus/$* test/fuzz/seeds/$*
build/fuzz/%_fuzz: build/fuzz/test/fuzz/%_fuzz.o build/fuzz/libweft.a
	$(CC) $(CFLAGS) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LDLIBS)

bench: all
	bench/run.sh

# Do the simulator's oracles see defects? Those of src/base/mutants.def (ARGS: tools/mutants.py --help), and COUNT
# mechanical ones drawn by SEED over src/, each with SEEDS seeds of the simulator.
SEED    ?= 1
COUNT   ?= 300
mutants:
	$(MAKE) MODE=mutants build/mutants/weft-sim
	$(PY) tools/mutants.py $(ARGS)
mutants-mechanical: ; $(PY) tools/mutate.py --seed $(SEED) --count $(COUNT) --seeds $(or $(SEEDS),5) $(ARGS)

format: ; clang-format -i $(wildcard src/*/*.[ch] bench/*.[ch] test/unit/*.[ch])
tidy: ; tools/tidy.py

PREFIX ?= /usr/local
install: all
	install -D build/weft-server $(DESTDIR)$(PREFIX)/bin/weft-server
	install -D build/weft-bench $(DESTDIR)$(PREFIX)/bin/weft-bench
	install -D -m 644 tools/weft.service $(DESTDIR)$(PREFIX)/lib/systemd/system/weft.service

clean: ; rm -rf build
help: ; @grep -E '^[a-z][a-z -]*:' Makefile | cut -d: -f1
