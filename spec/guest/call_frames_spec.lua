-- What a file of saved symbols says about frames (.debug_frame), as readelf understands it.

local files = require "support.files"
local kernel = require "support.kernel"
local pagetables = require "support.pagetables"
local process = require "support.process"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

-- The frames of a file: readelf's lines without blanks at their ends.
local function frames_of(path)
  local status, output, problem = process.run {"readelf", "--debug-dump=frames-interp", "-W", path}
  assert.are.same({0, ""}, {status, problem})
  return (output:gsub("[ \t]+\n", "\n"))
end

-- The rows of a table of readelf, by address: the CFA, and the other columns in order.
local function rows_of(output)
  local rows = {}
  for address, columns in output:gmatch "\n(%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x) (%S[^\n]*)" do
    rows[tonumber(address, 16)] = columns:gsub(" +", " ")
  end
  return rows
end

describe("saved symbols of aarch64", function()
  after_each(files.clean)

  it("say that all code keeps frame records", function()
    local k = kernel.new()
    k:place(("\0"):rep(0x1000), "_stext")
    k.symbols._etext = k.symbols._stext + 0x1000
    local dump = assert(qvm.open(k:write()))
    assert(assert(dump:symbols(files.write("System.map", k:map()))):save(files.path "guest.sym"))
    local output = frames_of(files.path "guest.sym")
    assert.matches(("FDE cie=00000000 pc=%x..%x"):format(k.symbols._stext, k.symbols._etext),
      output, 1, true)
    assert.matches("\n +LOC +CFA +x29 +ra\n0000000000000000 x29%+16 +c%-16 +c%-8", output)
  end)
end)

-- The number of sp and bp in the last 16 bits of an entry, and of its type (Linux 6.4).
local BP, SP, R10, BP_INDIRECT, SP_INDIRECT, PREVIOUS = 4, 5, 6, 8, 9, 1
local UNDEFINED, CALL, REGS, PARTIAL = 0, 2, 3, 4

local BASE, AT = 0xffffffff81000000, 0x200000

-- The symbols of a kernel of x86_64 with ORC tables. entries: {offset of the code, type, base of
-- sp, its offset, base of bp, its offset}.
local function orc_symbols(entries)
  local ips, words = {}, {}
  for i, entry in ipairs(entries) do
    ips[i] = string.pack("<i4", entry[1] - (0x2000 + 4 * (i - 1)))
    words[i] = string.pack("<i2i2I2", entry[4] or 0, entry[6] or 0,
      (entry[3] or 0) | (entry[5] or 0) << 4 | entry[2] << 8)
  end
  local tables = pagetables.x86_64(0x100000)
  tables:map(BASE, AT, 1, 0)
  local segments = tables:segments()
  segments[#segments + 1] = {paddr = AT, bytes = writer.filled(0x20000, {
    [0x2000] = table.concat(ips), [0x10000] = table.concat(words)})}
  segments[#segments + 1] = {type = 4, align = 4, bytes = writer.elf_note("VMCOREINFO\0", 0,
    ("OSRELEASE=6\nPAGESIZE=4096\nNUMBER(phys_base)=%d\nSYMBOL(_stext)=%x\n"
      .. "SYMBOL(swapper_pg_dir)=%x\n"):format(AT - 0x1000000, BASE,
      tables.root - AT + BASE))}
  local dump = assert(qvm.open(files.write("orc.gcore", writer.file {machine = "x86_64",
    segments = segments})))
  local map = ""
  for name, offset in pairs {_stext = 0, _etext = 0x1000, __start_orc_unwind_ip = 0x2000,
    __stop_orc_unwind_ip = 0x2000 + 4 * #entries, __start_orc_unwind = 0x10000,
    __stop_orc_unwind = 0x10000 + 6 * #entries} do
    map = map .. ("%x T %s\n"):format(BASE + offset, name)
  end
  return assert(dump:symbols(files.write("System.map", map)))
end

-- Rows that are the most common ones in a kernel, after the others: they tell the form.
local function with_calls(entries)
  for i = 1, 2 * #entries do
    entries[#entries + 1] = {0x800 + i, CALL, SP, 8}
  end
  return entries
end

describe("saved symbols of x86_64", function()
  after_each(files.clean)

  it("have the kernel's ORC tables as DWARF", function()
    local symbols = orc_symbols(with_calls {
      {0x000, UNDEFINED},
      {0x010, CALL, SP, 8},
      {0x011, CALL, SP, 16, PREVIOUS, -16},
      {0x014, CALL, BP, 16, PREVIOUS, -16},
      {0x200, CALL, SP, 0x1008, PREVIOUS, -24},
      {0x220, CALL, R10, 0, BP, 0},
      {0x230, CALL, BP_INDIRECT, -8, BP, -16},
      {0x240, CALL, SP_INDIRECT, 8},
      {0x250, REGS, SP, 8},
      {0x260, PARTIAL, SP, 0},
      {0x270, CALL, 12, 8}, -- an unknown base
    })
    assert(symbols:save(files.path "guest.sym"))
    local output = frames_of(files.path "guest.sym")
    local rows = rows_of(output)
    local found = {}
    for offset, columns in pairs(rows) do
      found[offset - BASE] = columns
    end
    assert.are.same({"rsp+8 s c-8", "rsp+16 c-16 c-8", "rbp+16 c-16 c-8", "rsp+4104 c-24 c-8",
      "r10+0 exp c-8", "exp exp c-8", "exp s c-8"}, {found[0x10], found[0x11], found[0x14],
      found[0x200], found[0x220], found[0x230], found[0x240]})
    assert.matches("^rsp%+176 ", found[0x250])
    assert.matches("^rsp%+40 ", found[0x260])
    -- A stack that is not known has the rules of its CIE alone.
    local unknown = output:match('\n(%x+) %x+ ffffffff CIE "" cf=1 df=%-8 ra=16\n[^\n]*\n'
      .. "0+ rsp%+8 +u\n")
    for _, extent in ipairs {{0, 0x10}, {0x270, 0x801}} do
      assert.matches(("cie=%s pc=%x..%x\n"):format(unknown, BASE + extent[1],
        BASE + extent[2]), output, 1, true)
    end
    -- Interrupted code does not follow a call: its frames are marked.
    local interrupted = output:match '\n(%x+) %x+ ffffffff CIE "S"[^\n]*\n[^\n]*r15'
    assert.matches(("cie=%s pc=%x..%x\n"):format(interrupted, BASE + 0x250, BASE + 0x260),
      output, 1, true)
  end)

  it("have no more of them than are in the dump, and in ascending order", function()
    local symbols = orc_symbols(with_calls {{0x10, CALL, SP, 8}, {0x30, CALL, SP, 16},
      {0x20, CALL, SP, 24}, {0x40, CALL, SP, 32}})
    assert(symbols:save(files.path "guest.sym"))
    local rows = rows_of(frames_of(files.path "guest.sym"))
    assert.is_nil(rows[BASE + 0x20])
    assert.are.equal("rsp+32 s c-8", rows[BASE + 0x40])
  end)

  it("are saved without frames if there are no tables", function()
    local symbols = orc_symbols {}
    assert(symbols:save(files.path "guest.sym"))
    assert.are.same({}, rows_of(frames_of(files.path "guest.sym")))
  end)
end)
