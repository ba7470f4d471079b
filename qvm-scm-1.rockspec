rockspec_format = "3.0"
package = "qvm"
version = "scm-1"
source = {
  url = "git+file://.",
}
description = {
  summary = "Virtual machines of a QNX Hypervisor host, from Lua",
  detailed = [[
    Finds the VMs of a QNX Hypervisor host, reads their env documents (vCPU
    thread ids, errata), asks for status text and guest dumps without ever
    signalling a wrong process, and reads the dumps: memory, registers, text.
    With a simulator for Linux. Never run on a QNX system so far.]],
  license = "MIT",
  labels = {"qnx", "hypervisor", "dump", "elf"},
}
supported_platforms = {"linux"}
dependencies = {
  "lua ~> 5.4",
  "lua-cjson >= 2.1.0",
  "argparse >= 0.7.0",
}
external_dependencies = {
  ZLIB = {header = "zlib.h"},
}
test_dependencies = {
  "busted >= 2.1",
}
test = {
  type = "command",
  command = "make test",
}
-- A wrapper would load luarocks.loader, which the current directory may have.
deploy = {
  wrap_bin_scripts = false,
}
build = {
  type = "make",
  variables = {
    CFLAGS = "$(CFLAGS)",
    LUA = "$(LUA)",
    LUA_INCDIR = "$(LUA_INCDIR)",
  },
  install_variables = {
    LUA = "$(LUA)",
    PREFIX = "$(PREFIX)",
    LUADIR = "$(LUADIR)",
    LIBDIR = "$(LIBDIR)",
    BINDIR = "$(BINDIR)",
  },
}
