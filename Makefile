# qvm: virtual machines of a QNX Hypervisor host, from Lua 5.4.
# `make help` lists what can be made.

PREFIX ?= /usr/local
LUADIR ?= $(PREFIX)/share/lua/5.4
LIBDIR ?= $(PREFIX)/lib/lua/5.4
BINDIR ?= $(PREFIX)/bin
BUILD  ?= build
LUA    ?= lua5.4
ARCH   ?= x86_64
CFLAGS ?= -O2 -g
ifneq ($(words $(BUILD)),1)
$(error BUILD must be one word: make cannot build in a directory with a space in its name)
endif
# Where lua.h is. For a cross compiler, give the target's.
LUA_INCDIR ?= $(firstword $(wildcard /usr/include/lua5.4 /usr/local/include/lua5.4) \
	/usr/include)

FLAGS    := -std=c11 -D_POSIX_C_SOURCE=200809L -D_FILE_OFFSET_BITS=64
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes
# What makes a memory error harder to use, should there be one after all. The sanitizers
# have their own checks; the library's need an optimizing compiler.
HARDEN   := -fstack-protector-strong $(if $(findstring -fsanitize,$(CFLAGS)),, \
	$(if $(filter -O1 -O2 -O3 -Os,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2))
RELRO    := -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack
MODULE   := -fPIC -fvisibility=hidden
LIBS     := -lz
PTHREAD  := -pthread

# QNX has threads in its libc, and its compilers refuse -pthread.
ifneq ($(findstring qcc,$(notdir $(firstword $(CC))))$(findstring nto,$(notdir $(firstword $(CC)))),)
LIBS    += -lslog2parse
PTHREAD :=
endif

CORE_SRC   := $(wildcard csrc/core/*/*.c)
LUA_SRC    := $(wildcard csrc/lua/*.c)
SIM_SRC    := $(wildcard csrc/sim/*.c csrc/sim/*/*.c)
HELPER_SRC := $(wildcard spec/helpers/*.c)
BENCH_SRC  := $(wildcard spec/bench/*.c)
LUA_FILES  := $(wildcard lua/qvm/*.lua lua/qvm/*/*.lua)
# examples/NAME.lua is installed as qvm-NAME.
COMMANDS   := diag dumpdiff explore gdbserve

MODULE_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(CORE_SRC) $(LUA_SRC))
SIM_OBJ    := $(patsubst %.c,$(BUILD)/obj/%.o,$(SIM_SRC))
PRELOADED  := $(addprefix $(BUILD)/helpers/,pause.so exchange.so threads.so)
HELPERS    := $(PRELOADED) $(patsubst spec/helpers/%.c,$(BUILD)/helpers/%, \
	$(filter-out $(PRELOADED:$(BUILD)/helpers/%.so=spec/helpers/%.c),$(HELPER_SRC)))
BENCH      := $(BUILD)/bench/bound $(BUILD)/bench/stopwatch

