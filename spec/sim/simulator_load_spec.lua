-- What the simulator's guest memory and registers are made of: images that are loaded, and
-- variables.

local files = require "support.files"
local lfs = require "lfs"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"
local writer = require "support.dumpwriter"

local RAM = 0x80000000

-- An image's file.
local function elf(segments, header)
  return files.write("guest.elf", writer.file {machine = "aarch64", segments = segments,
    header = header})
end

describe("an image in the simulator's memory", function()
  local dumps

  before_each(function()
    qvm.root(sim.root())
    dumps = files.mkdir("dumps")
  end)

  after_each(sim.clean)

  -- A VM's dump, and the VM.
  local function dump_with(config)
    local linux1 = sim.start("linux1", config .. "\ndump " .. dumps)
    linux1:tell("dump")
    return assert(qvm.open(dumps .. "/" .. files.list(dumps)[1])), linux1
  end

  it("takes the place of what the simulator has there, and of no more", function()
    local image = elf {
      {paddr = RAM + 0x1ffe, bytes = "ab" .. ("\0"):rep(4096) .. "cd"}, -- over three pages
      {paddr = RAM + 0x4004, bytes = "tail", memsz = 0x1000},           -- zeros behind
      {type = 6, paddr = RAM + 0x5000, bytes = "no PT_LOAD"},
      {paddr = RAM + 0x5ffff, bytes = "xyz"},                           -- elsewhere, unaligned
      {paddr = RAM + 0x1ffffe, bytes = "both"},                         -- over two blocks
      {paddr = 0x1000, bytes = "empty", memsz = 0, filesz = 0}}
    local dump <close> = dump_with(("ram 2M\nload %s\nload 0x%x,%s\nram 1M"):format(image,
      RAM + 0x150000, files.write("raw.bin", "raw bytes")))
    assert.are.equal("simulated guest linux1", dump:cstring(RAM))
    local function own(from, to)
      local words = {}
      for address = from, to - 8, 8 do
        words[#words + 1] = string.pack("<i8", address)
      end
      return table.concat(words)
    end
    assert.are.equal(own(RAM + 0x1000, RAM + 0x2000):sub(1, -3) .. "ab" .. ("\0"):rep(4096) .. "cd"
      .. own(RAM + 0x3000, RAM + 0x4000):sub(3), dump:read(RAM + 0x1000, 0x3000))
    assert.are.equal(own(RAM + 0x4000, RAM + 0x4008):sub(1, 4) .. "tail" .. ("\0"):rep(0xffc)
      .. own(RAM + 0x5000, RAM + 0x6000):sub(5), dump:read(RAM + 0x4000, 0x2000))
    assert.are.equal("\0xyz\0", dump:read(RAM + 0x5fffe, 5))
    assert.are.equal("\0raw bytes\0", dump:read(RAM + 0x14ffff, 11))
    assert.are.equal("\0\0both" .. own(RAM + 0x200000, RAM + 0x200008):sub(3),
      dump:read(RAM + 0x1ffffc, 12))
  end)

  it("may be a dump of another VM", function()
    local linux1 = sim.start("linux1", "ram 1M\nram 128K\ndump " .. dumps)
    linux1:tell("dump")
    local path = dumps .. "/" .. files.list(dumps)[1]
    local first <close> = assert(qvm.open(path))
    -- Its report is memory like any other, so there must be more for that of the copy.
    local copies = files.mkdir("copies")
    local copy = sim.start("copy", ("ram 1M\nram 128K\nram 128K\nload %s\ndump %s"):format(path,
      copies))
    copy:tell("dump")
    local second <close> = assert(qvm.open(copies .. "/" .. files.list(copies)[1]))
    assert.are.equal("simulated guest linux1", second:cstring(RAM))
    for start, size in first:ranges() do
      assert(first:read(start, size) == second:read(start, size))
    end
  end)

  it("leaves the rest of a large memory sparse", function()
    local zeros = 64 << 20
    local path = elf {{paddr = 0x300000000, bytes = "low"},
      {paddr = 0x300001000, filesz = zeros, memsz = zeros, offset = 0x1000},
      {paddr = 0x37ffeffff, bytes = "z"}}
    files.append(path, ("\0"):rep(zeros + 0x1000))
    local dump <close> = dump_with("ram 0x300000000,2G\nload " .. path)
    assert.is_true(lfs.attributes(dump.path, "blocks") * 512 < 4 << 20)
    assert.are.equal("low", dump:read(0x300000000, 3))
    assert.are.equal("\0z", dump:read(0x37ffefffe, 2))
    assert.are.equal(0, dump:u64(0x302000000))
    assert.are.equal(0x305000000, dump:u64(0x305000000))
  end)

  it("goes through a pipe, too", function()
    local out = files.path("piped.gcore")
    local linux1 = sim.start("linux1", ('ram 17M\nload %s\ndump "|cat >%s"'):format(
      elf {{paddr = RAM + 0x20001, bytes = "low"}}, out))
    linux1:tell("dump")
    local dump <close> = assert(qvm.open(out))
    assert.are.equal("\0low\0", dump:read(RAM + 0x20000, 5))
    assert.are.equal(RAM + 0x1000000, dump:u64(RAM + 0x1000000))
  end)

  describe("has registers", function()
    it("of each vCPU, or of all, to the last bit", function()
      local dump <close> = dump_with [[
        ram 1M
        set sim-reg-x1 18446744073709551615
        set sim-reg-x30 0xfedcba9876543211
        set sim-reg-pstate 7
        set sim-pgtbl 0x8000000000000001
        cpu
          set sim-reg-x1 0x8000000000000000
          set sim-reg-x1 0x7fffffffffffffff
          set sim-extra-Second 2
          set sim-extra-first 0xffffffffffffffff
        cpu
          set sim-extra-first 9223372036854775809]]
      local one, two = dump:vcpu(0), dump:vcpu(1)
      assert.are.same({0x7fffffffffffffff, -1}, {one.regs.x1, two.regs.x1})
      assert.are.same({0xfedcba9876543211, 7, 0xffff000100001000},
        {two.regs.x30, two.regs.pstate, two.regs.x0})
      assert.are.same({math.mininteger + 1, math.mininteger + 1}, {one.pgtbl, two.pgtbl})
      -- Those that are named, and no others.
      assert.are.same({Second = 2, first = -1}, one.extra)
      assert.are.same({Second = 0, first = math.mininteger + 1}, two.extra)
      local names = {}
      for name in one:extra_registers() do
        names[#names + 1] = name
      end
      assert.are.same({"Second", "first"}, names)
    end)

    it("of x86_64, the 32-bit ones among them", function()
      local dump <close> = dump_with [[
        ram 1M
        set sim-machine x86_64
        set sim-reg-cs 0xffffffff
        set sim-reg-r10 3
        set sim-reg-rflags 0x8000000000000002]]
      local regs = dump:vcpu(0).regs
      assert.are.same({0xffffffff, 3, 0x8000000000000002, 0x18},
        {regs.cs, regs.r10, regs.rflags, regs.ss})
    end)

    it("that the env tells of, too, unless the vCPU is off", function()
      local dump, linux1 = dump_with "ram 1M\nset sim-reg-pc 0xffffbbde47f919a8\ncpu\ncpu"
      dump:close()
      local function ips()
        local list = {}
        for cpu in qvm.vm("linux1"):env():vcpus() do
          list[#list + 1] = cpu.last_known_ip
        end
        return list
      end
      assert.are.same({0xffffbbde47f919a8, 0xffffbbde47f919a8}, ips())
      linux1:tell("suspend")
      assert.are.same({0xffffbbde47f919a8, 0}, ips())
    end)
  end)

  describe("is refused", function()
    local function run(config)
      -- One that is accepted would run on.
      local status, _, errors = process.run({"timeout", "-k", "1", "10", sim.program,
        "@" .. files.write("bad.qvmconf", "system a\n" .. config)}, {env = {QVM_ROOT = sim.root()}})
      assert.are.same({}, files.list(sim.root()))
      assert.are.equal(1, select(2, errors:gsub("\n", "")))
      return status, errors
    end

    local function refused(expected, config)
      local status, errors = run(config)
      assert.are.equal(65, status)
      assert.are.equal(("qvm: %s:%s\n"):format(files.path("bad.qvmconf"), expected), errors)
    end

    it("where it is not all in RAM, or where the report goes", function()
      local small = "ram 1M\nload "
      local path = elf {{paddr = RAM, bytes = "x"}, {paddr = 0x12345678, bytes = "yz"}}
      refused(("3: load: %s: segment 1, 0x2 bytes at 0x12345678: 0x12345678 is not in RAM")
        :format(path), small .. path)
      path = elf {{paddr = RAM + 0xfff00, bytes = "", memsz = 0x101}}
      refused(("2: load: %s: segment 0, 0x101 bytes at 0x800fff00: 0x80100000 is not in RAM")
        :format(path), ("load %s\nram 1M\nram 0xc0000000,1M"):format(path))
      path = elf {{paddr = RAM + 0xeffff, bytes = "ab"}}
      refused(("3: load: %s: segment 0, 0x2 bytes at 0x800effff: 0x800f0000 is in the last 64K of "
        .. "the last RAM block, which a dump's report takes"):format(path), small .. path)
      path = elf {{paddr = RAM + 0xffff0, bytes = "ab"}}
      refused(("3: load: %s: segment 0, 0x2 bytes at 0x800ffff0: 0x800ffff0 is in the last 64K of "
        .. "the last RAM block, which a dump's report takes"):format(path), small .. path)
      path = elf {{paddr = -0x1000, filesz = 0, memsz = 0x2000}}
      refused(("4: load: %s: segment 0, 0x2000 bytes at 0xfffffffffffff000: past the last "
        .. "address"):format(path), "ram 0xfffffffffff00000,1M\nram 0,1M\nload " .. path)
      path = elf {{paddr = RAM, filesz = 0, memsz = -1}}
      refused(("3: load: %s: segment 0, 0xffffffffffffffff bytes at 0x80000000: past the last "
        .. "address"):format(path), small .. path)
      path = files.write("raw.bin", "abc")
      refused(("3: load: %s: 0x3 bytes at 0x7ffffffe: 0x7ffffffe is not in RAM"):format(path),
        small .. "0x7ffffffe," .. path)
    end)

    it("where something else was loaded", function()
      local path = elf {{paddr = RAM + 0x1000, bytes = "abcd"}}
      local raw = files.write("raw.bin", "abc")
      refused(("4: load: %s: 0x3 bytes at 0x80001003: overlaps what is loaded at 0x80001000")
        :format(raw), ("ram 1M\nload %s\nload 0x80001003,%s"):format(path, raw))
      path = elf {{paddr = RAM, bytes = "abcd"}, {paddr = RAM, bytes = "abcd"}}
      refused(("2: load: %s: segment 1, 0x4 bytes at 0x80000000: overlaps what is loaded at "
        .. "0x80000000"):format(path), "load " .. path)
      -- Next to it is all right: what is refused then is another thing.
      path = elf {{paddr = RAM + 4, bytes = "abcd"}, {paddr = RAM, bytes = "abcd"},
        {paddr = 0, bytes = "."}}
      refused(("2: load: %s: segment 2, 0x1 bytes at 0x0: 0x0 is not in RAM"):format(path),
        "load " .. path)
    end)

    it("when it is cut", function()
      local path = elf {{paddr = RAM, bytes = "abcd"}}
      local bytes = files.read(path)
      files.write("guest.elf", bytes:sub(1, -2))
      refused(("2: load: %s: segment 0: 0x4 bytes at 0x78 of the file, which has 0x7b")
        :format(path), "load " .. path)
      files.write("guest.elf", bytes:sub(1, 119))
      refused(("2: load: %s: its program headers are not all in the file"):format(path),
        "load " .. path)
      files.write("guest.elf", bytes:sub(1, 63))
      refused(("2: load: %s: its ELF header is cut off"):format(path), "load " .. path)
    end)

    it("when its headers make no sense", function()
      local function headers(expected, segment, header)
        local path = elf({segment}, header)
        refused(("2: load: %s: %s"):format(path, expected), "load " .. path)
      end
      local one = {paddr = RAM, bytes = "abcd"}
      headers("segment 0: p_filesz is more than p_memsz", {paddr = RAM, bytes = "abcd", memsz = 3})
      headers("segment 0: 0xffffffffffffffff bytes at 0x78 of the file, which has 0x78",
        {paddr = RAM, filesz = -1, memsz = -1})
      headers("segment 0: 0x2 bytes at 0xffffffffffffffff of the file, which has 0x78",
        {paddr = RAM, filesz = 2, memsz = 2, offset = -1})
      headers("its program headers are not all in the file", one, {phoff = -8})
      headers("its program headers are not all in the file", one, {phnum = 65534})
      headers("more than 65534 program headers", one, {phnum = 65535})
      headers("program headers of 0 bytes, not 56", one, {phentsize = 0})
      headers("it has nothing to load (no PT_LOAD)", one, {phnum = 0})
      headers("it has nothing to load (no PT_LOAD)", {type = 4, bytes = "abcd"})
      headers("not a 64-bit little-endian ELF file", one, {class = 1})
      headers("not a 64-bit little-endian ELF file", one, {data = 2})
      headers("its e_machine is 62, not 183: set sim-machine", one, {machine = 62})
    end)

    it("when it cannot be read", function()
      refused(("2: load: %s is not a regular file"):format(dumps), "load " .. dumps)
      local fifo = files.path("fifo")
      assert(os.execute("mkfifo " .. process.quote(fifo)))
      refused(("2: load: %s is not a regular file"):format(fifo), "load " .. fifo)
      local loop = files.symlink("loop", "loop")
      refused(("2: load: cannot read %s: Too many levels of symbolic links"):format(loop),
        "load " .. loop)
      refused("2: load: bad address '0x1Q'", "load 0x1Q," .. dumps)
      refused("2: load: missing argument", "load")
    end)

    it("with registers that there are not", function()
      refused("2: set sim-reg-rip: the machine has no such register", "set sim-reg-rip 1")
      refused("4: set sim-reg-x0: the machine has no such register",
        "cpu\ncpu\nset sim-reg-x0 1\nset sim-machine x86_64")
      refused("3: set sim-reg-ss: more than 32 bits",
        "set sim-machine x86_64\nset sim-reg-ss 0x100000000")
      refused("2: set sim-extra-: no name", "set sim-extra- 1")
      refused("3: set sim-pgtbl: not a variable of a vdev", "vdev x\nset sim-pgtbl 1")
      for _, value in ipairs {"0x10000000000000000", "18446744073709551616", "-1", "1K", "x"} do
        refused(("2: set sim-extra-cr3: bad value '%s', wanted a number of at most 64 bits")
          :format(value), "set sim-extra-cr3 " .. value)
      end
      local lines = {}
      for i = 1, 65 do
        lines[i] = ("set sim-extra-r%d 1"):format(i)
      end
      refused("66: set sim-extra-r65: more than 64 extra registers", table.concat(lines, "\n"))
    end)
  end)

  it("is passed over, with a warning, where a host's file is not here or is no image", function()
    local raw = files.write("ifs.bin", "no ELF file")
    local empty = files.write("empty.bin", "")
    local linux1 = sim.start("linux1", ("ram 1M\nload /no/such/Image\nload %s/Image\nload %s\n"
      .. "load 0x80000000,%s\nload %s\nload name,with.comma"):format(raw, raw, empty, empty))
    local conf = files.path("linux1.qvmconf")
    assert.are.equal(([[
qvm: CONF:3: warning: load: /no/such/Image does not exist: nothing is loaded
qvm: CONF:4: warning: load: RAW/Image does not exist: nothing is loaded
qvm: CONF:5: warning: load: RAW is not an ELF file, and no address is given: nothing is loaded
qvm: CONF:6: warning: load: EMPTY is empty: nothing is loaded
qvm: CONF:7: warning: load: EMPTY is not an ELF file, and no address is given: nothing is loaded
qvm: CONF:8: warning: load: name,with.comma does not exist: nothing is loaded
]]):gsub("%u%u%u+", {CONF = conf, RAW = raw, EMPTY = empty}),
      linux1:log_text():match("^.-comma[^\n]*\n"))
  end)

  it("that becomes shorter makes dumps fail, and no more", function()
    local path = files.write("raw.bin", ("x"):rep(0x3000))
    local linux1 = sim.start("linux1", ("ram 1M\nload 0x80000000,%s\ndump %s"):format(path, dumps))
    files.write("raw.bin", ("y"):rep(0x1800))
    linux1.process:write("dump\n")
    assert.are.equal("failed dump", linux1.process:line())
    assert.matches("error: dump to .* failed: Input/output error\n", linux1:log_text())
    assert.are.same({}, files.list(dumps))
    files.write("raw.bin", ("z"):rep(0x3000))
    linux1:tell("dump")
    local dump <close> = assert(qvm.open(dumps .. "/" .. files.list(dumps)[1]))
    assert.are.equal(("z"):rep(0x3000), dump:read(RAM, 0x3000))
  end)
end)
