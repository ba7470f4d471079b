# Fuzzing with libFuzzer (clang): docs/fuzzing.md. The core is built with lower limits
# (csrc/core/util/limits.h), so that small inputs reach them.

FUZZ      := $(BUILD)/fuzz
FUZZ_TIME = $(or $(TIME),60)
FUZZ_CC   := clang

FUZZ_C       := $(patsubst spec/fuzz/targets/%.c,%,$(wildcard spec/fuzz/targets/*.c))
FUZZ_LUA     := $(patsubst spec/fuzz/lua/%.lua,%,$(wildcard spec/fuzz/lua/*.lua))
FUZZ_TARGETS := $(FUZZ_C) $(FUZZ_LUA)
FUZZ_CHOSEN  = $(or $(TARGET),$(FUZZ_TARGETS))

FUZZ_SHARED  := fuzz faults dumps
FUZZ_OTHER   := $(patsubst spec/fuzz/%.c,%,$(wildcard spec/fuzz/*.c))
FUZZ_MUTATE  := elf symbols
FUZZ_CORE    := $(CORE_SRC:csrc/core/%.c=%.o)
FUZZ_BINDING := $(notdir $(LUA_SRC:.c=.o))
FUZZ_WRAP    := $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc free strdup pread64 read \
	pthread_create)

FUZZ_FLAGS := -std=c11 -D_POSIX_C_SOURCE=200809L -D_FILE_OFFSET_BITS=64 -O1 -g \
	-fno-omit-frame-pointer -pthread -MMD -MP -Ispec/fuzz -I$(LUA_INCDIR) \
	-Icsrc/core -DQVM_LOW_LIMITS -Wall -Wextra
FUZZ_VALUES := $(BUILD)/flags/fuzz
VALUES_fuzz  = $(FUZZ_CC) $(FUZZ_FLAGS) $(LIBS)
FUZZ_CHECKS := -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_COVER  := -fsanitize=fuzzer-no-link -fprofile-instr-generate -fcoverage-mapping

.PHONY: fuzz fuzz-ci fuzz-coverage fuzz-save fuzz-afl fuzz-seeds fuzz-build

fuzz: fuzz-build fuzz-seeds ## search inputs that break the parsers: TARGET=json TIME=60
	@sh spec/fuzz/run.sh $(FUZZ) $(FUZZ_TIME) $(FUZZ_CHOSEN)

fuzz-ci: fuzz-build fuzz-seeds ## fuzz all targets, 20 seconds each
	@sh spec/fuzz/run.sh $(FUZZ) 20 $(FUZZ_CHOSEN)

fuzz-save: fuzz-build fuzz-seeds ## keep the inputs of build/fuzz/corpus that add coverage
	@sh spec/fuzz/save.sh $(FUZZ) $(FUZZ_CHOSEN)

fuzz-coverage: fuzz-seeds ## list the lines and branches that the inputs reach
	@sh .ci/deps build fuzz fuzz-coverage
	@$(MAKE) -s $(addprefix $(FUZZ)/cov/,$(FUZZ_CHOSEN))
	@$(LUA) spec/fuzz/coverage.lua $(FUZZ) $(FUZZ_CHOSEN)

fuzz-afl: fuzz-seeds ## fuzz the target elf with AFL++: TIME=60
	@sh .ci/deps build fuzz afl
	@$(MAKE) -s $(FUZZ)/afl/elf
	@sh spec/fuzz/afl.sh $(FUZZ) $(FUZZ_TIME)

fuzz-build:
	@sh .ci/deps build fuzz
	@$(MAKE) -s $(addprefix $(FUZZ)/bin/,$(FUZZ_CHOSEN))

fuzz-seeds:
	@sh .ci/deps build
	@$(LUA) spec/fuzz/seeds.lua $(FUZZ)/seeds

C_GROUPS += fuzz
fuzz_C     := $(wildcard spec/fuzz/*.c spec/fuzz/targets/*.c)
fuzz_FLAGS := -std=c11 -D_POSIX_C_SOURCE=200809L -DSCRIPT='"env"' -Icsrc/core -Ispec/fuzz \
	-I$(LUA_INCDIR)

# $(1): the directory; $(2), $(3): flags to compile the core and binding, and the fuzzer's
# own files; $(4): flags to link. The fuzzer's own files are not instrumented, since their
# coverage would mislead the search.
define FUZZ_RULES
$(FUZZ_CORE:%=$(FUZZ)/$(1)/core/%): $(FUZZ)/$(1)/core/%.o: csrc/core/%.c $(FUZZ_VALUES)
	@mkdir -p $$(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) $(2) -c -o $$@ $$<

$(FUZZ_BINDING:%=$(FUZZ)/$(1)/binding/%): $(FUZZ)/$(1)/binding/%.o: csrc/lua/%.c \
		$(FUZZ_VALUES)
	@mkdir -p $$(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) $(2) -c -o $$@ $$<

$(FUZZ_OTHER:%=$(FUZZ)/$(1)/shared/%.o): $(FUZZ)/$(1)/shared/%.o: spec/fuzz/%.c $(FUZZ_VALUES)
	@mkdir -p $$(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) $(3) -c -o $$@ $$<

$(FUZZ_C:%=$(FUZZ)/$(1)/targets/%.o): $(FUZZ)/$(1)/targets/%.o: spec/fuzz/targets/%.c \
		$(FUZZ_VALUES)
	@mkdir -p $$(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) $(3) -c -o $$@ $$<

$(FUZZ_LUA:%=$(FUZZ)/$(1)/scripts/%.o): $(FUZZ)/$(1)/scripts/%.o: spec/fuzz/script.c $(FUZZ_VALUES)
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
# AFL++ fuzzes the core with its normal limits.
$(FUZZ)/afl/elf: spec/fuzz/targets/elf.c $(FUZZ_SHARED:%=spec/fuzz/%.c) $(CORE_SRC)
	@mkdir -p $(@D)
	AFL_QUIET=1 afl-clang-fast -std=c11 -D_POSIX_C_SOURCE=200809L -D_FILE_OFFSET_BITS=64 -O1 \
		-g -Icsrc/core -Ispec/fuzz -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -pthread $(FUZZ_WRAP) -o $@ $^ $(LIBS)

$(eval $(call FUZZ_RULES,cov,$(FUZZ_COVER),,-fsanitize=fuzzer -fprofile-instr-generate))

-include $(wildcard $(FUZZ)/bin/*/*.d $(FUZZ)/bin/*/*/*.d $(FUZZ)/cov/*/*.d $(FUZZ)/cov/*/*/*.d)
