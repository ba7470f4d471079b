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
  "argparse >= 0.7.0", -- for the commands only: require "qvm" works without it
}
external_dependencies = {
  ZLIB = {header = "zlib.h", library = "z"},
}
-- `make test` also needs gdb, tmux and Python 3: .ci/deps has the Debian packages.
test_dependencies = {
  "busted >= 2.1",
  "luafilesystem >= 1.8",
  "luasocket >= 3.0",
  "luasystem >= 0.2",
  "readline >= 3.0",
}
test = {
  type = "command",
  command = "make test",
}
-- LuaRocks' wrapper scripts would load luarocks.loader from the current directory if that has
-- one.
deploy = {
  wrap_bin_scripts = false,
}
build = {
  type = "make",
  variables = {
    CFLAGS = "$(CFLAGS)",
    LUA = "$(LUA)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    ZLIB_INCDIR = "$(ZLIB_INCDIR)",
    ZLIB_LIBDIR = "$(ZLIB_LIBDIR)",
  },
  install_variables = {
    LUA = "$(LUA)",
    PREFIX = "$(PREFIX)",
    LUADIR = "$(LUADIR)",
    LIBDIR = "$(LIBDIR)",
    BINDIR = "$(BINDIR)",
  },
}
