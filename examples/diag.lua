#!/usr/bin/env lua5.4
-- What the host knows of a virtual machine, on one page.
--
--     lua5.4 examples/diag.lua linux1
--     lua5.4 examples/diag.lua linux1 --status /var/log/linux1.log --dump /dumps
--     lua5.4 examples/diag.lua --read linux1-20261122-101500.gcore
--
-- Exit status: 0 found and every step worked, 1 a VM is absent or a step failed,
-- 2 a mistake in the arguments.
--
-- Nothing here is beyond the syntax of Lua 5.1, so that an older `lua` gets as
-- far as saying that it is too old.

-- qvm need not be on the path: look for it from where this file is, in a checkout,
-- below the prefix of `make install`, or in a tree of luarocks.
local here = arg[0]:match("^(.*)/[^/]*$") or "."

local function look_in(lua_directory, c_directory)
  package.path = ("%s;%s/?.lua;%s/?/init.lua"):format(package.path, lua_directory, lua_directory)
  package.cpath = ("%s;%s/?.so"):format(package.cpath, c_directory)
end

look_in(here .. "/../lua", os.getenv("QVM_BUILD") or here .. "/../build")
for _, prefix in ipairs {here .. "/..", here .. "/../../../../../.."} do
  look_in(prefix .. "/share/lua/5.4", prefix .. "/lib/lua/5.4")
end

-- Text from a VM must not drive the terminal: control characters, what some
-- terminals take for them, marks that turn the direction of writing, and bytes
-- that are no UTF-8.
local function harmless(text)
  local function escape(bytes)
    return (bytes:gsub(".", function(c)
      return ("\\x%02x"):format(c:byte())
    end))
  end
  if not (utf8 and utf8.len(text)) then
    text = text:gsub("[\128-\255]", escape)
  end
  return (text:gsub("[%c\127]", escape)
    :gsub("\194[\128-\159]", escape)
    :gsub("\226\128[\142\143\170-\174]", escape)
    :gsub("\226\129[\166-\169]", escape))
end

local function complain(message)
  io.stderr:write("qvm-diag: ", harmless(message), "\n")
end

local function fail(status, message)
  complain(message)
  os.exit(status, true)
end

local function need(name, advice)
  local ok, module = pcall(require, name)
  if ok then
    return module
  end
  local message = tostring(module)
  fail(1, message:find("not found:", 1, true) and advice or message:match("[^\n]*"))
end

if _VERSION ~= "Lua 5.4" then
  fail(1, "this is " .. _VERSION .. ": run it with lua5.4")
end
local argparse = need("argparse", "Lua's argparse is missing: install lua-argparse")
local cjson = need("cjson", "lua-cjson is missing: install lua-cjson")
local qvm = need("qvm", "the qvm library is missing or not built: run `make`")

local failed = false

local errors, said = {}, {}

