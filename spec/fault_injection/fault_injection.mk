# Failing allocations, failing system calls, an eager garbage collector, coverage.

INJECT     := $(BUILD)/fault_injection/host
INJECT_SRC := $(addprefix spec/fault_injection/,host.c memory.c system.c)

# Makes malloc return freed memory to the system, so that a process's size is the memory it
# uses; and threads their stacks.
GIVES_BACK := MALLOC_MMAP_THRESHOLD_=65536 MALLOC_TRIM_THRESHOLD_=65536 MALLOC_ARENA_MAX=1 \
	GLIBC_TUNABLES=glibc.pthread.stack_cache_size=0

.PHONY: test-starve
test-starve: ## make allocations and system calls fail in every public call
	@sh .ci/deps build test
	@$(MAKE) -s all $(INJECT)
	@QVM_BUILD="$(BUILD)" $(GIVES_BACK) busted --run=starve --lua="$$(command -v $(LUA))"

# QVM_GC=incremental selects the collector's other mode.
.PHONY: test-gc
test-gc: ## run the specs with an eager garbage collector
	@sh .ci/deps build test
	@$(MAKE) -s all $(HELPERS)
	@LUA_INIT_5_4="@$(CURDIR)/spec/fault_injection/gc.lua" QVM_BUILD="$(BUILD)" \
		busted --lua="$$(command -v $(LUA))"

C_GROUPS += fault_injection
fault_injection_C     := $(wildcard spec/fault_injection/*.c)
fault_injection_FLAGS := -std=gnu11 -D_GNU_SOURCE -I$(LUA_INCDIR)

COVERAGE := $(BUILD)/coverage

# Runs the fault injection specs as well, since many error paths are reached only by them. A spec
# may fail here and not in `make test`: the hook that counts lines replaces the one that Ctrl-C
# sets, and another user's process cannot write its counts.
.PHONY: coverage
coverage: ## count the lines and branches that the specs run
	@sh .ci/deps build test coverage
	@$(MAKE) -s BUILD=$(COVERAGE) CFLAGS="-O0 -g --coverage -fprofile-update=atomic" all \
		helpers $(COVERAGE)/fault_injection/host $(COVERAGE)/lines.so
	@find $(COVERAGE) -name '*.gcda' -delete
	@rm -rf $(COVERAGE)/lines && mkdir -p $(COVERAGE)/lines
	-@QVM_BUILD=$(COVERAGE) QVM_LINES="$(CURDIR)/$(COVERAGE)/lines" \
		LUA_INIT_5_4="@$(CURDIR)/spec/fault_injection/lines.lua" busted --lua="$$(command -v $(LUA))"
	-@QVM_BUILD=$(COVERAGE) QVM_LINES="$(CURDIR)/$(COVERAGE)/lines" \
		LUA_INIT_5_4="@$(CURDIR)/spec/fault_injection/lines.lua" \
		$(GIVES_BACK) busted --run=starve --lua="$$(command -v $(LUA))"
	@gcovr -r . --object-directory $(COVERAGE) --exclude-directories '$(COVERAGE)/qnx' -f csrc/core -f csrc/lua \
		--json-summary $(COVERAGE)/coverage.json --txt $(COVERAGE)/coverage.txt
	@$(LUA) spec/fault_injection/coverage.lua $(COVERAGE)

$(INJECT) $(BUILD)/lines.so: $(C_FLAGS)

$(BUILD)/lines.so: spec/fault_injection/lines.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -Wall -Wextra -O1 -fPIC -shared -I$(LUA_INCDIR) -o $@ $<

# Built without sanitizers: it intercepts the calls between the module and the C library.
$(INJECT): $(INJECT_SRC) spec/fault_injection/fault_injection.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -O1 -g -I$(LUA_INCDIR) -rdynamic -pthread \
		-o $@ $(INJECT_SRC) -llua5.4 -ldl
