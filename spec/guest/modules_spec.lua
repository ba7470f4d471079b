-- Modules of a Linux guest's kernel, and their symbols.

local btf = require "support.btf"
local cost = require "support.cost"
local files = require "support.files"
local kernel_objects = require "support.kernel_objects"
local linux_guest = require "support.linux_guest"
local qvm = require "qvm"

-- Where modules are: after the kernel's block, and not in the dump.
local function area(guest)
  return guest.base + (64 << 20)
end

local function dump_of(form, build)
  local guest = linux_guest.new(form)
  build(guest, area(guest))
  return guest:finish():open(), guest
end

local function lines_of(dump)
  local lines = {}
  for module in dump:modules() do
    lines[#lines + 1] = tostring(module)
  end
  return lines
end

local FORMS = {{layout = "core_layout"}, {layout = "mem"}, {layout = "core_layout", order = ">"},
  {layout = "mem", machine = "x86_64"}}

describe("the modules of a Linux guest", function()
  after_each(files.clean)

  it("are those of /proc/modules, in each layout of their memory", function()
    for _, form in ipairs(FORMS) do
      local dump, guest = dump_of(form, function(guest, at)
        guest:module {name = "ext4", base = at, size = 0x2000, more = 0x1000}
        guest:module {name = "out_of_tree", base = at + 0x4000, size = 0x1000, taints = 0x3001}
        guest:module {name = "half_loaded", base = at + 0x8000, size = 0x1000, state = 3}
        guest:module {name = "one", base = at + 0xc000, size = 1, state = 1}
      end)
      local base = area(guest)
      assert.are.same({("module ext4: 12288 bytes at 0x%016x"):format(base),
        ("module out_of_tree: 4096 bytes at 0x%016x, taints the kernel: POE")
          :format(base + 0x4000),
        ("module one: 1 byte at 0x%016x"):format(base + 0xc000)}, lines_of(dump))
      local first = dump:modules()()
      assert.are.same({"ext4", base, 0x3000, ""}, {first.name, first.base, first.size,
        first.taints})
      assert.are.equal("ext4", first.object.name)
    end
  end)

  it("may be none", function()
    assert.are.same({}, lines_of((dump_of({}, function() end))))
  end)

  it("are one line of text, whatever they are called", function()
    local dump = dump_of({}, function(guest, at)
      guest:module {name = "a\27[2J\n" .. ("x"):rep(49), base = at, size = 5, taints = -1}
    end)
    assert.are.same({}, {(lines_of(dump)[1]:find "%c")})
  end)

  it("are found in kernels whose symbols are those of code alone", function()
    local dump = dump_of({}, function(guest, at)
      guest:module {name = "ext4", base = at, size = 0x2000}
      guest.symbols.modules, guest.symbols.init_task = nil, nil
      guest:reserve(4096) -- whole pages are in the dump
    end)
    assert.matches("module ext4", lines_of(dump)[1])
  end)

  it("raise where their list is damaged, or longer than a kernel's", function()
    local dump = dump_of({}, function(guest, at)
      local one = guest:module {name = "one", base = at, size = 1}
      guest:module {name = "two", base = at, size = 1}
      local finish = guest.finish
      guest.finish = function(self)
        finish(self)
        self:set(one + self.types:offset("struct module", "list"), 0x1000)
        return self
      end
    end)
    local ok, message = pcall(lines_of, dump)
    assert.is_false(ok)
    assert.matches("virtual address 0x0000000000001008", message, 1, true)
  end)
end)

-- Symbols -------------------------------------------------------------------------------------

describe("the symbols of modules", function()
  after_each(files.clean)

  local function usual(form)
    return dump_of(form, function(guest, at)
      guest:module {name = "ext4", base = at, size = 0x2000, symbols = {
        {"ext4_init", at + 0x10, 0x20}, {"ext4_exit", at + 0x40, 0}, {"_stext", at + 0x60, 4},
        {"$x", at + 0x10, 0}, {"printk", 0, 0, 0}}}
      guest:module {name = "xfs", base = at + 0x4000, size = 0x1000, more = 0x100, symbols = {
        {"xfs_data", at + 0x104000, 8}, {"ext4_init", at + 0x4000, 8}}}
    end)
  end

  it("are found by address and by name, after those of the kernel", function()
    for _, form in ipairs(FORMS) do
      local dump, guest = usual(form)
      local at = area(guest)
      assert.are.equal("ext4_init+0x4/0x20 [ext4]", dump:symbol(at + 0x14))
      assert.are.equal("ext4_exit+0x1/0x20 [ext4]", dump:symbol(at + 0x41)) -- up to the next
      assert.are.equal("xfs_data+0x7/0x8 [xfs]", dump:symbol(at + 0x104007))
      assert.is_nil((dump:symbol(at + 0x2000)))
      assert.is_nil((dump:symbol(at + 0x3f)))
      assert.are.equal(at + 0x10, dump:address "ext4_init")
      assert.are.equal(guest.symbols._stext, dump:address "_stext")
      assert.are.equal("not_found", select(3, dump:address "printk"))
      assert.are.equal("not_found", select(3, dump:address "$x"))
    end
  end)

  it("say which module they are in; those of the kernel say none", function()
    local dump, guest = usual {}
    local symbols = assert(dump:symbols(files.path "System.map"))
    assert.are.same({"ext4_init", 0, 0x20, "ext4"}, {symbols:at(area(guest) + 0x10)})
    assert.are.same({"_stext", 0, 0x100}, {symbols:at(guest.symbols._stext)})
    assert.is_nil((symbols:at(area(guest) - 1)))
  end)

  it("are listed after those of the kernel, by address in each", function()
    local dump, guest = usual {}
    local at, list = area(guest), {}
    local symbols = assert(dump:symbols(files.path "System.map"))
    for symbol in symbols:all "^%l%w+_%l" do
      list[#list + 1] = ("%s %x %s %s"):format(symbol.name, symbol.address, symbol.size,
        symbol.module)
    end
    local mine = {}
    for i = #list - 3, #list do
      mine[#mine + 1] = list[i]
    end
    assert.are.same({("ext4_init %x 32 ext4"):format(at + 0x10),
      ("ext4_exit %x 32 ext4"):format(at + 0x40), ("ext4_init %x 8 xfs"):format(at + 0x4000),
      ("xfs_data %x 8 xfs"):format(at + 0x104000)}, mine)
    local count = 0
    for symbol in symbols:all() do
      count = count + (symbol.module and 0 or 1)
      assert.is_true(symbol.size == nil or symbol.size > 0)
    end
    assert.are.equal(symbols.count, count)
    assert.matches("malformed pattern", select(2, pcall(symbols.all, symbols, "[")))
    assert.is_nil(symbols:all "no such name"())
    for _, bad in ipairs {5.5, {}, true} do
      assert.is_false(pcall(symbols.all, symbols, bad))
    end
  end)

  -- A guest with one module whose table of symbols is what `build` returns.
  local function with_table(build)
    return dump_of({}, function(guest, at)
      guest:module {name = "bad", base = at, size = 0x2000,
        kallsyms = guest:object("struct mod_kallsyms", build(guest, at))}
      guest:module {name = "good", base = at + 0x4000, size = 0x1000,
        symbols = {{"good_one", at + 0x4000, 16}}}
    end)
  end

  local function entry(guest, name_at, address)
    return guest:pack("I4BBI2i8I8", name_at, 0x12, 0, 1, address, 16)
  end

  it("are left out where a table is not in memory, and others are found", function()
    local tables = {
      function() return {symtab = 0, num_symtab = 5, strtab = 0} end,
      function() return {symtab = 0x1000, num_symtab = 5, strtab = 0x1000} end,
      function() return {symtab = -4096, num_symtab = 0x7fffffff, strtab = -4096} end,
      function() return {symtab = -4096, num_symtab = 0x80000000, strtab = -4096} end,
      function() return {symtab = -8, num_symtab = 2, strtab = -8} end,
      function(guest, at)
        return {symtab = guest:place(("\0"):rep(24) .. entry(guest, 1, at)), num_symtab = 2,
          strtab = 0x1000}
      end,
      function(guest, at)
        return {symtab = guest:place(("\0"):rep(24) .. entry(guest, 0xffffffff, at)),
          num_symtab = 2, strtab = guest.base}
      end,
    }
    for i, build in ipairs(tables) do
      local dump, guest = with_table(build)
      local at = area(guest)
      assert.is_nil((dump:symbol(at)), i)
      assert.are.equal("good_one+0x1/0x10 [good]", dump:symbol(at + 0x4001), i)
    end
    local dump, guest = dump_of({}, function(guest, at)
      guest:module {name = "wild", base = at, size = 0x2000, kallsyms = 0x1000}
    end)
    assert.is_nil((dump:symbol(area(guest))))
  end)

  it("are read as far as their names are in memory", function()
    local dump, guest = dump_of({}, function(guest, at)
      -- The names are in the last page of the block: there are not 512 bytes after the last.
      local symtab = guest:place(("\0"):rep(24) .. entry(guest, 1, at) .. entry(guest, 7, at + 64)
        .. entry(guest, 600, at + 128))
      local kallsyms = guest:object("struct mod_kallsyms", {symtab = symtab, num_symtab = 4,
        strtab = guest.base + (2 << 20) - 16})
      guest:module {name = "end", base = at, size = 0x1000, kallsyms = kallsyms}
      guest.at_end = function(self)
        local rest = self.base + (2 << 20) - 16 - self.next
        self:reserve(rest, 1)
        self:set(self:reserve(16, 1), "\0first\0second\0")
      end
      local finish = guest.finish
      guest.finish = function(self)
        finish(self):at_end()
        return self
      end
    end)
    local at = area(guest)
    assert.are.equal("first+0x0/0x10 [end]", dump:symbol(at))
    assert.are.equal("second+0x1/0x10 [end]", dump:symbol(at + 65))
    assert.is_nil((dump:symbol(at + 128)))
  end)

  it("that would be too many, or have names too long, cost no time or memory without end",
    function()
      local guest = linux_guest.new()
      local at = area(guest)
      -- Symbols whose names are one text without an end, each a byte shorter than the one before.
      local entries, count = {}, 20000
      for i = 1, count do
        entries[i] = entry(guest, i, at + i)
      end
      local symtab = guest:place(table.concat(entries))
      local strtab = guest:place(("n"):rep(1 << 20))
      for i = 1, 8 do
        guest:module {name = "m" .. i, base = at, size = 1 << 20,
          kallsyms = guest:object("struct mod_kallsyms", {symtab = symtab, num_symtab = count,
            strtab = strtab})}
      end
      for i = 1, 200 do
        guest:module {name = "u" .. i, base = at, size = 1 << 20,
          kallsyms = guest:object("struct mod_kallsyms", {symtab = symtab, num_symtab = count,
            strtab = 0x1000})}
      end
      local path, map = guest:finish():write(), files.write("System.map", guest:map())
      cost.check(([[
        local dump = assert(qvm.open(%q))
        assert(dump:symbols(%q))
        assert(not dump:address "no_such_name")
        local count = 0
        for symbol in assert(dump:symbols(%q)):all "n" do count = count + 1 end
        return count]]):format(path, map, map))
    end)

  it("are left out and reported where modules have too many names", function()
    local guest = linux_guest.new()
    local at, last = area(guest), 12 << 20
    local page = guest:place(("n"):rep(4095) .. "\0")
    guest:reserve(4096, 4096)
    guest:map_again(guest.base + (64 << 20), {{page = page & -4096, count = (last >> 12) + 1}})
    local symtab = guest:place(("\0"):rep(24) .. entry(guest, last, at))
    local kallsyms = guest:object("struct mod_kallsyms", {symtab = symtab, num_symtab = 2,
      strtab = guest.base + (64 << 20)})
    for i = 1, 200 do
      guest:module {name = "m" .. i, base = at, size = 4096, kallsyms = kallsyms}
    end
    local path, map = guest:finish():write(), files.write("System.map", guest:map())
    local answer = cost.check(([[
      local dump = assert(qvm.open(%q))
      assert(dump:symbols(%q))
      local found, message = dump:address "no_such_name"
      return #dump.warnings .. "\n" .. message .. "\n" .. dump.warnings[1] ]]):format(path, map))
    local left_out = "the symbols of 199 modules were left out: modules have too many"
    assert.matches("^1\n[^\n]*no symbol \"no_such_name\" among [^\n]*; " .. left_out
      .. "\n[^\n]*kernel.gcore: " .. left_out .. "$", answer)
  end)

  it("of modules without end raise, or are none", function()
    local guest = linux_guest.new()
    -- Links 16 bytes apart: each is an entry of a list whose structures overlap.
    local offset = guest.types:offset("struct module", "list")
    local first = guest:reserve(20000 * 16)
    local entries = {}
    for i = 0, 19999 do
      entries[i + 1] = first + 16 * i
    end
    guest:reserve(1024)
    local nodes = {}
    for i, node in ipairs(entries) do
      local before, after = entries[i - 1] or guest.module_list, entries[i + 1] or guest.module_list
      nodes[i] = guest:pack("i8i8", after, before)
      assert(node)
    end
    guest:finish()
    guest:set(first, table.concat(nodes))
    guest:set(guest.module_list, guest:pack("i8i8", first, entries[#entries]))
    assert.is_true(offset < 1024)
    local path, map = guest:write(), files.write("System.map", guest:map())
    local answer = cost.check(([[
      local dump = assert(qvm.open(%q))
      assert(dump:symbols(%q))
      local ok, message = pcall(function() for _ in dump:modules() do end end)
      assert(not dump:address "no_such_name")
      return tostring(ok) .. " " .. tostring(message)]]):format(path, map))
    assert.matches("^false .*damaged: more than 16384 modules", answer)
  end)
end)

describe("a dump", function()
  after_each(files.clean)

  it("finds no modules without types, and its own symbols all the same", function()
    local guest = linux_guest.new()
    guest:module {name = "m", base = area(guest), size = 16}
    guest:place(("\0"):rep(64), "last")
    guest.add_btf = function() end
    local dump = guest:finish():open()
    assert.is_false(pcall(dump.modules, dump))
    assert.is_nil((dump:symbol(area(guest))))
    assert.are.equal("not_found", select(3, dump:address "m_init"))
    assert.are.equal(qvm.hex(guest.symbols._stext), qvm.hex(dump:address "_stext"))
  end)
end)

-- Types ---------------------------------------------------------------------------------------

describe("the types of modules", function()
  after_each(files.clean)

  -- A guest with the structures in which the kernel keeps the modules' types.
  local function with_types()
    local guest = linux_guest.new()
    guest.types:struct("btf", {{"data", "void *"}, {"data_size", "unsigned int"}})
    guest.types:struct("btf_module", {{"list", "struct list_head"}, {"btf", "struct btf *"},
      {"module", "struct module *"}})
    return guest
  end

  -- Links entries for {data = address, size = bytes} each, in order.
  local function add_types(guest, all)
    local entries = {}
    local module = guest:module {name = "driver", base = area(guest), size = 1}
    for i, one in ipairs(all) do
      one.at = one.at or guest:object("struct btf", {data = one.data, data_size = one.size})
      entries[i] = guest:object("struct btf_module", {btf = one.at, module = module})
    end
    guest.symbols.btf_modules = guest:reserve(16)
    kernel_objects.link_list(guest, guest.symbols.btf_modules, entries, 0)
    return guest
  end

  it("are found after those of the kernel", function()
    local guest = with_types()
    local types = btf.new("<", guest.types:writer())
    types:struct("driver", 8, {{"level", guest.types:id "int", 0}})
    local bytes = types:bytes()
    local one = {data = guest:place(bytes), size = #bytes}
    local dump = add_types(guest, {{data = 0x1000, size = 100}, one, one}):finish():open()
    assert.are.equal("struct driver { int level; }", tostring(dump:type "struct driver"))
    assert.are.equal("struct list_head", dump:type("struct list_head").name)
    assert.matches("no type 'struct other' among the %d+ types from the kernel's memory$",
      select(2, dump:type "struct other"))
    assert.are.same({}, dump.warnings)
  end)

  it("are left out and reported if they are more than a kernel has", function()
    local guest, all = with_types(), {}
    local at = guest:reserve(3 << 12, 4096)
    local header = string.pack("<I2BBI4I4I4I4I4", 0xeb9f, 1, 0, 24, 0, 0, 0, 12 << 20)
    guest:set(at + 4096 - #header, header)
    guest:set(at + 4096, ("n"):rep(4095))
    guest:set(at + 8192, string.pack("<I2BBI4I4I4I4I4", 0xeb9f, 1, 0, 24, 0, 0, 0, 0))
    local large = guest.base + (64 << 20)
    guest:map_again(large, {{page = at, count = 1}, {page = at + 4096, count = 12 << 8}})
    for i = 1, 10 do
      all[i] = {data = large + 4096 - #header, size = #header + (12 << 20)}
    end
    for i = 11, 12000 do
      all[i] = {data = at + 8192, size = #header}
    end
    add_types(guest, all):finish()
    local answer = cost.check(([[local d = assert(qvm.open(%q))
      assert(d:symbols(%q))
      assert(d:type "struct task_struct")
      return table.concat({#d.warnings, select(2, d:type "struct no_such"), #d.warnings,
        d.warnings[1]}, "\n")]]):format(guest:write(), files.write("System.map", guest:map())))
    local left_out = "the types of %d+ modules were left out: together they have more than "
      .. "25165824 bytes"
    assert.matches("^0\n[^\n]*; " .. left_out .. "\n1\n[^\n]*: " .. left_out .. "$",
      answer)
  end)
end)
