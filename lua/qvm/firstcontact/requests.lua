-- The steps that send a signal: the status text and the dump. Each is asked for before, and after
-- each the VM must still be served by the same process.

local dump_name = require "qvm.util.dump_name"
local list_of = require "qvm.firstcontact.checklist"
local qvm = require "qvm"
local system = require "qvm.util.system"
local text = require "qvm.cli.text"

local DOCUMENTED, OURS = list_of.DOCUMENTED, list_of.OURS

local requests = {}

-- Runs f if `ask` allows the signal. Adds a row if the process changed.
local function with_signal(list, vm, ask, name, f)
  local before, message = list:call("vm:pid()", vm.pid, vm)
  local refused = not before and message
    or ask(("send %s to process %d, which serves %s"):format(name, before, vm.name))
  if refused then
    list:add {name, DOCUMENTED, "the VM goes on", did = "nothing was sent", why = refused}
    return
  end
  f()
  local after, why = list:call("vm:pid()", vm.pid, vm)
  local state, reason = list:call("vm:state()", vm.state, vm)
  local answers, verdict = state and state ~= "stuck", after == before
  if verdict and not answers then
    verdict = nil
  end
  list:add {"after " .. name, DOCUMENTED, "the guest keeps running, in the same process",
    did = "vm:pid() before and after, vm:state()",
    saw = after and ("%d, then %d; %s"):format(before, after, state or "state unknown") or why,
    as_expected = verdict, why = not answers and reason or nil}
end

-- Status text --------------------------------------------------------------------------------

