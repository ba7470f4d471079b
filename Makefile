# qvm: virtual machines of a QNX Hypervisor host, from Lua 5.4.
# `make help` lists the targets.

PREFIX ?= /usr/local
LUADIR ?= $(PREFIX)/share/lua/5.4
LIBDIR ?= $(PREFIX)/lib/lua/5.4
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
COMPLETIONS ?= $(PREFIX)/share/bash-completion/completions
BUILD  ?= build
LUA    ?= lua5.4
# Architecture of the guest in `make guest-dump` and `make demo-guest`, as its `uname -m` prints it.
ARCH   ?= x86_64
CFLAGS ?= -O2 -g
ifneq ($(words $(BUILD)),1)
$(error BUILD must not contain spaces)
endif
# The directory of lua.h. For a cross compiler, the target's.
LUA_INCDIR ?= $(firstword $(wildcard /usr/include/lua5.4 /usr/local/include/lua5.4) \
	/usr/include)

FLAGS    := -std=c11 -D_POSIX_C_SOURCE=200809L -D_FILE_OFFSET_BITS=64
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes
# Hardening against memory errors. It is off with sanitizers, which have their own checks;
# _FORTIFY_SOURCE needs an optimizing compiler.
HARDEN   := -fstack-protector-strong $(if $(findstring -fsanitize,$(CFLAGS)),, \
	$(if $(filter -O1 -O2 -O3 -Os,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2))
RELRO    := -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack
MODULE   := -fPIC -fvisibility=hidden
LIBS     := $(if $(ZLIB_LIBDIR),-L$(ZLIB_LIBDIR)) -lz
INCLUDE_ZLIB := $(if $(ZLIB_INCDIR),-I$(ZLIB_INCDIR))
PTHREAD  := -pthread

# QNX has threads in its libc, and its compilers refuse -pthread.
ifneq ($(findstring qcc,$(notdir $(firstword $(CC))))$(findstring nto,$(notdir $(firstword $(CC)))),)
LIBS    += -lslog2parse
PTHREAD :=
endif

CORE_SRC   := $(wildcard csrc/core/*/*.c)
LUA_SRC    := $(wildcard csrc/lua/*.c)

# The simulator serves env with libfuse3 if CC finds it (FUSE=no: without). One file has the
# interface for both cases: csrc/sim/vm/node_fuse.h.
FUSE_CFLAGS := $(patsubst -I%,-isystem%,$(shell pkg-config --cflags fuse3 2>/dev/null))
FUSE_LIBS   := $(shell pkg-config --libs 'fuse3 >= 3.11' 2>/dev/null)
FUSE        ?= $(if $(FUSE_LIBS),$(shell echo 'int main(void) { return 0; }' | \
	$(CC) $(FUSE_CFLAGS) -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=31 -include fuse_lowlevel.h \
	-x c -o /dev/null - $(FUSE_LIBS) 2>/dev/null && echo yes),no)
SIM_SRC     := $(filter-out $(addprefix csrc/sim/vm/,$(if $(filter yes,$(FUSE)),node_no_fuse.c, \
	node_fuse.c fuse_record.c fuse_requests.c)),$(wildcard csrc/sim/*.c csrc/sim/*/*.c))
FUSE_USED   := $(if $(filter yes,$(FUSE)),$(FUSE_LIBS))
HELPER_SRC := $(wildcard spec/helpers/*.c)
BENCH_SRC  := $(wildcard spec/bench/*.c)
UNIT_SRC   := $(filter-out spec/qnx/%,$(wildcard spec/*/*_test.c))
LUA_FILES  := $(wildcard lua/qvm/*.lua lua/qvm/*/*.lua)
# For each NAME, examples/NAME.lua is installed as qvm-NAME.
COMMANDS   := diag dumpdiff explore firstcontact gdbserve watchdog

