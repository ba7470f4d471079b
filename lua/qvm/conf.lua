--- Reads `.qvmconf` files, and holds them against running VMs.
--
-- Documented: plain text; options and arguments separated by blanks and newlines;
-- `#` comments; quotes group; `@file` includes; the options `system` `ram` `cpu`
-- `load` `dump` `logger` `vdev` `pass` `set`; that variables are set in the context
-- of a cpu, of a vdev, or globally. Our reading: a `set` belongs to the last cpu or
-- vdev before it; an option that is not known takes what follows it on its line, up
-- to one that is.
-- @module qvm.conf

local check = require "qvm.check"
local core = require "qvm.core"

local conf = {}

local INCLUDES_MAX = 16

-- Words ----------------------------------------------------------------------

local Failure = {}

local function fail(place, format, ...)
  error(setmetatable({("%s:%d: "):format(place.file, place.line) .. format:format(...),
    "malformed"}, Failure))
end

-- The next word of a line from a position on: text, whether a quote began it, and
-- the position behind it. Nil at the end, or where a comment begins.
local function next_word(line, at, place)
  local start = line:find("[^ \t\r\f\v]", at)
  if not start or line:sub(start, start) == "#" then
    return nil
  end
  local parts, quoted, i = {}, line:find("^[\"']", start) ~= nil, start
  while i <= #line and not line:find("^[ \t\r\f\v]", i) do
    local quote = line:match("^[\"']", i)
    local stop
    if quote then
      stop = line:find(quote, i + 1, true) or fail(place, "a quote is not closed")
      parts[#parts + 1] = line:sub(i + 1, stop - 1)
    else
      stop = (line:find("[ \t\r\f\v\"']", i) or #line + 1) - 1
      parts[#parts + 1] = line:sub(i, stop)
    end
    i = stop + 1
  end
  return table.concat(parts), quoted, i
end

local read_words

local function include(words, name, place, depth)
  if name == "" then
    fail(place, "no file is named behind the @")
  elseif depth == INCLUDES_MAX then
    fail(place, "%d files include one another", INCLUDES_MAX)
  end
  -- Ours: a relative name counts from the file that includes.
  local directory = place.file:match("^(.*/)[^/]*$") or ""
  read_words(words, name:sub(1, 1) == "/" and name or directory .. name, depth + 1, place)
end

-- Adds the words of a file, each with its text, file, line.
function read_words(words, path, depth, from)
  local text, message, code = core.read_env(path)
  if not text and from then
    fail(from, "%s", message)
  elseif not text then
    error(setmetatable({message, code}, Failure))
  end
  local number = 0
  for line in (text:gsub("\n$", "") .. "\n"):gmatch("([^\n]*)\n") do
    number = number + 1
    local place, at = {file = path, line = number}, 1
    if line:find("\0", 1, true) then
      fail(place, "a NUL: this is no text")
    end
    repeat
      local word, quoted, behind = next_word(line, at, place)
      at = behind
      if word and not quoted and word:sub(1, 1) == "@" then
        include(words, word:sub(2), place, depth)
      elseif word then
        words[#words + 1] = {text = word, file = path, line = number, quoted = quoted}
      end
    until not word
  end
end

-- Options --------------------------------------------------------------------

-- How many arguments the options have that are known; `false`: those on its line.
local global = {system = 1, ram = 1, cpu = 0, load = 1, dump = 1, logger = 2, vdev = 1,
  pass = false, set = 2}
local of_cpu = {runmask = 1, sched = 1, name = 1}
local of_vdev = {loc = 1, intr = 1, name = 1, hostdev = 1, peer = 1}

local Reader = {}
Reader.__index = Reader

function Reader:known(word)
  if word.quoted then
    return nil
  end
  local mine = self.open == "cpu" and of_cpu or self.open == "vdev" and of_vdev or {}
  if mine[word.text] ~= nil then
    return mine[word.text], true
  end
  return global[word.text], false
end

function Reader:arguments(option, count)
  local list = {}
  for i = 1, count do
    local word = self.words[self.next]
    if not word then
      fail(option, "'%s' has %d argument%s, and %s", option.text, count, count == 1 and "" or "s",
        i == 1 and "none follows" or "one is missing")
    end
    list[i] = word.text
    self.next = self.next + 1
  end
  return list
end

-- What follows on the option's line, up to an option that is known.
function Reader:rest(option)
  local list = {}
  while true do
    local word = self.words[self.next]
    if not word or word.file ~= option.file or word.line ~= option.line
      or self:known(word) ~= nil then
      return list
    end
    list[#list + 1] = word.text
    self.next = self.next + 1
  end
end

local units = {[""] = 0, K = 10, M = 20, G = 30, k = 10, m = 20, g = 30}

-- A number with a unit, exactly; nil for another text.
local function size_of(text)
  local digits, unit = text:match("^(0[xX]%x+)([KMGkmg]?)$")
  if not digits then
    digits, unit = text:match("^(%d+)([KMGkmg]?)$")
  end
  if not digits or #digits > 18 then
    return nil
  end
  local value = math.tointeger(tonumber(digits))
  local shift = units[unit]
  if not value or value >> (63 - shift) ~= 0 then
    return nil
  end
  return value << shift
end

local take = {}

function take.system(self, option, arguments)
  self.result.system, self.result.system_line = arguments[1], option.line
end

function take.ram(self, option, arguments)
  local address, size = arguments[1]:match("^([^,]*),(.*)$")
  size = size_of(size or arguments[1])
  if not size or address and not size_of(address) then
    fail(option, "'%s' is no [address,]size", arguments[1])
  end
  table.insert(self.result.ram, {address = address and size_of(address), size = size,
    file = option.file, line = option.line})
end

local function open(self, kind, option, entry)
  entry.file, entry.line, entry.set = option.file, option.line, {}
  self.open, self.entry, self.set_entry = kind, entry, entry
  table.insert(self.result[kind .. "s"], entry)
end

function take.cpu(self, option)
  open(self, "cpu", option, {})
end

function take.vdev(self, option, arguments)
  open(self, "vdev", option, {type = arguments[1]})
end

function take.dump(self, option, arguments)
  local command = arguments[1]:match("^|%s*(.*)$")
  self.result.dump = {directory = not command and arguments[1] or nil, command = command,
    file = option.file, line = option.line}
end

function take.logger(self, option, arguments)
  local filters = {}
  for filter in arguments[1]:gmatch("[^,]+") do
    filters[#filters + 1] = filter
  end
  table.insert(self.result.loggers, {filters = filters, destination = arguments[2],
    file = option.file, line = option.line})
end

function take.set(self, option, arguments)
  local entry = {name = arguments[1], value = arguments[2], file = option.file,
    line = option.line, context = "global"}
  if self.set_entry then
    entry.context = self.set_entry.type and "vdev" or "cpu"
    self.set_entry.set[entry.name] = entry.value
    entry.index = #self.result[entry.context .. "s"] - 1
  end
  table.insert(self.result.set, entry)
end

function Reader:option(option)
  local count, is_sub = self:known(option)
  if count ~= nil and not is_sub and option.text ~= "set" then
    self.open = nil
  end
  local arguments = count and self:arguments(option, count) or self:rest(option)
  if is_sub then
    self.entry[option.text] = arguments[1]
  elseif take[option.text] and count then
    take[option.text](self, option, arguments)
  else
    table.insert(self.result.others, {name = option.text, arguments = arguments,
      file = option.file, line = option.line})
  end
end

local Conf = {}
Conf.__index = Conf

function Conf:__tostring()
  return ("Conf %s: %s, %d cpus, %d vdevs"):format(self.path, self.system or "no system",
    #self.cpus, #self.vdevs)
end

local function parse(path)
  local self = setmetatable({words = {}, next = 1, result = setmetatable({path = path, ram = {},
    cpus = {}, vdevs = {}, loggers = {}, set = {}, others = {}}, Conf)}, Reader)
  read_words(self.words, path, 1)
  while self.words[self.next] do
    local option = self.words[self.next]
    self.next = self.next + 1
    self:option(option)
  end
  return self.result
end

--- Reads a configuration, and what it includes.
--
-- The result is a table: `path`; `system` (nil where there is none); `cpus`, an
-- array of tables with `name` `runmask` `sched`; `ram`, of tables with `address`
-- (nil: qvm chooses) and `size` (bytes); `dump`, a table with `directory` or
-- `command`; `loggers`, of tables with `filters` (array) and `destination`;
-- `vdevs`, of tables with `type` `name` `loc` `intr` `hostdev` `peer`; `set`, of
-- tables with `name` `value` `context` (`"global"` `"cpu"` `"vdev"`) and `index`
-- (of the cpu or vdev, from 0); `others`: options that are not known, with `name`
-- and `arguments`. Arguments are text, as they stand. A cpu and a vdev have their
-- variables in `set`, too. Each entry has its `file` and `line`.
-- @tparam string path
-- @treturn[1] table the configuration
-- @return[2] nil, message, code: `malformed` (the message has file:line),
-- `not_found` `permission` `io`
function conf.load(path)
  check.path(path, 1, "load")
  local ok, result = pcall(parse, path)
  if ok then
    return result
  elseif getmetatable(result) ~= Failure then
    error(result, 0)
  end
  return nil, result[1], result[2]
end

-- Checking -------------------------------------------------------------------

local function is_erratum_name(name)
  return name:lower():find("errat", 1, true) ~= nil
end

-- The errata that a variable's name speaks of.
local function related(name, errata)
  local list = {}
  for _, erratum in ipairs(errata) do
    local id = erratum.id
    if name == id or #id > 3 and name:find(id, 1, true) then
      list[#list + 1] = erratum
    end
  end
  return list
end

local switches = {on = true, yes = true, ["true"] = true, ["1"] = true, off = false, no = false,
  ["false"] = false, ["0"] = false}

-- As one value, however it is written.
local function switch(value)
  local text = tostring(value):lower()
  if switches[text] ~= nil then
    return switches[text]
  end
  return text
end

local function check_errata(add, configuration, env)
  local errata = {}
  for erratum in env:errata() do
    errata[#errata + 1] = erratum
  end
  for _, set in ipairs(configuration.set) do
    local found = related(set.name, errata)
    for _, erratum in ipairs(found) do
      local of_this = set.context ~= "cpu" or erratum.cpu == nil or erratum.cpu == set.index
      if of_this then
        local verdict = set.value == "auto" and "cannot tell"
          or switch(set.value) == switch(erratum.value) and "ok" or "differs"
        add(set, "erratum " .. erratum.id .. (erratum.cpu and " on vCPU " .. erratum.cpu or ""),
          set.value, tostring(erratum.value), verdict)
      end
    end
    if #found == 0 and is_erratum_name(set.name) then
      add(set, "variable " .. set.name, set.value, nil, "cannot tell")
    end
  end
end

local function check_nodes(add, configuration, vm)
  local there, named = {}, {}
  for name in vm:nodes() do
    there[name] = true
  end
  for _, vdev in ipairs(configuration.vdevs) do
    if vdev.name then
      named[vdev.name] = true
      add(vdev, "node " .. vdev.name, "there", there[vdev.name] and "there" or "not there",
        there[vdev.name] and "ok" or "differs")
    end
  end
  local names = {}
  for name in pairs(there) do
    names[#names + 1] = not named[name] and name or nil
  end
  table.sort(names)
  for _, name in ipairs(names) do
    add(nil, "node " .. name, "no vdev of that name", "there", "differs")
  end
end

local function check_dump(add, dump)
  if not dump then
    add(nil, "dump", "none", nil, "cannot tell")
  elseif dump.command then
    add(dump, "dump", "|" .. dump.command, nil, "cannot tell")
  elseif dump.directory:sub(1, 1) ~= "/" then
    -- It counts from where the qvm was started.
    add(dump, "dump", dump.directory, nil, "cannot tell")
  else
    local _, _, kind = core.stat(dump.directory)
    add(dump, "dump", dump.directory, kind == "directory" and "a directory" or "no directory",
      kind == "directory" and "ok" or "differs")
  end
end

--- Holds a configuration against what a running VM reports.
-- @tparam table configuration from `load`
-- @tparam qvm.vm.VM vm
-- @treturn[1] {table,...} findings, each with `what`, `expected` (text), `actual`
-- (text, nil where that cannot be seen), `verdict` (`"ok"`, `"differs"`,
-- `"cannot tell"`), `file` and `line` of the option (nil without one)
-- @return[2] nil, message, code: as `VM:env`
function conf.check(configuration, vm)
  if getmetatable(configuration) ~= Conf then
    error("bad argument #1 to 'check' (configuration expected)", 2)
  end
  local env, message, code = vm:env()
  if not env then
    return nil, message, code
  end
  local findings = {}
  local function add(option, what, expected, actual, verdict)
    findings[#findings + 1] = {what = what, expected = expected, actual = actual,
      verdict = verdict, file = option and option.file, line = option and option.line}
  end
  local vcpus = 0
  for _ in env:vcpus() do
    vcpus = vcpus + 1
  end
  local system, cpus = configuration.system, configuration.cpus
  add({file = configuration.path, line = configuration.system_line}, "system", system or "none",
    vm.name, not system and "cannot tell" or system == vm.name and "ok" or "differs")
  add(cpus[1], "vCPUs", tostring(#cpus), tostring(vcpus), #cpus == vcpus and "ok" or "differs")
  check_nodes(add, configuration, vm)
  check_dump(add, configuration.dump)
  check_errata(add, configuration, env)
  return findings
end

return conf
