-- Compares the virtual memory of real guests with QEMU's own translations, lists and reads.
-- `make test-real` boots the guests and runs this.

local cjson = require "cjson"
local files = require "support.files"
local guests = require "real_guests.guests"
local process = require "support.process"
local qvm = require "qvm"

local function number(text)
  return math.tointeger(tonumber(text))
end

-- The output of QEMU's `info tlb`: address, physical address, flags.
local function tlb(text)
  return text:gmatch("(%x+): (%x+) (%S+)\n")
end

-- The ranges of `info mem` as "first+size rw u", and mappings in the same form. It does not
-- show the execute permission.
local function listed(text)
  local list = {}
  for first, last, user, write in text:gmatch("(%x+)%-(%x+) %x+ (.)r(.)\n") do
    first, last = tonumber(first, 16), tonumber(last, 16)
    list[#list + 1] = ("%x+%x %s%s"):format(first, last - first, user, write)
  end
  return list
end

local function mapped(space)
  local list, first, size, rights = {}, nil, 0, nil
  local function finish()
    if first then
      list[#list + 1] = ("%x+%x %s"):format(first, size, rights)
    end
  end
  for start, length, text in space:mappings() do
    local short = (text:sub(5, 5) == "r" and "u" or "-") .. (text:sub(2, 2))
    if first and first + size == start and short == rights then
      size = size + length
    else
      finish()
      first, size, rights = start, length, short
    end
  end
  finish()
  return list
end

-- Each guest's page-table format.
local forms = {
  x86_64 = {va_bits = 48, page_size = 4096},
  ["x86_64-la57"] = {va_bits = 57, page_size = 4096},
  aarch64 = {va_bits = 48, page_size = 4096},
  ["aarch64-16k"] = {va_bits = 52, page_size = 16384}, -- LPA2
  ["x86_64-testing"] = {va_bits = 48, page_size = 4096},
  ["aarch64-testing"] = {va_bits = 48, page_size = 4096},
}

guests.each({"x86_64", "x86_64-la57", "aarch64", "aarch64-16k", "x86_64-testing",
  "aarch64-testing"}, "virtual memory of a real guest (%s)", function(guest, directory, record)
    local form = forms[guest]
    local kernel_vcpu = math.tointeger(record.kernel_vcpu)
    local is_x86 = record.arch == "x86_64"
    local dump, kernel

    local function space_of(index)
      return assert(dump:space(dump:vcpu(index)))
    end

    setup(function()
      dump = assert(qvm.open(directory .. "first.elf"))
      kernel = assert(dump:kernel_space())
    end)

    teardown(function() dump:close() end)

    it("has the page-table format of its kernel", function()
      local half = kernel.lower or kernel.upper
      assert.are.same(form, {va_bits = half.va_bits, page_size = half.page_size})
      assert.are.equal(record.kernel:match("Linux version (%S+)"), dump:vmcoreinfo().release)
    end)

    it("translates symbols, stacks and program counters like QEMU", function()
      local compared, skipped = 0, 0
      for _, one in ipairs(record.virtual) do
        local space = space_of(math.tointeger(one.vcpu))
        local physical, message, code = space:translate(number(one.address))
        if code == "unsupported" or not one.physical and physical then
          -- Skips user addresses of aarch64, whose tables are unknown, and addresses that a
          -- vCPU in user mode does not map.
          assert.is_false(is_x86, message)
          skipped = skipped + 1
        else
          assert.are.equal(one.physical, physical and ("0x%x"):format(physical), message)
          compared = compared + 1
        end
      end
      assert.is_true(compared >= (is_x86 and #record.virtual or 4), skipped)
    end)

    it("translates each page like QEMU, and no other", function()
      local compared = 0
      if is_x86 then
        for index = 0, record.cpus - 1 do
          local space, total = space_of(math.tointeger(index)), 0
          for address, physical, flags in tlb(files.read(directory
            .. ("tlb-%d.txt"):format(index))) do
            address = tonumber(address, 16)
            local there, size, rights = space:translate(address)
            assert.are.equal(tonumber(physical, 16), there, qvm.hex(address))
            assert.are.equal(flags:sub(3, 3) == "P", size > 4096)
            if flags:sub(1, 1) == "X" then
              assert.matches("^..%-/..%-$", rights)
            end
            total, compared = total + size, compared + 1
          end
          for _, size in space:mappings() do
            total = total - size
          end
          assert.are.equal(0, total)
        end
        assert.is_true(compared > 10000)
      else
        local space, none = space_of(kernel_vcpu), 0
        for address, physical in files.read(directory .. "gva2gpa.txt"):gmatch("(%x+): (%w+)\n") do
          address = tonumber(address, 16)
          local there = space:translate(address)
          if physical == "none" then
            none = none + 1
            assert.is_nil(there, qvm.hex(address))
          else
            assert.are.equal(number(physical), there, qvm.hex(address))
          end
          compared = compared + 1
        end
        assert.is_true(compared > 10000 and none > 500 and none < compared - 4000)
      end
    end)

    if is_x86 and guest ~= "x86_64-la57" then
      it("has the mapped ranges that QEMU lists", function()
        for index = 0, record.cpus - 1 do
          local expected = listed(files.read(directory .. ("mem-%d.txt"):format(index)))
          assert.is_true(#expected > 50)
          assert.are.same(expected, mapped(space_of(math.tointeger(index))))
        end
      end)
    end

    it("has the content that QEMU saved", function()
      local space = space_of(kernel_vcpu)
      for _, piece in ipairs(record.vmem) do
        local bytes = files.read(directory .. piece.file)
        assert.are.equal(piece.size, #bytes)
        assert(space:read(number(piece.address), #bytes) == bytes, piece.file)
        local words = space:array(number(piece.address), "u64", #bytes // 8)
        for i, word in ipairs(words) do
          assert(word == string.unpack("<i8", bytes, 8 * i - 7))
        end
      end
    end)

    it("has the kernel's banner at its symbol, and wherever a search finds it", function()
      local banner
      for _, one in ipairs(record.virtual) do
        banner = one.what == "linux_banner" and number(one.address) or banner
      end
      local found = {}
      for address in kernel:find(record.kernel) do
        found[address] = true
        assert.are.equal(record.kernel, kernel:read(address, #record.kernel))
      end
      -- Kernels without data symbols in kallsyms do not give its address.
      assert.is_true(banner == nil or found[banner])
      assert.is_truthy(next(found))
    end)

    it("has the kernel's log line by line like the serial console", function()
      local messages, log = dump:dmesg()
      local expected, seen = {}, {}
      for m in messages do
        -- On the console, each line of a message has its own prefix.
        for line in m.text:gmatch("[^\n]+") do
          seen[#seen + 1] = ("[%12s] %s"):format(m.time:sub(1, -4), line)
        end
      end
      for line in files.read(directory .. "serial.log"):gmatch("[^\r\n]+") do
        -- A message may be in the middle of a line that a program writes.
        expected[#expected + 1] = line:match("%[ *%d+%.%d+%] .*")
      end
      assert.is_true(#seen > 200)
      assert.are.equal(0, log.skipped)
      -- The console continues to the end of the guest.
      assert.are.same(table.move(expected, 1, #seen, 1, {}), seen)
    end)

    it("has that log in the output of qvm-diag, and as JSON", function()
      local lines, texts = {}, {}
      for m in dump:dmesg() do
        lines[#lines + 1], texts[#texts + 1] = tostring(m), m.text
      end
      local words = {"lua5.4", "examples/diag.lua", "--read", directory .. "first.elf", "--dmesg"}
      local options = {env = {LD_PRELOAD = os.getenv("LD_PRELOAD"),
        QVM_BUILD = os.getenv("QVM_BUILD")}}
      local status, output = process.run(words, options)
      assert.are.equal(0, status)
      assert.are.equal(table.concat(lines, "\n") .. "\n", output)
      words[#words + 1] = "--json"
      status, output = process.run(words, options)
      assert.are.equal(0, status)
      for i, m in ipairs(cjson.decode(output).messages) do
        assert.are.equal(texts[i], m.text)
      end
    end)

    it("has the kernel's symbols at the addresses the guest reported", function()
      local symbols = assert(dump:symbols())
      assert.matches("^%d%d%d%d%d+ symbols from kallsyms$", tostring(symbols))
      local compared = 0
      for address, name in files.read(directory .. "serial.log")
        :gmatch("symbol: (%x+) %a ([%w_]+)") do
        address = tonumber(address, 16)
        assert.are.equal(address, dump:address(name), name)
        for offset = 0, 1 do -- it may have an alias
          local alias = dump:symbol(address + offset):match("^(.-)%+0x" .. offset .. "/")
          assert.are.equal(address, dump:address(alias))
        end
        compared = compared + 1
      end
      assert.is_true(compared >= 2)
      assert.are.equal("not_found", select(3, dump:address "no such symbol"))
      assert.is_nil(dump:symbol(0x1000000000000))
    end)

    it("identifies its guest", function()
      local about = dump:guest()
      assert.are.same({os = "Linux", machine = is_x86 and "x86_64" or "aarch64", vcpus = 2,
        page_size = form.page_size, node = "(none)"}, {os = about.os, machine = about.machine,
        vcpus = about.vcpus, page_size = about.page_size, node = about.node})
      assert.matches(about.build, record.kernel, 1, true)
      assert.matches(about.release, record.kernel, 1, true)
    end)

    it("has VMCOREINFO in its memory equal to its note", function()
      local note = dump:vmcoreinfo()
      local vmcoreinfo = require "qvm.guest.vmcoreinfo"
      local found = {}
      assert.is_nil(vmcoreinfo.from_memory(dump, function(info)
        found[info.text] = info.from
        return false
      end))
      assert.matches("^physical address 0x%x+$", found[note.text])
    end)
  end)