MODULE_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(CORE_SRC) $(LUA_SRC))
# The simulator reads dumps and QEMU's JSON with the library's own readers. Where both have a
# header of one name, it includes the library's as "core/...".
SIM_OBJ    := $(patsubst %.c,$(BUILD)/obj/%.o,$(SIM_SRC) $(wildcard csrc/core/dump/*.c \
	csrc/core/json/*.c csrc/core/util/*.c))
INCLUDE_SIM := -Icsrc/sim -Icsrc -Icsrc/core
PRELOADED  := $(addprefix $(BUILD)/helpers/,pause.so exchange.so tasks.so threads.so)
HELPERS    := $(PRELOADED) $(patsubst spec/helpers/%.c,$(BUILD)/helpers/%, \
	$(filter-out $(PRELOADED:$(BUILD)/helpers/%.so=spec/helpers/%.c),$(HELPER_SRC)))
BENCH      := $(BUILD)/bench/bound $(BUILD)/bench/stopwatch

# The command that runs a spec file; the spec files, among which those of SLOW take long and those
# of COSTS measure what huge inputs cost; and the unit tests of the C core.
BUSTED := busted --lua=$(shell command -v $(LUA))
COSTS  := $(wildcard spec/*/*_cost_spec.lua)
SLOW   := $(wildcard spec/*/*_slow_spec.lua)
SPECS  := $(filter-out $(SLOW) $(COSTS),$(wildcard spec/*/*_spec.lua))
UNITS  := $(UNIT_SRC:spec/%_test.c=$(BUILD)/unit/%)

# `make test SPECS=FILES` runs those files alone.
TESTS   = $(if $(findstring command,$(origin SPECS)),,$(UNITS)) $(SPECS)

# The part of the specs that `make check` runs: see docs/testing.md.
CHECK_SPECS := $(patsubst %,spec/%_spec.lua,docs/build docs/docs docs/docs_runner \
	docs/structure docs/stubs dump/dump dump/dump_parts dump/dump_vcpus dump/large_dump \
	dump/qemu_dump guest/address guest/backtrace guest/guest guest/guest_image host/conf \
	host/discovery host/env host/env_shapes host/errata host/record host/signal host/slog2 \
	json/json paging/address_space prompt/complete scan/diff sim/simulator util/columns \
	util/save util/tostring)

# A nested make builds on all processors, unless -j was given.
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell getconf _NPROCESSORS_ONLN))

MODULE_SO := $(BUILD)/qvm/core.so
SIMULATOR := $(BUILD)/sim/qvm
LUA_CHECKED := $(BUILD)/lua-5.4
HELP      := $(BUILD)/qvm/help_text.lua
STUBS     := $(BUILD)/luacats/qvm.lua $(BUILD)/luacats/qvm/assertions.lua

SANITIZE := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	-fno-omit-frame-pointer

.DEFAULT_GOAL := all
.PHONY: help all deps demo demo-guest check test test-slow unit test-real test-html test-fleet guest-dump bench lint \
	format sanitize valgrind docs man install uninstall clean FORCE

help: ## list the targets
	@echo "make TARGET [CC=...] [CFLAGS=...] [LUA=lua5.4] [PREFIX=/usr/local]"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)

all: $(LUA_CHECKED) $(MODULE_SO) $(SIMULATOR) $(HELP) $(STUBS) ## build the C module, the simulator, the help

deps: ## install the Debian packages that are missing
	@sh .ci/deps build test lint docs rock valgrind

demo: ## start two simulated VMs and diagnose one of them
	@sh .ci/deps build commands
	@$(MAKE) -q all >/dev/null 2>&1 || echo "building the library and the simulator ..."
	@$(MAKE) -s $(JOBS) all
	@LUA="$(LUA)" BUILD="$(BUILD)" sh examples/demo.sh

demo-guest: ## boot a Linux guest in QEMU behind the simulator and triage it; ARCH=aarch64
	@sh .ci/deps build commands guest test
	@$(MAKE) -s $(JOBS) all
	@guest=$$($(LUA) spec/real_guests/guest.lua $(ARCH) --image) && \
		LUA="$(LUA)" BUILD="$(BUILD)" sh examples/demo-guest.sh $(ARCH) "$$guest"

check: ## run the checks to make before each commit: under 30 seconds
	@sh .ci/deps build test lint
	@$(MAKE) -s $(JOBS) BUILD=$(BUILD)/check CFLAGS="-O2 -Werror" all helpers units
	@luacheck -q .
	@clang-format --dry-run --Werror $(C_FILES)
	@QVM_BUILD=$(BUILD)/check BUSTED="$(BUSTED)" \
		sh spec/run.sh $(UNITS:$(BUILD)/%=$(BUILD)/check/%) $(CHECK_SPECS)

test: ## run the unit tests and the specs; SPECS=FILES for some of the specs
	@sh .ci/deps build test
	@$(MAKE) -s $(JOBS) all helpers units
	@AT_ONCE=8 QVM_BUILD="$(BUILD)" BUSTED="$(BUSTED)" sh spec/run.sh $(TESTS)

