# Memory that runs out, system calls that fail, garbage collected at every turn, coverage.

STARVE     := $(BUILD)/starve/host
STARVE_SRC := $(addprefix spec/starve/,host.c memory.c system.c)

.PHONY: test-starve
test-starve: ## no memory, and system calls that fail, in every public call
	@sh .ci/deps build test
	@$(MAKE) -s all $(STARVE)
	@QVM_BUILD="$(BUILD)" busted --run=starve --lua="$$(command -v $(LUA))"

# Never sanitized itself: it stands between the module and the C library.
$(STARVE): $(STARVE_SRC) spec/starve/starve.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -O1 -g -I$(LUA_INCDIR) -rdynamic -pthread \
		-o $@ $(STARVE_SRC) -llua5.4 -ldl
