# Builds and tests the QNX files of the core on Linux, with declarations and a fake of QNX's
# calls, both written from QNX's public documentation. This only shows that the files work
# if the documentation was understood correctly.
QNX_SPEC := $(wildcard spec/qnx/*.[ch])
QNX_TEST := $(BUILD)/qnx/host_test $(BUILD)/qnx/slog2_test

.PHONY: test-qnx

test-qnx: $(QNX_TEST) ## test the QNX files of the core on a fake of QNX's calls
	@for test in $(QNX_TEST); do $$test || exit 1; done
	@$(MAKE) -s STAGE=$(BUILD)/qnx/stage all qnx-stage
	@sh spec/qnx/stage_test.sh $(BUILD)/qnx/stage $(BUILD)

$(BUILD)/qnx/host_test: $(addprefix $(BUILD)/qnx/,host/vm_server_qnx.o host/vm_thread_qnx.o host/dir_watch_qnx.o \
		host/vm_server.o util/os_qnx.o util/os_posix.o util/retry.o util/error.o) \
		spec/qnx/fake.c spec/qnx/host_test.c
$(BUILD)/qnx/slog2_test: $(addprefix $(BUILD)/qnx/,host/slog2.o util/error.o) \
		spec/qnx/slog2_test.c spec/qnx/slog2_fake.c
$(QNX_TEST): spec/qnx/fake.h $(C_FLAGS)
	$(CC) $(FLAGS) $(WARNINGS) -Werror $(CFLAGS) $(LDFLAGS) -Icsrc/core -Ispec/qnx/include \
		-o $@ $(filter %.c %.o,$^)

$(BUILD)/qnx/%.o: csrc/core/%.c $(wildcard csrc/core/*/*.h spec/qnx/*.h spec/qnx/include/*.h \
		spec/qnx/include/*/*.h) $(C_FLAGS)
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) -Werror $(CFLAGS) -D__QNXNTO__ -Icsrc/core -Ispec/qnx/include \
		-include spec/qnx/fake_names.h -c -o $@ $<

# The log reader for QNX and its binding, on the fake: for spec/support/slog2.lua.
SLOG2_FAKE := $(BUILD)/qnx/slog2_fake.so
SLOG2_SRC  := csrc/core/host/slog2.c spec/qnx/slog2_fake.c spec/qnx/slog2_fake_lua.c

helpers: $(SLOG2_FAKE)
HELPERS += $(SLOG2_FAKE)
INJECT  += $(SLOG2_FAKE)

$(SLOG2_FAKE): $(SLOG2_SRC) $(MODULE_OBJ) spec/qnx/slog2_fake.h \
		spec/qnx/include/slog2_parse.h $(C_FLAGS) $(LUA_FLAGS)
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARNINGS) $(CFLAGS) $(MODULE) $(LDFLAGS) -D__QNXNTO__ -Icsrc/core \
		-Icsrc/lua -Ispec/qnx/include -I"$(LUA_INCDIR)" -shared $(PTHREAD) -o $@ $(SLOG2_SRC) \
		$(filter-out %/host/slog2.o,$(MODULE_OBJ)) $(LIBS)

C_GROUPS += qnx
qnx_C     := $(filter %.c,$(QNX_SPEC)) $(filter %_qnx.c,$(CORE_SRC))
qnx_FLAGS := $(FLAGS) -D__QNXNTO__ -Icsrc/core -Icsrc/lua -Ispec/qnx/include -I"$(LUA_INCDIR)"

# The files for a target. A compiler that is not for QNX builds against the declarations; the
# result cannot run anywhere.
STAGE      ?= $(BUILD)/qnx-stage
QNX_BUILD  := $(BUILD)/qnx/target
QNX_MODULE := $(QNX_BUILD)/qvm/core.so

.PHONY: qnx-stage

qnx-stage: $(HELP) ## put the files for a QNX target into STAGE: CC="qcc -V..."
	@mkdir -p $(QNX_BUILD)
	@printf '#ifndef __QNXNTO__\n#error\n#endif\nint probe;\n' >$(QNX_BUILD)/probe.c
	@if $(CC) -c -o $(QNX_BUILD)/probe.o $(QNX_BUILD)/probe.c 2>/dev/null; then \
		$(MAKE) -s BUILD=$(QNX_BUILD) LIBS="-lz -lslog2parse" PTHREAD= $(QNX_MODULE) && \
		state="Built for QNX by: $(CC)"; \
	else \
		$(MAKE) -s BUILD=$(QNX_BUILD) PTHREAD= CFLAGS="$(CFLAGS) -Werror -U__linux__ -D__QNXNTO__ \
			-Ispec/qnx/include" $(QNX_MODULE) && \
		state="CANNOT RUN: built against declarations, by a compiler that is not for QNX."; \
	fi && sh spec/qnx/stage.sh $(STAGE) $(QNX_MODULE) $(HELP) "$$state"