test-slow: ## run the specs that take long, and those that measure what huge inputs cost
	@sh .ci/deps build test
	@$(MAKE) -s all helpers
	@QVM_BUILD="$(BUILD)" BUSTED="$(BUSTED)" sh spec/run.sh $(SLOW) $(COSTS)

unit: ## run the unit tests of the C core
	@sh .ci/deps build
	@$(MAKE) -s $(JOBS) units
	@sh spec/run.sh $(UNITS)

test-real: ## run the specs on dumps of real guests, which QEMU boots
	@sh .ci/deps build test guest peers
	@$(MAKE) -s all
	@$(LUA) spec/real_guests/guest.lua x86_64 >/dev/null
	@$(LUA) spec/real_guests/guest.lua aarch64 >/dev/null
	@$(LUA) spec/real_guests/guest.lua x86_64 --la57 >/dev/null
	@$(LUA) spec/real_guests/guest.lua aarch64 --16k >/dev/null
	@$(LUA) spec/real_guests/guest.lua x86_64 --testing >/dev/null || true # pending specs name it
	@$(LUA) spec/real_guests/guest.lua aarch64 --testing >/dev/null || true
	@$(LUA) spec/real_guests/guest.lua x86_64 --bullseye >/dev/null || true
	@$(LUA) spec/real_guests/guest.lua x86_64 --image >/dev/null
	@$(LUA) spec/real_guests/guest.lua aarch64 --image >/dev/null
	@QVM_BUILD="$(BUILD)" busted --run=real --lua="$$(command -v $(LUA))"

test-html: ## run the specs that open the HTML report in a browser (Chromium)
	@sh .ci/deps build test browser
	@$(MAKE) -s all
	@QVM_BUILD="$(BUILD)" busted --run=html --lua="$$(command -v $(LUA))"

test-fleet: ## run examples/fleet: Ansible gathers from simulated boards
	@sh .ci/deps build test fleet
	@$(MAKE) -s all
	@QVM_BUILD="$(BUILD)" busted --run=fleet --lua="$$(command -v $(LUA))"

guest-dump: ## dump a Linux guest that runs under QEMU: ARCH=x86_64|aarch64
	@sh .ci/deps build test guest
	@$(LUA) spec/real_guests/guest.lua $(ARCH)

bench: ## measure against other tools, on dumps of 4 GiB: about five minutes
	@sh .ci/deps build test bench
	@$(MAKE) -s all $(BENCH)
	@QVM_BUILD="$(BUILD)" LUA="$(LUA)" $(LUA) spec/bench/bench.lua

