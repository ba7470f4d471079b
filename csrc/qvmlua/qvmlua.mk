# qvmlua: one executable that contains Lua, lua-cjson, argparse, qvm and the commands.
#
# Lua and lua-cjson are the static libraries of Debian's packages, or are compiled from
# LUA_SOURCE and CJSON_SOURCE: the unpacked directories of their releases. For QNX, which has
# no such libraries, both are needed; the libraries that QNX has are linked as qcc links them.
LUA_SOURCE   ?=
CJSON_SOURCE ?=

VALUES_lua += $(CJSON_SOURCE)

QVMLUA     := $(BUILD)/qvmlua/qvmlua
QVMLUA_SRC := csrc/qvmlua/main.c
IS_QNX     := $(findstring -lslog2parse,$(LIBS))

ifdef LUA_SOURCE
LUA_INCDIR  := $(LUA_SOURCE)/src
QVMLUA_LUA  := $(patsubst $(LUA_SOURCE)/src/%.c,$(BUILD)/qvmlua/lua/%.o, \
	$(filter-out %/lua.c %/luac.c,$(wildcard $(LUA_SOURCE)/src/*.c)))
else
QVMLUA_LUA  := -llua5.4
endif
ifdef CJSON_SOURCE
QVMLUA_CJSON := $(addprefix $(BUILD)/qvmlua/cjson/,lua_cjson.o strbuf.o fpconv.o)
else
QVMLUA_CJSON := -llua5.4-cjson
endif
ifdef IS_QNX
QVMLUA_NEEDS := $(if $(LUA_SOURCE),,LUA_SOURCE) $(if $(CJSON_SOURCE),,CJSON_SOURCE)
else
QVMLUA_LINK := -static-pie -Wl,--wrap=dlopen,--wrap=dlerror
QVMLUA_SRC  += csrc/qvmlua/no_dlopen.c
endif

QVMLUA_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(QVMLUA_SRC)) $(BUILD)/qvmlua/sources.o
# What was compiled from given sources: files, not -l options.
QVMLUA_GIVEN := $(filter %.o,$(QVMLUA_LUA) $(QVMLUA_CJSON))

.PHONY: qvmlua qvmlua-arm64 test-qvmlua test-qvmlua-arm64

qvmlua: ## link one static executable with Lua, qvm and the commands: build/qvmlua/qvmlua
	@$(if $(strip $(QVMLUA_NEEDS)),echo "qvmlua for QNX needs sources: set $(strip $(QVMLUA_NEEDS))" >&2; exit 1)
	@sh .ci/deps build commands $(if $(IS_QNX)$(CJSON_SOURCE),,qvmlua)
	@$(MAKE) -s $(JOBS) $(QVMLUA)
	@ls -l $(QVMLUA)

qvmlua-arm64: ## the same for Linux on aarch64: build/cross/arm64/qvmlua/qvmlua
	@sh .ci/deps build commands qvmlua-arm64
	@$(MAKE) -s $(HELP)
	@sh spec/cross/sysroot.sh arm64 $(BUILD)/cross/arm64/root
	@$(MAKE) -s $(JOBS) BUILD=$(BUILD)/cross/arm64 LDFLAGS= \
		CC="aarch64-linux-gnu-gcc --sysroot=$(abspath $(BUILD)/cross/arm64/root)" \
		LUA_INCDIR=$(abspath $(BUILD)/cross/arm64/root)/usr/include/lua5.4 \
		$(BUILD)/cross/arm64/qvmlua/qvmlua
	@ls -l $(BUILD)/cross/arm64/qvmlua/qvmlua

test-qvmlua: ## build qvmlua and run its specs; as root also in an empty root directory
	@sh .ci/deps build test qvmlua races
	@$(MAKE) -s all qvmlua
	@QVM_BUILD="$(BUILD)" QVMLUA="$(abspath $(QVMLUA))" \
		busted --run=qvmlua --lua="$$(command -v $(LUA))"

test-qvmlua-arm64: ## the same for aarch64, emulated
	@sh .ci/deps build test races qvmlua-arm64
	@$(MAKE) -s all qvmlua-arm64
	@QVM_BUILD="$(BUILD)" QVMLUA="$(abspath $(BUILD))/cross/arm64/qvmlua/qvmlua" \
		QVMLUA_RUN="$$(command -v qemu-aarch64-static)" \
		busted --run=qvmlua --lua="$$(command -v $(LUA))"

$(QVMLUA): $(MODULE_OBJ) $(QVMLUA_OBJ) $(QVMLUA_GIVEN)
	$(CC) $(CFLAGS) $(RELRO) $(LDFLAGS) $(QVMLUA_LINK) -s $(PTHREAD) -o $@ $(MODULE_OBJ) \
		$(QVMLUA_OBJ) $(QVMLUA_CJSON) $(QVMLUA_LUA) $(LIBS) -lm

$(QVMLUA) $(QVMLUA_OBJ) $(QVMLUA_GIVEN): $(C_FLAGS) $(LUA_FLAGS)

$(BUILD)/qvmlua/sources.c: csrc/qvmlua/embed.lua csrc/qvmlua/main.lua csrc/qvmlua/licences.txt \
		$(LUA_FILES) $(HELP) $(COMMANDS:%=examples/%.lua)
	@mkdir -p $(@D)
	$(LUA) csrc/qvmlua/embed.lua $@ "$(COMMANDS)" $(HELP) \
		$(filter-out lua/qvm/start.lua,$(LUA_FILES))

$(BUILD)/qvmlua/sources.o: $(BUILD)/qvmlua/sources.c csrc/qvmlua/sources.h
	$(CC) $(FLAGS) $(WARNINGS) $(CFLAGS) $(MODULE) -Icsrc/qvmlua -c -o $@ $<

$(BUILD)/obj/csrc/qvmlua/%.o: csrc/qvmlua/%.c csrc/qvmlua/sources.h | $(LUA_CHECKED)
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) $(HARDEN) $(CFLAGS) $(MODULE) -I"$(LUA_INCDIR)" $(INCLUDE_ZLIB) \
		-c -o $@ $<

# As Lua's own makefile compiles it, but without LUA_USE_DLOPEN: Lua then loads no C modules.
# LUA_USE_POSIX has io.popen.
$(BUILD)/qvmlua/lua/%.o: $(LUA_SOURCE)/src/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu99 -w $(HARDEN) $(CFLAGS) $(MODULE) -DLUA_USE_POSIX -DLUA_COMPAT_5_3 \
		-c -o $@ $<

# lua-cjson 2.1.0 uses names of Lua 5.1, which LUA_COMPAT_5_3 declares.
$(BUILD)/qvmlua/cjson/%.o: $(CJSON_SOURCE)/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu99 -w $(HARDEN) $(CFLAGS) $(MODULE) -DLUA_COMPAT_5_3 -I"$(LUA_INCDIR)" -c -o $@ $<

C_GROUPS += qvmlua
qvmlua_C     := $(QVMLUA_SRC)
qvmlua_FLAGS := $(FLAGS) -I$(LUA_INCDIR)