-- A step that failed: said on stderr, once, and the other steps go on.
local function step_failed(message)
  failed = true
  if not said[message] then
    said[message] = true
    errors[#errors + 1] = message
    complain(message)
  end
end

-- What the library raises inside a loop is about the world too: the place in this
-- script does not matter.
local function without_place(message)
  return (tostring(message):gsub("^[^:]*:%d+: ", ""))
end

-- What is found, as plain tables: printed, or written as JSON -------------------

local LARGE = 2^53

-- An integer that a double would not hold, or whose 64 bits may be meant without
-- a sign, is written as an address is.
local function exact(value)
  if math.type(value) == "integer" and (value >= LARGE or value < 0) then
    return qvm.hex(value)
  elseif type(value) == "table" then
    return "(a table: see the env)"
  elseif value == math.huge or value == -math.huge then
    return tostring(value)
  end
  return value
end

local function collect_vcpus(env)
  local list = {}
  for cpu in env:vcpus() do
    list[#list + 1] = {
      index = cpu.index,
      tid = cpu.tid,
      last_known_ip = cpu.last_known_ip and qvm.hex(cpu.last_known_ip),
    }
  end
  return list
end

local function collect_errata(env)
  local list = {}
  for erratum in env:errata() do
    list[#list + 1] = {id = erratum.id, cpu = erratum.cpu, value = exact(erratum.value)}
  end
  return list
end

-- Members at the top of the document that are plain text.
local function collect_facts(env)
  local facts = {}
  if type(env.raw) == "table" then
    for name, value in pairs(env.raw) do
      if type(name) == "string" and type(value) == "string" then
        facts[name] = value
      end
    end
  end
  return facts
end

-- What there is to say of the process: its id, or why there is none to be had.
local function collect_process(vm, about)
  local pid, message, code = vm:pid()
  about.pid = pid
  if not pid then
    step_failed(message)
    about.process = code == "permission" and "its process may not be looked at"
      or code == "not_qvm" and "no qvm serves it" or "no process serves it"
  end
  return code
end

local function collect_vm(vm)
  local about = {name = vm.name, path = vm.path, nodes = {}, facts = {}, vcpus = {}, errata = {}}
  local listed, message = pcall(function()
    for name in vm:nodes() do
      table.insert(about.nodes, name)
    end
  end)
  if not listed then
    step_failed(without_place(message))
  end
  local gone = collect_process(vm, about) == "gone"
  local env, code
  env, message, code = vm:env()
  if env then
    -- An env without a process is what a simulated VM leaves that was killed.
    about.state = gone and "gone" or env:state()
    about.facts = collect_facts(env)
    about.vcpus = collect_vcpus(env)
    about.errata = collect_errata(env)
  else
    step_failed(message)
    about.state = code == "not_found" and "unavailable" or "unknown"
  end
  return about
end

local function collect_dump_vcpus(dump)
  local list = {}
  for cpu in dump:vcpus() do
    local registers, extra = {}, {}
    for name, value in cpu:registers() do
      registers[name] = qvm.hex(value)
    end
    for name, value in pairs(cpu.extra) do
      extra[name] = qvm.hex(value)
    end
    list[#list + 1] = {index = cpu.index, cpunum = cpu.cpunum, process = cpu.process,
      pgtbl = qvm.hex(cpu.pgtbl), pc = qvm.hex(cpu.pc), sp = qvm.hex(cpu.sp),
      registers = registers, extra = extra}
  end
  return list
end

local function collect_dump(dump)
  local ranges = {}
  for start, size in dump:ranges() do
    ranges[#ranges + 1] = {start = qvm.hex(start), last = qvm.hex(start + size - 1),
      size = size}
  end
  return {path = dump.path, format = dump.format, machine = dump.machine,
    bits = dump.bits, byteorder = dump.byteorder, size = dump.size,
    ranges = ranges, vcpus = collect_dump_vcpus(dump), text = dump:log()}
end

-- JSON ---------------------------------------------------------------------------

-- lua-cjson writes an empty array as an object and members in no order, so it
-- writes the scalars and this the rest: sorted, for reports that are compared.
local LISTS = {nodes = true, vcpus = true, errata = true, ranges = true, vms = true,
  errors = true}

local to_json

local function object_to_json(object)
  local names, parts = {}, {}
  for name in pairs(object) do
    names[#names + 1] = name
  end
  table.sort(names)
  for index, name in ipairs(names) do
    parts[index] = to_json(name) .. ":" .. to_json(object[name], LISTS[name])
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- Bytes of a dump need not be UTF-8, as JSON must.
local function as_utf8(text)
  return utf8.len(text) and text or text:gsub("[\128-\255]", "?")
end

function to_json(value, is_list)
  if type(value) == "string" then
    return cjson.encode((as_utf8(value)))
  elseif type(value) == "number" then
    return (math.type(value) == "integer" and "%d" or "%.17g"):format(value)
  elseif type(value) ~= "table" then
    return cjson.encode(value)
  elseif not is_list then
    return object_to_json(value)
  end
  local parts = {}
  for index, element in ipairs(value) do
    parts[index] = to_json(element)
  end
  return "[" .. table.concat(parts, ",") .. "]"
end

-- Text ---------------------------------------------------------------------------

local WIDTH = 80

local write_error

-- print would not say when the disk is full.
local function put(line)
  local ok, why = io.stdout:write(line, "\n")
  write_error = write_error or not ok and why
end

local function say(format, ...)
  put(format:format(...):match("^(.*%S)") or "")
end

local function in_units(bytes)
  for _, unit in ipairs {{2^30, "GiB"}, {2^20, "MiB"}, {2^10, "KiB"}} do
    if bytes >= unit[1] then
      return ("%.4g %s"):format(bytes / unit[1], unit[2])
    end
  end
  return ("%d bytes"):format(bytes)
end

local function count(n, what)
  return ("%d %s%s"):format(n, what, n == 1 and "" or "s")
end

-- A line that is too long goes on in lines that are set in further. Goes through
-- the text once: a dump's text can be one line of many MiB.
local function say_wrapped(line)
  local indent, from = "", 1
  while #line - from + 1 > WIDTH - #indent do
    local cut = from + WIDTH - #indent - 1
    local half = from + WIDTH / 2
    while cut > half and line:sub(cut + 1, cut + 1) ~= " " do
      cut = cut - 1
    end
    if cut <= half then
      cut = from + WIDTH - #indent - 1
    end
    say("%s%s", indent, line:sub(from, cut))
    from = line:find("[^ ]", cut + 1) or #line + 1
    indent = "      "
  end
  if from <= #line then
    say("%s%s", indent, line:sub(from))
  end
end

local function value_text(value)
  if value == cjson.null then
    return "null"
  end
  return harmless(math.type(value) == "integer" and ("%d"):format(value) or tostring(value))
end

local function say_vcpus(vcpus)
  say("\nvCPU      tid  last known ip")
  for _, cpu in ipairs(vcpus) do
    say("%4d %8s  %s", cpu.index, cpu.tid and ("%d"):format(cpu.tid) or "-",
      cpu.last_known_ip or "-")
  end
end

local function say_errata(errata)
  local width = 7
  for _, erratum in ipairs(errata) do
    width = math.max(width, math.min(40, #harmless(erratum.id)))
  end
  say("\n%-" .. width .. "s  vCPU  value", "erratum")
  for _, erratum in ipairs(errata) do
    say("%-" .. width .. "s  %4s  %s", harmless(erratum.id),
      erratum.cpu and ("%d"):format(erratum.cpu) or "all", value_text(erratum.value))
  end
end

local function say_vm(about)
  say("%s: %s, %s", harmless(about.name), about.state,
    about.pid and "process " .. about.pid or about.process)
  say("  %-12s %s", "directory", harmless(about.path))
  local names = {}
  for name in pairs(about.facts) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    say("  %-12s %s", harmless(name), harmless(about.facts[name]))
  end
  if #about.vcpus > 0 then
    say_vcpus(about.vcpus)
  else
    say("\nno vCPUs found in its env: see qvm.schema in the guide")
  end
  if #about.nodes > 0 then
    say("\nvdev nodes (not opened)")
    for _, name in ipairs(about.nodes) do
      say("  %s", harmless(name))
    end
  end
  if #about.errata > 0 then
    say_errata(about.errata)
  end
end

local function say_text(title, text)
  local lines = {}
  for line in text:gmatch("[^\r\n]+") do
    lines[#lines + 1] = line
  end
  say("\n%s (%s)", title, count(#lines, "line"))
  for _, line in ipairs(lines) do
    say_wrapped("  " .. harmless(line))
  end
end

local function say_dump(about)
  say("dump %s", harmless(about.path))
  say("  %s %s, %d-bit %s-endian, %s", about.format, about.machine, about.bits,
    about.byteorder, in_units(about.size))
  say("\nphysical memory                             size")
  for _, range in ipairs(about.ranges) do
    say("%s - %s  %s", range.start, range.last, in_units(range.size))
  end
  if #about.vcpus > 0 then
    say("\nvCPU  pc                  sp                  page table          process")
  end
  for _, cpu in ipairs(about.vcpus) do
    say("%4d  %s  %s  %s  %s", cpu.index, cpu.pc, cpu.sp, cpu.pgtbl,
      harmless(cpu.process))
  end
  if about.text then
    say_text("text in the dump", about.text)
  end
end

-- The steps ------------------------------------------------------------------------

-- Progress is for people: nothing goes to a pipe or a file.
local function is_terminal()
  return os.execute("test -t 2") == true
end

local function show_progress(written, total)
  io.stderr:write("\r\27[Kdump: ", in_units(written),
    total and (" of %s, %d%%"):format(in_units(total), math.floor(written / total * 100)) or "")
end

local function take_dump(vm, options)
  local terminal = is_terminal()
  local dump, message = vm:dump {dir = options.dump, timeout = options.timeout,
    progress = terminal and show_progress or nil}
  if terminal then
    io.stderr:write("\r\27[K")
  end
  if not dump then
    return step_failed(message)
  end
  local report = collect_dump(dump)
  dump:close()
  return report
end

local function take_status(vm, options)
  local text, message = vm:status {log = options.status, timeout = options.timeout}
  if not text then
    step_failed(message)
  end
  return text
end

local function print_json(report)
  report.errors = errors
  put(to_json(report))
end

-- The end of a task that has found nothing to tell of.
local function fail_as(options, message)
  step_failed(message)
  if options.json then
    print_json {}
  end
  os.exit(1, true)
end

local function list(options)
  local names, message = qvm.names()
  if not names then
    fail_as(options, message)
  end
  local report = {vms = {}}
  for vm in qvm.vms() do
    table.insert(report.vms, collect_vm(vm))
  end
  if options.json then
    print_json(report)
  end
  if #names == 0 then
    fail(1, qvm.root() .. ": no VMs, or none that this user may see")
  elseif options.json then
    return
  end
  local width = 6
  for _, about in ipairs(report.vms) do
    width = math.max(width, math.min(40, #harmless(about.name)))
  end
  say("%-" .. width .. "s  state           pid  vCPUs  nodes  errata", "system")
  for _, about in ipairs(report.vms) do
    say("%-" .. width .. "s  %-11s %7s  %5d  %5d  %6d", harmless(about.name), about.state,
      about.pid or "-", #about.vcpus, #about.nodes, #about.errata)
  end
end

local function read(options)
  local dump, message, code = qvm.open(options.read)
  if code == "truncated" then
    -- What there is of it is better than nothing.
    step_failed(message)
    dump = qvm.open(options.read, {partial = true})
  end
  if not dump then
    fail_as(options, message)
  end
  local report = {dump = collect_dump(dump)}
  dump:close()
  if options.json then
    return print_json(report)
  end
  say_dump(report.dump)
end

local function is_name(name)
  return pcall(qvm.vm, name)
end

local function diagnose(options)
  if not is_name(options.vm) then
    fail(2, ("%q is no system name"):format(options.vm))
  end
  local vm, message, code = qvm.vm(options.vm)
  if not vm then
    fail_as(options, message
      .. (code == "not_found" and " (--list shows what there is)" or ""))
  end
  local report = collect_vm(vm)
  if not options.json then
    say_vm(report)
  end
  if options.status then
    report.status = take_status(vm, options)
    if report.status and not options.json then
      say_text("status text", report.status)
    end
  end
  if options.dump then
    report.dump = take_dump(vm, options)
    if report.dump and not options.json then
      say("")
      say_dump(report.dump)
    end
  end
  if options.json then
    print_json(report)
  end
end

local function parse_arguments()
  local parser = argparse("qvm-diag", "What the host knows of a virtual machine.",
    "Exit status: 0 found and every step worked, 1 not, 2 a mistake in the arguments.")
  parser:argument("vm", "System name of the VM."):args("?")
  parser:option("--status", "Ask for the status text; the file its logger writes to.")
    :argname("LOG")
  parser:option("--dump", "Ask for a dump; the directory of the VM's dump option.")
    :argname("DIR")
  parser:option("--read", "Summarise a dump that there is. Needs no VM."):argname("FILE")
  parser:option("--root", "Where the VMs are (default: $QVM_ROOT or /dev/qvm).")
    :argname("DIR")
  parser:option("--timeout", "Seconds to wait for a status text (5) or a dump (60).")
    :argname("S")
  parser:flag("--list", "All VMs, one line each.")
  parser:flag("--json", "Write JSON; addresses as \"0x...\" strings.")
  local ok, options = parser:pparse()
  if not ok then
    local message = tostring(options):gsub("%s+", " "):gsub("([^.])( Did you)", "%1.%2")
    fail(2, message .. " (--help shows how)")
  end
  return options
end

local wants_json = false

local function main()
  local options = parse_arguments()
  wants_json = options.json
  local tasks = (options.vm and 1 or 0) + (options.list and 1 or 0) + (options.read and 1 or 0)
  if tasks ~= 1 then
    fail(2, (tasks == 0 and "" or "only ")
      .. "one of a VM's name, --list or --read FILE is needed (--help shows how)")
  elseif not options.vm and (options.status or options.dump) then
    fail(2, "--status and --dump need a VM's name")
  end
  if options.timeout then
    local seconds = tonumber(options.timeout)
    if not (seconds and seconds > 0 and seconds < 2^31) then
      fail(2, "--timeout: a number of seconds is needed")
    end
    options.timeout = seconds
  end
  if options.root then
    qvm.root(options.root)
  end
  if options.list then
    list(options)
  elseif options.read then
    read(options)
  else
    diagnose(options)
  end
end

local ok, message = pcall(main)
if not ok then
  step_failed(without_place(message))
  if wants_json then
    print_json {}
  end
end
local flushed, why = io.stdout:flush()
if write_error or not flushed then
  step_failed("output: " .. (write_error or why))
end
os.exit(failed and 1 or 0, true)