C_FILES := $(wildcard csrc/*/*.[ch] csrc/*/*/*.[ch] spec/*/*.[ch] spec/*/*/*.[ch] spec/*/*/*/*.[ch])

lint: ## check the sources; both compilers' warnings are errors
	@sh .ci/deps build lint
	luacheck -q .
	@clang-format --dry-run --Werror $(C_FILES)
	$(MAKE) -s $(JOBS) BUILD=$(BUILD)/gcc CC=gcc CFLAGS="-O2 -Werror" all units \
		$(addprefix $(BUILD)/gcc/,$(QNX_OBJ)) $(QVMLUA_SRC:%.c=$(BUILD)/gcc/obj/%.o)
	$(MAKE) -s $(JOBS) BUILD=$(BUILD)/clang CC=clang CFLAGS="-O2 -Werror" all units \
		$(addprefix $(BUILD)/clang/,$(QNX_OBJ)) $(QVMLUA_SRC:%.c=$(BUILD)/clang/obj/%.o)
	@echo clang-tidy
	@$(MAKE) -s $(BUILD)/compile_commands.json
	@run-clang-tidy -quiet -p $(BUILD) >$(BUILD)/tidy.log 2>&1 || { cat $(BUILD)/tidy.log; exit 1; }

format: ## format the C files
	clang-format -i $(C_FILES)

# GCC 12's sanitizer takes what is before a thread's dynamic variables for their size, and may
# crash at the end of a process: https://github.com/google/sanitizers/issues/1353.
sanitize: ## run the unit tests and the specs with AddressSanitizer and UndefinedBehaviorSanitizer
	@sh .ci/deps build test
	@$(MAKE) -s $(JOBS) BUILD=$(BUILD)/sanitize CFLAGS="$(SANITIZE)" all helpers units
	@QVM_BUILD=$(BUILD)/sanitize QVM_PRELOAD="$$($(CC) -print-file-name=libasan.so)" \
		ASAN_OPTIONS=intercept_tls_get_addr=0 \
		LSAN_OPTIONS=print_suppressions=0:suppressions="$(CURDIR)/spec/support/leaks.supp" \
		BUSTED="env LD_PRELOAD=$$($(CC) -print-file-name=libasan.so) $(BUSTED)" \
		sh spec/run.sh $(TESTS:$(BUILD)/%=$(BUILD)/sanitize/%) $(SLOW)

# Valgrind does not follow the processes that specs start. The specs that do their work in
# such processes are left out, and those of help and stubs, which are about texts in Lua.
NOT_VALGRIND := diag/diag diag/dumpdiff diag/fleet docs/build docs/commands docs/docs \
	docs/docs_runner docs/stubs firstcontact/firstcontact gdb/gdb gdb/gdb_client \
	host/errata_suite prompt/explore prompt/help util/foreign_text

VALGRIND := valgrind -q --leak-check=full --error-exitcode=9 --child-silent-after-fork=yes

valgrind: ## run the unit tests and the specs under valgrind
	@sh .ci/deps build test valgrind
	@$(MAKE) -s $(JOBS) all helpers units
	@QVM_VALGRIND=1 QVM_BUILD="$(BUILD)" UNDER="$(VALGRIND)" \
		BUSTED="$(VALGRIND) $(LUA) $$(command -v busted)" \
		sh spec/run.sh $(filter-out $(NOT_VALGRIND:%=spec/%_spec.lua),$(TESTS))

docs: ## build the reference as HTML, in build/docs
	@sh .ci/deps docs
	ldoc --fatalwarnings -d $(BUILD)/docs -o index .
	@cp docs/*.png docs/*.svg $(BUILD)/docs/topics

# The files are moved into place, as another make may be installing them.
man: $(LUA_CHECKED) ## write the manual pages and the completion of the commands
	@mkdir -p $(BUILD)/man/man1 $(BUILD)/completions
	@set -e; new=$$(mktemp -d $(BUILD)/man.XXXXXX); trap 'rm -rf $$new' EXIT; \
	mkdir -p $$new/man/man1 $$new/completions; \
	$(LUA) docs/commands.lua $$new $(COMMANDS); \
	for file in $$new/man/man1/* $$new/completions/*; do \
		[ ! -e $$file ] || mv $$file $(BUILD)/$${file#$$new/}; done

# The interpreter in the first line of a command: LUA if it is absolute, else the lua5.4 that
# $PATH finds.
COMMAND_LUA = $(if $(filter /%,$(LUA)),$(LUA),/usr/bin/env lua5.4)

# Calls the shell function `each MODE FILE DESTINATION` for each file that is installed. The
# quotes are for directories whose names contain spaces.
define EACH_INSTALLED
	for file in $(LUA_FILES:lua/%=%); do each 644 lua/$$file "$(LUADIR)/$$file"; done; \
	each 644 $(HELP) "$(LUADIR)/qvm/$(notdir $(HELP))"; \
	each 755 $(MODULE_SO) "$(LIBDIR)/qvm/$(notdir $(MODULE_SO))"; \
	for name in $(COMMANDS:%=qvm-%); do \
		each 755 $$commands/$$name "$(BINDIR)/$$name"; \
		each 644 $(BUILD)/man/man1/$$name.1 "$(MANDIR)/man1/$$name.1"; \
		each 644 $(BUILD)/completions/$$name "$(COMPLETIONS)/$$name"; done; \
	each 755 $(SIMULATOR) "$(PREFIX)/libexec/qvm/$(notdir $(SIMULATOR))"; \
	for file in $(STUBS:$(BUILD)/%=%); do \
		each 644 $(BUILD)/$$file "$(PREFIX)/share/qvm/$$file"; done
endef

# Without Lua's argparse there are no manual pages and completions. The commands are written to a
# directory of their own: another make may be installing them with another LUA.
install: all man ## install below $(DESTDIR)$(PREFIX)
	@set -e; commands=$$(mktemp -d $(BUILD)/commands.XXXXXX); trap 'rm -rf $$commands' EXIT; \
	for name in $(COMMANDS); do \
		sed '1s|/usr/bin/env lua5\.4|$(COMMAND_LUA)|' examples/$$name.lua \
			>$$commands/qvm-$$name; done; \
	each() { \
		case $$2 in */man/*|*/completions/*) [ -e $$2 ] || return 0 ;; esac; \
		echo "install $(DESTDIR)$$3"; \
		install -D -m $$1 $$2 "$(DESTDIR)$$3"; }; \
	$(EACH_INSTALLED)

uninstall: ## remove what `make install` with the same variables wrote
	@set -e; each() { \
		[ -e "$(DESTDIR)$$3" ] || return 0; \
		echo "remove $(DESTDIR)$$3"; \
		rm "$(DESTDIR)$$3"; }; \
	$(EACH_INSTALLED)
	@for top in "$(LUADIR)/qvm" "$(LIBDIR)/qvm" "$(PREFIX)/libexec/qvm" "$(PREFIX)/share/qvm"; do \
		[ ! -d "$(DESTDIR)$$top" ] || find "$(DESTDIR)$$top" -depth -type d -empty -delete; done

clean: ## remove what was built
	rm -rf $(BUILD)

.PHONY: helpers units
helpers: $(HELPERS)
units: $(UNITS)

# Each of these files holds the values of some variables and changes only when they do.
# What depends on it is rebuilt when, say, CC or CFLAGS changes. `make install` and, with
# KEEP_FLAGS=1, all targets use what was built with other flags.
C_FLAGS    := $(BUILD)/flags/c
SIM_FLAGS  := $(BUILD)/flags/sim
LUA_FLAGS  := $(BUILD)/flags/lua
VALUES_c    = $(CC) $(FLAGS) $(WARNINGS) $(HARDEN) $(CFLAGS) $(MODULE) $(RELRO) $(LDFLAGS) $(PTHREAD) \
	$(INCLUDE_ZLIB) $(LIBS)
VALUES_sim  = $(FUSE_USED)
VALUES_lua  = $(LUA) $(LUA_INCDIR)

$(BUILD)/flags/%: $(if $(filter install uninstall,$(MAKECMDGOALS))$(KEEP_FLAGS),,FORCE)
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(VALUES_$*))' | cmp -s - $@ || echo '$(subst ','\'',$(VALUES_$*))' >$@

$(MODULE_OBJ) $(SIM_OBJ) $(MODULE_SO) $(SIMULATOR) $(HELPERS) $(UNITS) $(BENCH): $(C_FLAGS)
$(SIMULATOR): $(SIM_FLAGS)
$(LUA_SRC:%.c=$(BUILD)/obj/%.o) $(LUA_CHECKED): $(LUA_FLAGS)

# nodelete: a thread that a stuck server holds may outlive the Lua state (vm_query.c).
$(MODULE_SO): $(MODULE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(RELRO) -Wl,-z,nodelete $(LDFLAGS) -shared $(PTHREAD) -o $@ $(MODULE_OBJ) $(LIBS)

$(SIMULATOR): $(SIM_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(RELRO) $(LDFLAGS) $(PTHREAD) -o $@ $(SIM_OBJ) $(LIBS) $(FUSE_USED)

$(HELP) $(STUBS) &: $(LUA_FILES) config.ld docs/reference.lua $(wildcard docs/reference/*.lua) \
		| $(LUA_CHECKED)
	@mkdir -p $(BUILD)/qvm $(BUILD)/luacats/qvm
	$(LUA) docs/reference.lua $(BUILD)

CORE_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(CORE_SRC))

$(BUILD)/helpers/%: spec/helpers/%.c $(CORE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) $(CFLAGS) $(LDFLAGS) -Icsrc/core $(PTHREAD) -o $@ $< $(CORE_OBJ) \
		$(LIBS)

$(BUILD)/unit/%: spec/%_test.c $(CORE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) $(CFLAGS) $(LDFLAGS) -Icsrc/core -Ispec/support $(PTHREAD) \
		-MMD -MP -MF $@.d -o $@ $< $(CORE_OBJ) $(LIBS)

$(BUILD)/bench/bound: $(addprefix spec/bench/,bound.c loads.c scans.c servers.c bound.h)
$(BUILD)/bench/stopwatch: spec/bench/stopwatch.c
$(BENCH):
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) -Werror $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.c,$^) $(LIBS)

$(PRELOADED): $(BUILD)/helpers/%.so: spec/helpers/%.c spec/helpers/opens.h
	@mkdir -p $(@D)
	$(CC) -std=c11 -Wall -Wextra $(filter-out -fsanitize=% -fno-sanitize%,$(CFLAGS)) -fPIC \
		-shared -o $@ $< -ldl

$(BUILD)/obj/csrc/sim/%.o: csrc/sim/%.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) $(HARDEN) $(CFLAGS) $(INCLUDE_SIM) $(FUSE_CFLAGS) $(PTHREAD) -MMD -MP -c -o $@ $<

$(BUILD)/obj/csrc/core/%.o: csrc/core/%.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) $(HARDEN) $(CFLAGS) $(MODULE) -Icsrc/core $(INCLUDE_ZLIB) \
		$(PTHREAD) -MMD -MP -c -o $@ $<

# One message in place of a hundred compiler errors about another Lua's headers, or of the
# errors that another interpreter finds in the first script.
NEEDS_LUA = { echo "qvm needs Lua 5.4: $(1)" >&2; exit 1; }

$(LUA_CHECKED):
	@mkdir -p $(@D)
	@$(LUA) -e 'assert(_VERSION == "Lua 5.4")' 2>/dev/null || \
		$(call NEEDS_LUA,$(LUA) is another version: set LUA)
	@$(CC) -E -Icsrc/core -I"$(LUA_INCDIR)" csrc/lua/binding.h >/dev/null || \
		$(call NEEDS_LUA,there is no lua.h of it in $(LUA_INCDIR): set LUA_INCDIR)
	@touch $@

$(BUILD)/obj/csrc/lua/%.o: csrc/lua/%.c | $(LUA_CHECKED)
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) $(HARDEN) $(CFLAGS) $(MODULE) -Icsrc/core -I"$(LUA_INCDIR)" \
		-MMD -MP -c -o $@ $<

# The files for QNX, compiled against declarations written from QNX's public documentation.
# This shows that they are valid C, not that they work.
QNX_OBJ := $(patsubst csrc/core/%.c,%.o,$(wildcard csrc/core/*/*_qnx.c))