# What runs a file of specs, and the files.
BUSTED := busted --lua=$(shell command -v $(LUA))
SPECS  := $(wildcard spec/*/*_spec.lua)

MODULE_SO := $(BUILD)/qvm/core.so
SIMULATOR := $(BUILD)/sim/qvm
LUA_CHECKED := $(BUILD)/lua-5.4
HELP      := $(BUILD)/qvm/help_text.lua
STUBS     := $(BUILD)/luacats/qvm.lua $(BUILD)/luacats/qvm/assertions.lua

SANITIZE := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	-fno-omit-frame-pointer

.DEFAULT_GOAL := all
.PHONY: help all deps demo test test-real test-html test-fleet guest-dump bench lint format \
	sanitize valgrind docs rock install clean

help: ## list the targets
	@echo "make TARGET [CC=...] [CFLAGS=...] [LUA=lua5.4] [PREFIX=/usr/local]"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)

all: $(LUA_CHECKED) $(MODULE_SO) $(SIMULATOR) $(HELP) $(STUBS) ## build the C module, the simulator, the help

deps: ## install the Debian packages that are missing
	@sh .ci/deps build test lint docs rock valgrind

demo: ## two simulated VMs, and what diag tells of one of them
	@sh .ci/deps build
	@$(MAKE) -s all
	@LUA="$(LUA)" BUILD="$(BUILD)" sh examples/demo.sh

test: ## run the specs
	@sh .ci/deps build test
	@$(MAKE) -s all $(HELPERS)
	@QVM_BUILD="$(BUILD)" BUSTED="$(BUSTED)" sh spec/run.sh $(SPECS)

test-real: ## the specs that need dumps of real guests; boots them under QEMU
	@sh .ci/deps build test guest peers
	@$(MAKE) -s all
	@$(LUA) spec/real/guest.lua x86_64 >/dev/null
	@$(LUA) spec/real/guest.lua aarch64 >/dev/null
	@$(LUA) spec/real/guest.lua x86_64 --la57 >/dev/null
	@$(LUA) spec/real/guest.lua aarch64 --16k >/dev/null
	@$(LUA) spec/real/guest.lua x86_64 --testing >/dev/null || true # the specs say what is absent
	@$(LUA) spec/real/guest.lua aarch64 --testing >/dev/null || true
	@QVM_BUILD="$(BUILD)" busted --run=real --lua="$$(command -v $(LUA))"

test-html: ## the specs that look at pages in a browser (Chromium)
	@sh .ci/deps build test browser
	@$(MAKE) -s all
	@QVM_BUILD="$(BUILD)" busted --run=html --lua="$$(command -v $(LUA))"

test-fleet: ## examples/fleet: Ansible gathers from boards that are on this machine
	@sh .ci/deps build test fleet
	@$(MAKE) -s all
	@QVM_BUILD="$(BUILD)" busted --run=fleet --lua="$$(command -v $(LUA))"

guest-dump: ## a real dump of a Linux guest under QEMU: ARCH=x86_64|aarch64
	@sh .ci/deps build test guest
	@$(LUA) spec/real/guest.lua $(ARCH)

bench: ## figures against peers and bounds, on a dump of 4 GiB; some ten minutes
	@sh .ci/deps build test bench
	@$(MAKE) -s all $(BENCH)
	@QVM_BUILD="$(BUILD)" LUA="$(LUA)" $(LUA) spec/bench/dumps.lua
	@QVM_BUILD="$(BUILD)" LUA="$(LUA)" $(LUA) spec/bench/inside.lua
	@QVM_BUILD="$(BUILD)" LUA="$(LUA)" $(LUA) spec/bench/vms.lua

C_FILES := $(wildcard csrc/*/*.[ch] csrc/*/*/*.[ch] spec/*/*.[ch] spec/*/*/*.[ch] spec/*/*/*/*.[ch])

lint: ## check the sources; both compilers' warnings as errors
	@sh .ci/deps build lint
	luacheck -q .
	@clang-format --dry-run --Werror $(C_FILES)
	$(MAKE) -s BUILD=$(BUILD)/gcc CC=gcc CFLAGS="-O2 -Werror" all \
		$(addprefix $(BUILD)/gcc/,$(QNX_OBJ))
	$(MAKE) -s BUILD=$(BUILD)/clang CC=clang CFLAGS="-O2 -Werror" all \
		$(addprefix $(BUILD)/clang/,$(QNX_OBJ))
	clang-tidy --quiet $(CORE_SRC) $(LUA_SRC) $(HELPER_SRC) $(BENCH_SRC) -- $(FLAGS) \
		-Icsrc/core -I$(LUA_INCDIR)
	clang-tidy --quiet $(SIM_SRC) -- $(FLAGS) -Icsrc/sim

format: ## lay out the C files
	clang-format -i $(C_FILES)

sanitize: ## run the specs with AddressSanitizer and UndefinedBehaviorSanitizer
	@sh .ci/deps build test
	@$(MAKE) -s BUILD=$(BUILD)/sanitize CFLAGS="$(SANITIZE)" all helpers
	@QVM_BUILD=$(BUILD)/sanitize QVM_PRELOAD="$$($(CC) -print-file-name=libasan.so)" \
		BUSTED="env LD_PRELOAD=$$($(CC) -print-file-name=libasan.so) $(BUSTED)" \
		sh spec/run.sh $(SPECS)

# valgrind does not go with the processes that specs start: those that do their work in
# others are left out.
IN_OTHERS := diag/diag diag/diag_terminal diag/dumpdiff diag/fleet docs/docs docs/docs_runner \
	dump/dump_cost dump/interrupt gdb/gdb gdb/gdb_client host/conf_syntax host/env_cost \
	host/errata_suite prompt/explore util/foreign_text util/load

valgrind: ## run the specs under valgrind
	@sh .ci/deps build test valgrind
	@$(MAKE) -s all $(HELPERS)
	@QVM_VALGRIND=1 QVM_BUILD="$(BUILD)" BUSTED="valgrind -q --leak-check=full \
		--error-exitcode=9 --child-silent-after-fork=yes $(LUA) $$(command -v busted)" \
		sh spec/run.sh $(filter-out $(IN_OTHERS:%=spec/%_spec.lua),$(SPECS))

docs: ## the reference as HTML, in build/docs
	@sh .ci/deps docs
	ldoc --fatalwarnings -d $(BUILD)/docs -o index .
	@cp docs/*.png docs/*.svg $(BUILD)/docs/topics

rock: ## check the rockspec, and build and install by it into build/rock
	@sh .ci/deps build rock
	luarocks lint qvm-scm-1.rockspec
	@rm -rf $(BUILD)/rock $(BUILD)/rock-source
	@mkdir -p $(BUILD)/rock-source
	@cp -R csrc lua docs examples config.ld Makefile qvm-scm-1.rockspec README.md LICENSE \
		$(BUILD)/rock-source
	cd $(BUILD)/rock-source && luarocks --lua-version 5.4 make --deps-mode=none \
		--tree=../rock qvm-scm-1.rockspec

# The interpreter in the first line of a command: an absolute LUA, or what $PATH has as lua5.4.
COMMAND_LUA = $(if $(filter /%,$(LUA)),$(LUA),lua5.4)

# Quoted: the directories of an installation may have spaces in their names.
install: all ## install below $(DESTDIR)$(PREFIX)
	install -d "$(DESTDIR)$(LIBDIR)/qvm" "$(DESTDIR)$(BINDIR)" \
		"$(DESTDIR)$(PREFIX)/libexec/qvm" "$(DESTDIR)$(PREFIX)/share/qvm/luacats/qvm"
	for file in $(LUA_FILES:lua/%=%); do \
		install -D -m 644 lua/$$file "$(DESTDIR)$(LUADIR)/$$file" || exit 1; done
	install -m 644 $(HELP) "$(DESTDIR)$(LUADIR)/qvm"
	install -m 755 $(MODULE_SO) "$(DESTDIR)$(LIBDIR)/qvm"
	for name in $(COMMANDS); do \
		sed '1s|lua5\.4|$(COMMAND_LUA)|' examples/$$name.lua >$(BUILD)/qvm-$$name && \
		install -m 755 $(BUILD)/qvm-$$name "$(DESTDIR)$(BINDIR)" || exit 1; done
	install -m 755 $(SIMULATOR) "$(DESTDIR)$(PREFIX)/libexec/qvm"
	install -m 644 $(BUILD)/luacats/qvm.lua "$(DESTDIR)$(PREFIX)/share/qvm/luacats"
	install -m 644 $(BUILD)/luacats/qvm/*.lua "$(DESTDIR)$(PREFIX)/share/qvm/luacats/qvm"

clean: ## remove what was built
	rm -rf $(BUILD)

.PHONY: helpers
helpers: $(HELPERS)

$(MODULE_SO): $(MODULE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(RELRO) $(LDFLAGS) -shared $(PTHREAD) -o $@ $^ $(LIBS)

$(SIMULATOR): $(SIM_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(RELRO) $(LDFLAGS) $(PTHREAD) -o $@ $^

$(HELP) $(STUBS) &: $(LUA_FILES) config.ld docs/reference.lua $(wildcard docs/reference/*.lua) \
		| $(LUA_CHECKED)
	@mkdir -p $(BUILD)/qvm $(BUILD)/luacats/qvm
	$(LUA) docs/reference.lua $(BUILD)

CORE_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(CORE_SRC))

$(BUILD)/helpers/%: spec/helpers/%.c $(CORE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) $(CFLAGS) $(LDFLAGS) -Icsrc/core $(PTHREAD) -o $@ $^ $(LIBS)

$(BUILD)/bench/bound: $(addprefix spec/bench/,bound.c loads.c scans.c bound.h)
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
	$(CC) $(FLAGS) $(WARNINGS) $(HARDEN) $(CFLAGS) -Icsrc/sim $(PTHREAD) -MMD -MP -c -o $@ $<

$(BUILD)/obj/csrc/core/%.o: csrc/core/%.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) $(HARDEN) $(CFLAGS) $(MODULE) -Icsrc/core $(PTHREAD) -MMD -MP \
		-c -o $@ $<

# Said once, before another Lua's headers fail in a hundred compiler errors, or another
# interpreter in the first script.
NEEDS_LUA = { echo "qvm needs Lua 5.4: $(1)" >&2; exit 1; }

$(LUA_CHECKED):
	@mkdir -p $(@D)
	@$(LUA) -e 'assert(_VERSION == "Lua 5.4")' 2>/dev/null || \
		$(call NEEDS_LUA,$(LUA) is not that: give LUA=)
	@$(CC) -E -Icsrc/core -I"$(LUA_INCDIR)" csrc/lua/binding.h >/dev/null || \
		$(call NEEDS_LUA,its lua.h is not in $(LUA_INCDIR): give LUA_INCDIR=)
	@touch $@

$(BUILD)/obj/csrc/lua/%.o: csrc/lua/%.c | $(LUA_CHECKED)
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) $(HARDEN) $(CFLAGS) $(MODULE) -Icsrc/core -I"$(LUA_INCDIR)" \
		-MMD -MP -c -o $@ $<

# The files for QNX, against declarations written from QNX's public documentation: shows that
# they are C, not that they work.
QNX_OBJ := $(patsubst csrc/core/%.c,%.o,$(wildcard csrc/core/*/*_qnx.c))

$(BUILD)/%_qnx.o: csrc/core/%_qnx.c $(wildcard spec/qnx/include/*.h spec/qnx/include/sys/*.h)
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) $(CFLAGS) -D__QNXNTO__ -Icsrc/core -Ispec/qnx/include -c -o $@ $<

-include $(MODULE_OBJ:.o=.d) $(SIM_OBJ:.o=.d)

# What the folders of specs add: fuzzing, other targets, races and the like; and the pictures
# of the documents.
include $(wildcard spec/*/*.mk docs/*/*.mk)