-- The words by which a line would name a vdev: names of nodes, types in the configuration.
local function vdev_words(list, vm, conf)
  local words = {}
  for name in list:call("vm:nodes()", vm.nodes, vm) or function() end do
    words[#words + 1] = name
  end
  for _, vdev in ipairs(conf and conf.vdevs or {}) do
    words[#words + 1] = vdev.type
  end
  return words
end

local function check_vdevs(list, vm, conf, status)
  local words, named = vdev_words(list, vm, conf), {}
  for _, word in ipairs(words) do
    if status:find(word, 1, true) then
      named[#named + 1] = word
    end
  end
  local verdict
  if words[1] then
    verdict = named[1] ~= nil
  end
  list:add {"vdevs in the status text", DOCUMENTED, "8.0: vdevs report on SIGUSR1 or SIGUSR2; "
    .. "7.x: on SIGUSR2 only", did = "looked for the names of vdevs in it",
    saw = named[1] and "named: " .. table.concat(named, ", ") or "no vdev is named",
    as_expected = verdict, why = verdict == nil and "the VM shows no vdev; pass --conf"
      or verdict == false and "this is what the documents of 7.x say, or `set debug off`" or nil}
end

local function check_status(list, vm, conf, log)
  local status, message = list:call("vm:status {log = ...}", vm.status, vm, {log = log})
  local took = list.milliseconds
  list:add {"status text", DOCUMENTED, "on SIGUSR1 qvm logs free text at the info level",
    did = ("vm:status on %s"):format(type(log) == "string" and log or "slogger2"),
    saw = status and ("%s, %s, %d ms"):format(text.count(#text.lines(status), "line"),
      text.count(#status, "byte"), took) or message, as_expected = status ~= nil}
  if status then
    check_vdevs(list, vm, conf, status)
  end
  return status
end

-- Requests the status text; `log` is a path, or nil for slogger2. Returns the text.
function requests.status(list, vm, conf, log, ask)
  local message, status
  if not log then
    log, message = list:call("qvm.slog2(vm)", qvm.slog2, vm)
  end
  if not log then
    list:add {"status text", DOCUMENTED, "on SIGUSR1 qvm logs free text at the info level",
      did = "nothing was sent", why = "no log to read: pass --log, or " .. tostring(message)}
    return nil
  end
  with_signal(list, vm, ask, "SIGUSR1", function()
    status = check_status(list, vm, conf, log)
  end)
  return status
end

-- Dumps --------------------------------------------------------------------------------------

local DUMP_EXPECTED = "on SIGUSR2 qvm writes a dump, if the configuration has the dump option"

-- The sizes of the files in a directory, by name.
local function sizes_in(directory)
  local sizes = {}
  for _, name in ipairs(system.entries(directory) or {}) do
    local size, _, kind = system.lstat(directory .. "/" .. name)
    sizes[name] = kind == "file" and size or nil
  end
  return sizes
end

-- Files that are in a directory and were not before: their names in order, and a text of names and
-- sizes.
local function new_files(before, after)
  local names, shown = {}, {}
  for name in pairs(after) do
    if not before[name] then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  for i, name in ipairs(names) do
    shown[i] = ("%s (%s)"):format(name, text.count(after[name], "byte"))
  end
  return names, table.concat(shown, ", ")
end

-- Lists the dumps of the VM that are there before one is requested.
local function list_existing(list, vm, directory)
  local sizes = sizes_in(directory)
  for name in pairs(sizes) do
    sizes[name] = dump_name.stamp_of(name, vm.name) and sizes[name]
  end
  local names, shown = new_files({}, sizes)
  list:add {"earlier dumps", DOCUMENTED, "<system>-<YYYYMMDD>-<hhmmss>.gcore",
    did = "listed " .. directory, saw = ("%s%s%s"):format(text.count(#names, "dump"),
      names[1] and ": " or "", shown), as_expected = names[1] and true or nil,
    why = not names[1] and "none of this name was written so far" or nil}
end

-- How the names of new files relate to the documented form, and their time to the local clock.
local function check_names(list, vm, names, shown, asked)
  local stamp
  for _, name in ipairs(names) do
    stamp = stamp or dump_name.stamp_of(name, vm.name)
  end
  list:add {"name of the dump", DOCUMENTED, "<system>-<YYYYMMDD>-<hhmmss>.gcore",
    did = "listed what is new in the directory", saw = shown, as_expected = stamp ~= nil}
  if stamp then
    local now = dump_name.stamp_of(os.date("x-%Y%m%d-%H%M%S.gcore", asked), "x")
    list:add {"time in the name", DOCUMENTED, "local time of the request",
      did = "compared the clocks",
      saw = ("%d s from this process's local time"):format(stamp - now),
      as_expected = math.abs(stamp - now) <= 2}
  end
end

local function check_growth(list, sizes)
  local last = sizes[#sizes]
  list:add {"growth", OURS, "the file grows to the size that its headers announce",
    did = "watched its size", saw = last and ("%s seen, the last %d of %s"):format(
      text.count(#sizes, "size"), last.size, last.total and ("%d"):format(last.total) or "unknown")
      or "no size", as_expected = last and last.size == last.total or nil,
    why = not last and "no file was seen to grow" or not last.total and "no headers were seen"
      or last.size ~= last.total and "it was not seen complete" or nil}
end

-- Requests the dump and checks how it comes. Returns it opened, or nil.
local function request_dump(list, vm, options)
  local sizes, before, asked = {}, sizes_in(options.dir), os.time()
  local dump, message, code = list:call("vm:dump {dir = ...}", vm.dump, vm, {dir = options.dir,
    timeout = options.timeout, progress = function(size, total)
      sizes[#sizes + 1] = {size = size, total = total}
    end})
  local took = list.milliseconds
  local names, shown = new_files(before, sizes_in(options.dir))
  list:add {"dump on request", DOCUMENTED, DUMP_EXPECTED, did = "vm:dump in " .. options.dir,
    saw = dump and ("%s in %d ms"):format(text.count(dump.size, "byte"), took)
      or message, as_expected = dump ~= nil,
    why = not dump and code == "timeout" and (names[1] and "a file came, but not as documented: "
      .. shown or message:match("within [%d.]+ s: (.*)$")) or nil}
  if names[1] then
    check_names(list, vm, names, shown, asked)
    check_growth(list, sizes)
  end
  if not dump and names[1] then
    dump = list:call("qvm.open", qvm.open, options.dir .. "/" .. names[1], {partial = true})
  end
  return dump
end

-- Requests a dump; options: dir, timeout. Returns it opened, or nil.
function requests.dump(list, vm, options, ask)
  local dump
  if not options.dir then
    list:add {"dump on request", DOCUMENTED, DUMP_EXPECTED, did = "nothing was sent",
      why = "its directory is not known: pass --dir"}
    return nil
  end
  list_existing(list, vm, options.dir)
  with_signal(list, vm, ask, "SIGUSR2", function()
    dump = request_dump(list, vm, options)
  end)
  return dump
end

return requests
