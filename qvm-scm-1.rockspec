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
test_dependencies = {
  "busted >= 2.1",
}
test = {
  type = "command",
  command = "make test",
}
build = {
  type = "builtin",
  modules = {
    ["qvm"] = "lua/qvm/init.lua",
    ["qvm.assertions"] = "lua/qvm/assertions.lua",
    ["qvm.check"] = "lua/qvm/check.lua",
    ["qvm.conf"] = "lua/qvm/conf.lua",
    ["qvm.dump"] = "lua/qvm/dump.lua",
    ["qvm.dumping"] = "lua/qvm/dumping.lua",
    ["qvm.env"] = "lua/qvm/env.lua",
    ["qvm.errata"] = "lua/qvm/errata.lua",
    ["qvm.find"] = "lua/qvm/find.lua",
    ["qvm.guest"] = "lua/qvm/guest.lua",
    ["qvm.passes"] = "lua/qvm/passes.lua",
    ["qvm.paging"] = "lua/qvm/paging.lua",
    ["qvm.path"] = "lua/qvm/path.lua",
    ["qvm.printk"] = "lua/qvm/printk.lua",
    ["qvm.record"] = "lua/qvm/record.lua",
    ["qvm.show"] = "lua/qvm/show.lua",
    ["qvm.space"] = "lua/qvm/space.lua",
    ["qvm.status"] = "lua/qvm/status.lua",
    ["qvm.vm"] = "lua/qvm/vm.lua",
    ["qvm.vmcoreinfo"] = "lua/qvm/vmcoreinfo.lua",
    ["qvm.core"] = {
      sources = {
        "csrc/core/differ.c",
        "csrc/core/dump.c",
        "csrc/core/elf.c",
        "csrc/core/env.c",
        "csrc/core/error.c",
        "csrc/core/file.c",
        "csrc/core/files_linux.c",
        "csrc/core/finder.c",
        "csrc/core/format.c",
        "csrc/core/gzip.c",
        "csrc/core/host_linux.c",
        "csrc/core/host_posix.c",
        "csrc/core/host_qnx.c",
        "csrc/core/inflater.c",
        "csrc/core/json.c",
        "csrc/core/json_number.c",
        "csrc/core/kdump.c",
        "csrc/core/mapper.c",
        "csrc/core/mapping.c",
        "csrc/core/matcher.c",
        "csrc/core/notes.c",
        "csrc/core/paging.c",
        "csrc/core/printable.c",
        "csrc/core/qemu.c",
        "csrc/core/ranges.c",
        "csrc/core/registers.c",
        "csrc/core/results.c",
        "csrc/core/save.c",
        "csrc/core/sections.c",
        "csrc/core/seeker.c",
        "csrc/core/space.c",
        "csrc/core/span.c",
        "csrc/core/sweep.c",
        "csrc/core/team.c",
        "csrc/core/utf8.c",
        "csrc/core/vcpu.c",
        "csrc/core/vmdir.c",
        "csrc/core/watch_linux.c",
        "csrc/lua/decode.c",
        "csrc/lua/dump.c",
        "csrc/lua/files.c",
        "csrc/lua/memory.c",
        "csrc/lua/module.c",
        "csrc/lua/parts.c",
        "csrc/lua/passes.c",
        "csrc/lua/space.c",
        "csrc/lua/values.c",
        "csrc/lua/vm.c",
        "csrc/lua/watch.c",
      },
      defines = {"_FILE_OFFSET_BITS=64"},
      libraries = {"z"},
      incdirs = {"csrc/core"},
    },
  },
  install = {
    bin = {
      ["qvm-diag"] = "examples/diag.lua",
      ["qvm-dumpdiff"] = "examples/dumpdiff.lua",
    },
  },
}
