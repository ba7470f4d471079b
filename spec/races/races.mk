# Signals, races and load. `make torture` needs root, since it makes namespaces.

RACES := $(BUILD)/races/churn $(BUILD)/races/delay.so $(BUILD)/races/host
TSAN  := -O1 -g -fsanitize=thread

.PHONY: test-races torture

test-races: ## run the specs of races between VMs, files, threads and processes
	@sh .ci/deps build test races
	@$(MAKE) -s all $(HELPERS) $(RACES)
	@$(MAKE) -s BUILD=$(BUILD)/tsan CFLAGS="$(TSAN)" $(BUILD)/tsan/qvm/core.so \
		$(BUILD)/tsan/races/host
	@QVM_BUILD="$(BUILD)" QVM_TSAN="$(CURDIR)/$(BUILD)/tsan" busted --run=races --lua="$$(command -v $(LUA))"

torture: ## send 100000 signals while VMs end and process ids are reused
	@sh .ci/deps build test races
	@$(MAKE) -s all $(HELPERS) $(RACES)
	@QVM_BUILD="$(BUILD)" QVM_TRIGGERS=100000 busted --run=races \
		--lua="$$(command -v $(LUA))" spec/races/torture_races.lua

$(RACES): $(C_FLAGS)

$(BUILD)/races/churn: spec/races/churn.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

$(BUILD)/races/host: spec/races/host.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) $(CFLAGS) $(LDFLAGS) -I$(LUA_INCDIR) -pthread -o $@ $< -llua5.4

$(BUILD)/races/delay.so: spec/races/delay.c spec/helpers/opens.h
	@mkdir -p $(@D)
	$(CC) -std=c11 -Wall -Wextra $(CFLAGS) -fPIC -shared -o $@ $< -ldl

C_GROUPS += races
races_C     := $(wildcard spec/races/*.c)
races_FLAGS := $(FLAGS) -Icsrc/core -I$(LUA_INCDIR)

.PHONY: soak
soak: ## run 1000 VMs, then 8 under mixed load for TIME=600 seconds
	@sh .ci/deps build test
	@$(MAKE) -s all
	@QVM_BUILD="$(BUILD)" LUA="$(LUA)" $(LUA) spec/races/many.lua
	@QVM_BUILD="$(BUILD)" LUA="$(LUA)" MALLOC_MMAP_THRESHOLD_=65536 \
		$(LUA) spec/races/soak.lua $(or $(TIME),600)