$(BUILD)/%_qnx.o: csrc/core/%_qnx.c $(wildcard spec/qnx/include/*.h spec/qnx/include/sys/*.h) \
		$(C_FLAGS)
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) $(CFLAGS) -D__QNXNTO__ -Icsrc/core -Ispec/qnx/include -c -o $@ $<

-include $(MODULE_OBJ:.o=.d) $(SIM_OBJ:.o=.d) $(UNITS:=.d)

# C files by how they are compiled, for compile_commands.json. The files below spec/ that
# are included at the end add groups of their own.
C_GROUPS := core lua sim bench helpers unit
core_C     := $(filter-out %_qnx.c,$(CORE_SRC))
core_FLAGS := $(FLAGS) -Icsrc/core
lua_C     := $(LUA_SRC)
lua_FLAGS := $(FLAGS) -Icsrc/core -I$(LUA_INCDIR)
sim_C     := $(SIM_SRC)
sim_FLAGS := $(FLAGS) $(INCLUDE_SIM) $(FUSE_CFLAGS)
bench_C     := $(BENCH_SRC)
bench_FLAGS := $(FLAGS)
helpers_C     := $(HELPER_SRC)
helpers_FLAGS := $(FLAGS) -Icsrc/core
unit_C     := $(UNIT_SRC)
unit_FLAGS := $(FLAGS) -Icsrc/core -Ispec/support

comma := ,

# The executable qvmlua; the packages; the tests and tools in the directories below spec/: fuzzing, other
# targets, races, ...; and the pictures of the documents.
include $(wildcard csrc/*/*.mk spec/*/*.mk docs/*/*.mk)

define newline


endef
json_quoted = "$(subst ",\",$(1))"
command_of  = {"directory": $(call json_quoted,$(CURDIR)), "file": "$(1)", "command": $(call json_quoted,$(CC) $(2) -c $(1))}
commands    = $(foreach group,$(C_GROUPS),$(foreach file,$($(group)_C),$(call command_of,$(file),$($(group)_FLAGS))))

# For clang-tidy, clangd and editors.
$(BUILD)/compile_commands.json: Makefile $(wildcard spec/*/*.mk) $(filter %.c,$(C_FILES)) $(C_FLAGS) \
		$(LUA_FLAGS)
	@mkdir -p $(@D)
	$(file >$@,[$(subst } {,}$(comma)$(newline){,$(commands))])
