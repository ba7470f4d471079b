# Signals, races and load. `make torture` needs root because it creates namespaces.

RACES := $(BUILD)/concurrency/churn $(BUILD)/concurrency/delay.so $(BUILD)/concurrency/host
TSAN  := -O1 -g -fsanitize=thread

.PHONY: test-races torture

test-races: ## run the specs of races between VMs, files, threads and processes
	@sh .ci/deps build test races
	@$(MAKE) -s all $(HELPERS) $(RACES)
	@$(MAKE) -s BUILD=$(BUILD)/tsan CFLAGS="$(TSAN)" $(BUILD)/tsan/qvm/core.so \
		$(BUILD)/tsan/concurrency/host
	@QVM_BUILD="$(BUILD)" QVM_TSAN="$(CURDIR)/$(BUILD)/tsan" busted --run=races --lua="$$(command -v $(LUA))"

torture: ## send 100000 signals while VMs end and process ids are reused
	@sh .ci/deps build test races
	@$(MAKE) -s all $(HELPERS) $(RACES)
	@QVM_BUILD="$(BUILD)" QVM_TRIGGERS=100000 busted --run=races \
		--lua="$$(command -v $(LUA))" spec/concurrency/torture_races.lua

$(RACES): $(C_FLAGS)

$(BUILD)/concurrency/churn: spec/concurrency/churn.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

$(BUILD)/concurrency/host: spec/concurrency/host.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) $(CFLAGS) $(LDFLAGS) -I$(LUA_INCDIR) -pthread -o $@ $< -llua5.4

$(BUILD)/concurrency/delay.so: spec/concurrency/delay.c spec/helpers/opens.h
	@mkdir -p $(@D)
	$(CC) -std=c11 -Wall -Wextra $(CFLAGS) -fPIC -shared -o $@ $< -ldl

C_GROUPS += concurrency
concurrency_C     := $(wildcard spec/concurrency/*.c)
concurrency_FLAGS := $(FLAGS) -Icsrc/core -I$(LUA_INCDIR)

.PHONY: soak
soak: ## run 1000 VMs, then 8 under mixed load for TIME=600 seconds
	@sh .ci/deps build test
	@$(MAKE) -s all
	@QVM_BUILD="$(BUILD)" LUA="$(LUA)" $(LUA) spec/concurrency/many.lua
	@QVM_BUILD="$(BUILD)" LUA="$(LUA)" MALLOC_MMAP_THRESHOLD_=65536 \
		$(LUA) spec/concurrency/soak.lua $(or $(TIME),600)
