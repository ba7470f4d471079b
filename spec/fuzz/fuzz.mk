# Fuzzing by libFuzzer (clang): docs/fuzzing.md. The core is built with its limits scaled
# down (spec/fuzz/scale.lua), so that small inputs come to them.

FUZZ      := $(BUILD)/fuzz
FUZZ_TIME = $(or $(TIME),60)
FUZZ_CC   ?= clang
FUZZ_LLVM ?= $(shell llvm=$$(clang -print-prog-name=llvm-cov 2>/dev/null); dirname "$$llvm")

FUZZ_C       := $(patsubst spec/fuzz/targets/%.c,%,$(wildcard spec/fuzz/targets/*.c))
FUZZ_LUA     := $(patsubst spec/fuzz/lua/%.lua,%,$(wildcard spec/fuzz/lua/*.lua))
FUZZ_TARGETS := $(FUZZ_C) $(FUZZ_LUA)
FUZZ_CHOSEN  = $(or $(TARGET),$(FUZZ_TARGETS))

comma := ,
FUZZ_SHARED  := fuzz faults dumps
FUZZ_OTHER   := $(patsubst spec/fuzz/%.c,%,$(wildcard spec/fuzz/*.c))
FUZZ_MUTATE  := elf symbols
FUZZ_CORE    := $(notdir $(CORE_SRC:.c=.o))
FUZZ_BINDING := $(notdir $(LUA_SRC:.c=.o))
FUZZ_WRAP    := $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc strdup pread read \
	pthread_create)

FUZZ_FLAGS := -std=c11 -D_POSIX_C_SOURCE=200809L -D_FILE_OFFSET_BITS=64 -O1 -g \
	-fno-omit-frame-pointer -pthread -MMD -MP -Ispec/fuzz -I$(LUA_INCDIR) \
	-I$(FUZZ)/core -Wall -Wextra
FUZZ_CHECKS := -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_COVER  := -fsanitize=fuzzer-no-link -fprofile-instr-generate -fcoverage-mapping

FUZZ_RUN := -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=512

.PHONY: fuzz fuzz-build fuzz-ci fuzz-coverage fuzz-save fuzz-afl fuzz-seeds fuzz-deps

fuzz-deps:
	@sh .ci/deps build fuzz

fuzz: fuzz-build fuzz-seeds ## search for inputs that break the parsers: TARGET=json TIME=60
	@sh spec/fuzz/run.sh $(FUZZ) $(FUZZ_TIME) $(FUZZ_CHOSEN)

fuzz-build: fuzz-deps
	@$(MAKE) -s $(addprefix $(FUZZ)/bin/,$(FUZZ_CHOSEN))

fuzz-seeds:
	@$(MAKE) -s all
	@QVM_BUILD="$(BUILD)" $(LUA) spec/fuzz/seeds.lua $(FUZZ)/seeds

$(FUZZ)/core/.scaled: $(wildcard csrc/core/*.[ch]) spec/fuzz/scale.lua
	@mkdir -p $(@D)
	@$(LUA) spec/fuzz/scale.lua $(@D)
	@touch $@

# $(1): the folder; $(2), $(3): flags to compile what is fuzzed, what fuzzes it; $(4): flags to
# link. What fuzzes is not looked at for coverage: it would lead the search astray.
define FUZZ_RULES
$(FUZZ_CORE:%=$(FUZZ)/$(1)/core/%): $(FUZZ)/$(1)/core/%.o: $(FUZZ)/core/.scaled
	@mkdir -p $$(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) $(2) -c -o $$@ $(FUZZ)/core/$$*.c

$(FUZZ_BINDING:%=$(FUZZ)/$(1)/binding/%): $(FUZZ)/$(1)/binding/%.o: csrc/lua/%.c \
		$(FUZZ)/core/.scaled
	@mkdir -p $$(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) $(2) -c -o $$@ $$<

$(FUZZ_OTHER:%=$(FUZZ)/$(1)/shared/%.o): $(FUZZ)/$(1)/shared/%.o: spec/fuzz/%.c $(FUZZ)/core/.scaled
	@mkdir -p $$(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) $(3) -c -o $$@ $$<

$(FUZZ_C:%=$(FUZZ)/$(1)/targets/%.o): $(FUZZ)/$(1)/targets/%.o: spec/fuzz/targets/%.c \
		$(FUZZ)/core/.scaled
	@mkdir -p $$(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) $(3) -c -o $$@ $$<

$(FUZZ_LUA:%=$(FUZZ)/$(1)/scripts/%.o): $(FUZZ)/$(1)/scripts/%.o: spec/fuzz/script.c $(FUZZ)/core/.scaled
	@mkdir -p $$(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) $(3) -DSCRIPT='"$$*"' -c -o $$@ $$<

$(addprefix $(FUZZ)/$(1)/,$(FUZZ_C)): $(FUZZ)/$(1)/%: $(FUZZ)/$(1)/targets/%.o \
		$(addprefix $(FUZZ)/$(1)/core/,$(FUZZ_CORE)) \
		$(FUZZ_SHARED:%=$(FUZZ)/$(1)/shared/%.o)
	$(FUZZ_CC) $(4) -pthread $(FUZZ_WRAP) -o $$@ $$^ $(LIBS)

$(addprefix $(FUZZ)/$(1)/,$(FUZZ_LUA)): $(FUZZ)/$(1)/%: $(FUZZ)/$(1)/scripts/%.o \
		$(addprefix $(FUZZ)/$(1)/core/,$(FUZZ_CORE)) \
		$(addprefix $(FUZZ)/$(1)/binding/,$(FUZZ_BINDING)) \
		$(FUZZ_SHARED:%=$(FUZZ)/$(1)/shared/%.o)
	$(FUZZ_CC) $(4) -pthread $(FUZZ_WRAP) -o $$@ $$^ -llua5.4 $(LIBS)

$(addprefix $(FUZZ)/$(1)/,$(FUZZ_MUTATE)): $(FUZZ)/$(1)/shared/mutate_elf.o
endef

$(eval $(call FUZZ_RULES,bin,$(FUZZ_CHECKS) -fsanitize=fuzzer-no-link,$(FUZZ_CHECKS),-fsanitize=fuzzer$(comma)address$(comma)undefined))
$(eval $(call FUZZ_RULES,cov,$(FUZZ_COVER),,-fsanitize=fuzzer -fprofile-instr-generate))

-include $(wildcard $(FUZZ)/bin/*/*.d $(FUZZ)/cov/*/*.d)
