-- Runs gdb on dumps of real guests through examples/gdbserve.lua, and compares its output
-- with QEMU's record.

local files = require "support.files"
local guests = require "real_guests.guests"
local process = require "support.process"
local qvm = require "qvm"
local rsp = require "support.rsp"
local truth = require "real_guests.truth"

-- An ELF file with symbols, as a linker writes it: the kernel's functions on the vCPUs'
-- call chains, at their link addresses.
local function vmlinux(dump, machine)
  local offset = tonumber(dump:vmcoreinfo().values.KERNELOFFSET, 16)
  local text, last = dump:address("_stext") - offset, dump:address("_etext") - offset
  local names, symbols, known = "\0", {string.pack("<I4BBI2i8i8", 0, 0, 0, 0, 0, 0)}, {}
  local function add(address)
    local name, distance, size = dump:symbols():at(address)
    if name and not known[name] then
      known[name] = true
      symbols[#symbols + 1] = string.pack("<I4BBI2i8i8", #names, 2, 0, 1,
        address - distance - offset, size)
      names = names .. name .. "\0"
    end
  end
  add(dump:address("schedule"))
  for cpu in dump:vcpus() do
    for frame in cpu:backtrace() do
      add(frame.address)
    end
  end
  local heads = "\0.text\0.symtab\0.strtab\0.shstrtab\0"
  local data = table.concat(symbols)
  local function section(name, kind, flags, address, at, size, link, info, align, entry)
    return string.pack("<I4I4i8i8i8i8I4I4i8i8", name, kind, flags, address, at, size, link, info,
      align, entry)
  end
  local at = 64 + #data + #names + #heads
  return files.write("vmlinux", string.pack("<c16I2I2I4i8i8i8I4I2I2I2I2I2I2",
    "\127ELF\2\1\1" .. ("\0"):rep(9), 2, machine, 1, 0, 0, at, 0, 64, 0, 0, 64, 5, 4)
    .. data .. names .. heads .. ("\0"):rep(64)
    .. section(1, 8, 6, text, 64, last - text, 0, 0, 4096, 0)
    .. section(7, 2, 0, 0, 64, #data, 3, 1, 8, 24)
    .. section(15, 3, 0, 0, 64 + #data, #names, 0, 0, 1, 0)
    .. section(23, 3, 0, 0, 64 + #data + #names, #heads, 0, 0, 1, 0))
end

local elf_machines = {x86_64 = 62, aarch64 = 183}

guests.each({"x86_64", "aarch64"}, "gdb, with the dump of a real guest (%s),",
  function(guest, directory, record)
    local elf_machine = elf_machines[guest]
    local path = directory .. "first.elf"
    local dump

    setup(function() dump = assert(qvm.open(path)) end)
    teardown(function() dump:close() end)

    after_each(function()
      process.clean()
      files.clean()
    end)

    it("shows the same registers as QEMU", function()
      local there = truth.registers(files.read(directory .. "registers.txt"))
      local compared = 0
      for i, cpu in ipairs(there) do
        local output = rsp.gdb(path, "echo", ("thread %d"):format(i), "info registers",
          "info registers system")
        for name, value in output:gmatch("\n(%w+) +(0x%x+)") do
          local theirs = cpu[({eflags = "rflags", cpsr = "pstate"})[name] or name]
          if theirs then
            assert.are.equal(("0x%x"):format(theirs), value, name)
            compared = compared + 1
          end
        end
      end
      assert.is_true(compared >= #there * (guest == "x86_64" and 18 or 32), compared)
    end)

    it("reads virtual memory like QEMU", function()
      local thread = ("thread %d"):format(record.kernel_vcpu + 1)
      local compared = 0
      for _, name in ipairs(record.files) do
        local address, digits = name:match("^vmem%-(0x%x+)%-?(%d*)%.bin$")
        if address then
          local bytes = files.read(directory .. name)
          local copy = files.path("copy" .. digits)
          rsp.gdb(path, "echo", thread, ("dump binary memory %s %s %s+%d"):format(copy, address,
            address, #bytes))
          assert.is_true(files.read(copy) == bytes, name)
          compared = compared + 1
        end
      end
      assert.is_true(compared >= 2)
    end)

    it("names functions even with KASLR", function()
      local output = rsp.gdb(path, "file " .. vmlinux(dump, elf_machine), "p/x &schedule",
        ("thread %d"):format(record.kernel_vcpu + 1), "x/i $pc")
      assert.matches(("= 0x%x\n"):format(dump:address("schedule")), output, 1, true)
      local name = dump:symbol(dump:vcpu(math.tointeger(record.kernel_vcpu)).pc)
      local function_name, offset = name:match("^(.-)%+0x(%x+)/")
      local here = offset == "0" and function_name
        or ("%s+%d"):format(function_name, tonumber(offset, 16))
      assert.matches("=> 0x%x+ <" .. here:gsub("%p", "%%%0") .. ">:\t", output)
    end)

    -- Without debug information, gdb finds frames from a function's prologue, and omits the
    -- caller of a function without a frame, such as cpu_do_idle.
    it("walks the call chain like the library, as far as it finds frames", function()
      local output = rsp.gdb(path, "file " .. vmlinux(dump, elf_machine),
        ("thread %d"):format(record.kernel_vcpu + 1), "echo calls:\\n", "bt"):match("calls:.*")
      local frames = dump:vcpu(math.tointeger(record.kernel_vcpu)):backtrace()
      local compared = 0
      for address, name in output:gmatch("\n#%d+ +(0x%x+) in ([%w_.]+) %(%)") do
        local frame = frames()
        if guest == "x86_64" and compared > 0 then
          break -- no frame pointers: gdb guesses from the stack
        elseif name:find "^el1h_64" and compared > 0 then
          break -- gdb does not know that it was not called
        end
        while compared > 0 and frame and qvm.hex(frame.address) ~= address do
          frame = frames()
        end
        assert.are.equal(frame and qvm.hex(frame.address), address)
        assert.are.equal(name, frame.symbol:sub(1, #name)) -- gdb leaves out the 0 of ".isra.0"
        compared = compared + 1
      end
      assert.is_true(compared >= 1, output)
    end)

    -- Saved symbols are at the kernel's addresses: gdb, which moves those of a vmlinux when it
    -- connects, is to load them after that.
    local function with_tasks(name, ...)
      local other <close> = assert(qvm.open(directory .. name))
      local symbols = files.path "guest.sym"
      assert(other:symbols():save(symbols))
      return rsp.gdb({tasks = directory .. name}, "echo", "symbol-file " .. symbols,
        "set backtrace limit 40", ...)
    end

    -- The numbers that gdb gives to threads, by pid.
    local function thread_numbers(output)
      local numbers, count = {}, 0
      for number, pid in output:gmatch "\n[* ] (%d+) +Thread (%d+) \"" do
        numbers[tonumber(pid)], count = tonumber(number), count + 1
      end
      return numbers, count
    end

    it("lists all tasks as threads", function()
      local output, errors = with_tasks("first.elf", "info threads")
      local numbers, count = thread_numbers(output)
      local ids, expected = {}, 0
      for task in dump:tasks() do
        ids[task.pid] = true
      end
      -- Idle tasks are not in the list, nor is a process at the very end of its exit.
      for cpu in dump:vcpus() do
        local pid = cpu:task().pid
        ids[pid == 0 and 10000000 + cpu.index or pid] = true
      end
      for id in pairs(ids) do
        assert.is_truthy(numbers[id], id .. output .. errors)
        expected = expected + 1
      end
      assert.are.equal(expected, count)
      assert.is_true(count > 40)
      -- Usually "running"; a task that was stopped on its way to sleep, or to its end, is not.
      local about = tostring(dump:vcpu(0):task()):match(": (.*)$")
      assert.matches('%* 1 +Thread %d+ "[^"]+" %(' .. about .. "%)", output)
    end)

    it("walks the kernel stacks of all tasks, with saved symbols", function()
      local output = with_tasks("first.elf", "thread apply all bt")
      local compared = 0
      for pid, calls in (output .. "\n\n"):gmatch "Thread %d+ %(Thread (%d+) [^\n]*:\n(.-)\n\n" do
        local task = dump:task(tonumber(pid))
        if task and not task.running and task.state ~= "Z" and task.state ~= "X" then
          local names = {}
          for frame in task:backtrace() do
            names[#names + 1] = frame.symbol:match "^[%w_]+"
          end
          local shown = {}
          for name in calls:gmatch "#%d+ +0x%x+ in ([%w_]+)" do
            shown[#shown + 1] = name
          end
          if calls:find("<signal handler called>", 1, true) then -- at the entry from user mode
            table.insert(shown, names[#shown + 1])
          end
          assert.are.equal(table.concat(names, " "), table.concat(shown, " "), tostring(task))
          compared = compared + 1
        end
      end
      assert.is_true(compared > 40, compared .. output)
    end)

    it("reads the memory of a task that sleeps", function()
      local sleeper, arguments
      for task in dump:tasks() do
        arguments = not sleeper and task.state == "S" and task.name == "sleep" and task:arguments()
        sleeper = arguments and task or sleeper
      end
      arguments = assert(sleeper:arguments())
      local output = with_tasks("first.elf", "info threads", "echo here\\n")
      local number = thread_numbers(output)[sleeper.pid]
      output = with_tasks("first.elf", ("thread %d"):format(number),
        ("x/%ds 0x%x"):format(#arguments, sleeper.object.mm.arg_start))
      for _, argument in ipairs(arguments) do
        assert.matches((':\t"%s"\n'):format(argument), output, 1, true)
      end
    end)

    it("lists tasks and modules on request, and shows one task", function()
      local _, output = rsp.gdb(path, "echo", "monitor ps", "monitor task 1", "monitor modules")
      for task in dump:tasks() do
        local name = task.kernel and ("[%s]"):format(task.name) or task.name
        assert.matches(("\n%s %7d %7d  %s   %4d  %s\n"):format(task.running and ">" or " ",
          task.pid, task.ppid, task.state, task.cpu, name), output, 1, true)
      end
      local task = dump:task(1)
      assert.matches(("\n%s\ncommand line: %s\n"):format(tostring(task),
        table.concat(task:arguments(), " ")), output, 1, true)
      for frame in task:backtrace() do
        assert.matches(tostring(frame) .. "\n", output, 1, true)
      end
      for module in dump:modules() do
        assert.matches(("\n0x%016x %9d  %s"):format(module.base, module.size, module.name),
          output, 1, true)
      end
    end)

    it("shows how the kernel crashed", function()
      local crashed <close> = assert(qvm.open(directory .. "panic.elf"))
      if not crashed.crash then
        return pending "dump:crash() is not there"
      end
      local crash = assert(crashed:crash())
      local _, output = rsp.gdb(directory .. "panic.elf", "echo", "monitor crash")
      assert.matches(tostring(crash) .. "\n", output, 1, true)
      assert.matches(table.concat(crash.lines, "\n") .. "\n", output, 1, true)
    end)

    it("prints the kernel's log", function()
      local expected = {}
      for message in dump:dmesg() do
        expected[#expected + 1] = tostring(message)
      end
      local _, output = rsp.gdb(path, "echo", "monitor dmesg")
      assert.matches(table.concat(expected, "\n") .. "\n", output, 1, true)
      assert.is_true(#expected > 100)
    end)
  end)
