# Failed allocations, failed system calls, an eager garbage collector, coverage.

STARVE     := $(BUILD)/starve/host
STARVE_SRC := $(addprefix spec/starve/,host.c memory.c system.c)

# malloc returns freed memory to the system, so that a process's size is the memory it uses.
GIVES_BACK := MALLOC_MMAP_THRESHOLD_=65536 MALLOC_TRIM_THRESHOLD_=65536 MALLOC_ARENA_MAX=1

.PHONY: test-starve
test-starve: ## make allocations and system calls fail in every public call
	@sh .ci/deps build test
	@$(MAKE) -s all $(STARVE)
	@QVM_BUILD="$(BUILD)" $(GIVES_BACK) busted --run=starve --lua="$$(command -v $(LUA))"

# QVM_GC=incremental selects the collector's other mode.
.PHONY: test-gc
test-gc: ## run the specs with an eager garbage collector
	@sh .ci/deps build test
	@$(MAKE) -s all $(HELPERS)
	@LUA_INIT_5_4="@$(CURDIR)/spec/starve/gc.lua" QVM_BUILD="$(BUILD)" \
		busted --lua="$$(command -v $(LUA))"

C_GROUPS += starve
starve_C     := $(wildcard spec/starve/*.c)
starve_FLAGS := -std=gnu11 -D_GNU_SOURCE -I$(LUA_INCDIR)

COVERAGE := $(BUILD)/coverage

# Runs the specs of failures too, since only they reach many error paths.
.PHONY: coverage
coverage: ## count the lines and branches that the specs run
	@sh .ci/deps build test coverage
	@$(MAKE) -s BUILD=$(COVERAGE) CFLAGS="-O0 -g --coverage -fprofile-update=atomic" all \
		helpers $(COVERAGE)/starve/host $(COVERAGE)/lines.so
	@find $(COVERAGE) -name '*.gcda' -delete
	@rm -rf $(COVERAGE)/lines && mkdir -p $(COVERAGE)/lines
	@QVM_BUILD=$(COVERAGE) QVM_LINES="$(CURDIR)/$(COVERAGE)/lines" \
		LUA_INIT_5_4="@$(CURDIR)/spec/starve/lines.lua" busted --lua="$$(command -v $(LUA))"
	@QVM_BUILD=$(COVERAGE) QVM_LINES="$(CURDIR)/$(COVERAGE)/lines" \
		LUA_INIT_5_4="@$(CURDIR)/spec/starve/lines.lua" \
		$(GIVES_BACK) busted --run=starve --lua="$$(command -v $(LUA))"
	@gcovr -r . --object-directory $(COVERAGE) -f csrc/core -f csrc/lua \
		--json-summary $(COVERAGE)/coverage.json --txt $(COVERAGE)/coverage.txt
	@$(LUA) spec/starve/coverage.lua $(COVERAGE)

$(STARVE) $(BUILD)/lines.so: $(C_FLAGS)

$(BUILD)/lines.so: spec/starve/lines.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -Wall -Wextra -O1 -fPIC -shared -I$(LUA_INCDIR) -o $@ $<

# Built without sanitizers: it intercepts the calls between the module and the C library.
$(STARVE): $(STARVE_SRC) spec/starve/starve.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -O1 -g -I$(LUA_INCDIR) -rdynamic -pthread \
		-o $@ $(STARVE_SRC) -llua5.4 -ldl
