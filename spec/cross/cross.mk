# The specs with the library built for another architecture, under QEMU's user mode. The
# module, Lua and the modules busted needs are that architecture's; the kernel, the simulator
# and the other programs that the specs start are this machine's. PORT is the architecture by
# the name of Debian's port.
CROSS := arm64 s390x armhf

CROSS_TRIPLE_arm64 := aarch64-linux-gnu
CROSS_TRIPLE_s390x := s390x-linux-gnu
CROSS_TRIPLE_armhf := arm-linux-gnueabihf
CROSS_QEMU_arm64   := qemu-aarch64
CROSS_QEMU_s390x   := qemu-s390x
CROSS_QEMU_armhf   := qemu-arm

# The specs of what differs most between architectures: byte order, sizes, offsets, signals.
CROSS_SPECS := $(patsubst %,spec/%_spec.lua,guest/backtrace guest/dmesg guest/guest \
	dump/dump dump/dump_parts dump/dump_vcpus dump/hostile_dump dump/large_dump \
	dump/qemu_dump host/env_shapes host/signal json/json paging/address_space)

.PHONY: test-cross test-arm64 test-s390x test-armhf cross-specs

test-cross: ## run part of the specs on three other architectures, emulated
	@for port in $(CROSS); do \
		$(MAKE) -s cross-specs PORT=$$port SPECS="$(CROSS_SPECS)" || exit 1; done

test-arm64: ## run the specs on aarch64, emulated; SPECS=FILES for some of them
	@$(MAKE) -s cross-specs PORT=arm64
test-s390x: ## run the specs on s390x, emulated: most significant byte first
	@$(MAKE) -s cross-specs PORT=s390x
test-armhf: ## run the specs on 32-bit ARM, emulated
	@$(MAKE) -s cross-specs PORT=armhf

CROSS_BUILD := $(BUILD)/cross/$(PORT)
CROSS_ROOT  := $(abspath $(CROSS_BUILD))/root
CROSS_RUN   := $(CROSS_QEMU_$(PORT)) -L $(CROSS_ROOT)

cross-specs:
	@sh .ci/deps build test cross-$(PORT)
	@$(MAKE) -s all $(HELPERS)
	@sh spec/cross/sysroot.sh $(PORT) $(CROSS_BUILD)/root
	@$(MAKE) -s BUILD=$(CROSS_BUILD) CFLAGS="-O2 -Werror" LDFLAGS= \
		CC="$(CROSS_TRIPLE_$(PORT))-gcc --sysroot=$(CROSS_ROOT)" \
		LUA_INCDIR=$(CROSS_ROOT)/usr/include/lua5.4 $(CROSS_BUILD)/qvm/core.so \
		$(addprefix $(CROSS_BUILD)/,qvm/help_text.lua helpers/pause.so \
		qnx/slog2_fake.so)
	@CROSS_RUN="$(CROSS_RUN)" sh spec/cross/programs.sh $(CROSS_BUILD) $(BUILD)
	@unset MAKEFLAGS MAKEOVERRIDES MFLAGS; \
	LUA=$(abspath $(CROSS_BUILD)/lua5.4) QVM_BUILD=$(CROSS_BUILD) $(CROSS_BUILD)/lua5.4 \
		$(CROSS_ROOT)/usr/bin/busted $(SPECS)

.PHONY: musl lint-cross

musl: ## build and test the core with musl, without Lua
	@sh .ci/deps build musl
	@sh spec/cross/musl.sh $(BUILD)/musl $(FLAGS) $(WARNINGS)

C_GROUPS += cross
cross_C     := $(wildcard spec/cross/*.c)
cross_FLAGS := $(FLAGS) -Icsrc/core
