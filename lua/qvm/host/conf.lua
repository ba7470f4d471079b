--- Reads `.qvmconf` files, and holds them against running VMs.
--
-- Documented: plain text; options and arguments separated by blanks and newlines;
-- `#` comments; quotes group; `@file` includes; the options `system` `ram` `cpu`
-- `load` `dump` `logger` `vdev` `pass` `set`; that variables are set in the context
-- of a cpu, of a vdev, or globally. Our reading: a `set` belongs to the last cpu or
-- vdev before it; an option that is not known takes what follows it on its line, up
-- to one that is.
-- @module qvm.conf

local check = require "qvm.util.arguments"
local core = require "qvm.core"
local oneline = require "qvm.util.text"
local part = require "qvm.host.conf_text"

local conf = {}

-- Files that include one another, and files in all: each of a chain may name the next
-- one many times.
local INCLUDES_MAX, FILES_MAX = 16, 1000

-- Words ----------------------------------------------------------------------

local Failure = {}

local function fail(place, format, ...)
  error(setmetatable({oneline.harmless(("%s:%d: "):format(place.file, place.line)
    .. format:format(...)), "malformed"}, Failure))
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
  words.files = words.files + 1
  if words.files > FILES_MAX then
    fail(place, "more than %d files are included", FILES_MAX)
  end
  -- Ours: a relative name counts from the file that includes.
  local directory = place.file:match("^(.*/)[^/]*$") or ""
  read_words(words, name:sub(1, 1) == "/" and name or directory .. name, depth + 1, place)
end

-- Adds the words of a file, each with its text, file, line.
function read_words(words, path, depth, from)
  local text, message, code = core.read_file(path)
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
  table.insert(self.result.ram, part("ram", {address = address and size_of(address),
    size = size, file = option.file, line = option.line}))
end

local function open(self, kind, option, entry)
  entry.file, entry.line, entry.set = option.file, option.line, {}
  self.open, self.entry, self.set_entry = kind, entry, entry
  table.insert(self.result[kind .. "s"], part(kind, entry))
end

function take.cpu(self, option)
  open(self, "cpu", option, {})
end

function take.vdev(self, option, arguments)
  open(self, "vdev", option, {type = arguments[1]})
end

function take.dump(self, option, arguments)
  local command = arguments[1]:match("^|%s*(.*)$")
  self.result.dump = part("dump", {directory = not command and arguments[1] or nil,
    command = command, file = option.file, line = option.line})
end

function take.logger(self, option, arguments)
  local filters = {}
  for filter in arguments[1]:gmatch("[^,]+") do
    filters[#filters + 1] = filter
  end
  table.insert(self.result.loggers, part("logger", {filters = filters,
    destination = arguments[2], file = option.file, line = option.line}))
end

function take.set(self, option, arguments)
  local entry = {name = arguments[1], value = arguments[2], file = option.file,
    line = option.line, context = "global"}
  if self.set_entry then
    entry.context = self.set_entry.type and "vdev" or "cpu"
    self.set_entry.set[entry.name] = entry.value
    entry.index = #self.result[entry.context .. "s"] - 1
  end
  table.insert(self.result.set, part("set", entry))
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
    table.insert(self.result.others, part("other", {name = option.text,
      arguments = arguments, file = option.file, line = option.line}))
  end
end

local Conf = {__name = "Conf"}

Conf.__tostring = oneline.tostring("Conf", function(configuration)
  return ("Conf %s: %s, %d cpus, %d vdevs"):format(configuration.path,
    configuration.system and oneline.cut(configuration.system) or "no system",
    #configuration.cpus, #configuration.vdevs)
end)

local function parse(path)
  local result = setmetatable({path = path, ram = {}, cpus = {}, vdevs = {}, loggers = {},
    set = {}, others = {}}, Conf)
  local self = setmetatable({words = {files = 0}, next = 1, result = result}, Reader)
  read_words(self.words, path, 1)
  while self.words[self.next] do
    local option = self.words[self.next]
    self.next = self.next + 1
    self:option(option)
  end
  return self.result
end

--- Reads a configuration, and what it includes.
-- @tparam string path
-- @treturn[1] Conf the configuration
-- @return[2] nil, message, code: `malformed` (the message has file:line),
-- `not_found` `permission` `unsupported` (not a regular file) `io`
-- @usage conf = assert(qvm.conf.load("linux1.qvmconf"))
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

--- Holds a configuration against what a running VM reports.
-- @tparam Conf configuration from `load`
-- @tparam qvm.vm.VM vm
-- @treturn[1] {Finding,...} findings
-- @return[2] nil, message, code: as `VM:env`
-- @usage findings = assert(qvm.conf.check(conf, vm))
function conf.check(configuration, vm)
  if getmetatable(configuration) ~= Conf then
    error("bad argument #1 to 'check' (configuration expected)", 2)
  end
  local env, message, code = vm:env()
  if not env then
    return nil, message, code
  end
  return require "qvm.host.conf_check".findings(configuration, vm, env)
end

--- A configuration. Arguments are text, as they stand.
-- @table Conf
-- @tfield string path the file
-- @tfield ?string system the system name, nil where there is none
-- @tfield ?integer system_line line of the option
-- @tfield {ConfCpu,...} cpus
-- @tfield {ConfRam,...} ram
-- @tfield ?ConfDump dump nil where there is none
-- @tfield {ConfLogger,...} loggers
-- @tfield {ConfVdev,...} vdevs
-- @tfield {ConfSet,...} set every variable that is set
-- @tfield {ConfOther,...} others `load`, `pass`, and options that are not known
-- @usage print(conf.system, #conf.cpus, #conf.vdevs)

--- A `cpu` option.
-- @table ConfCpu
-- @tfield ?string name
-- @tfield ?string runmask
-- @tfield ?string sched
-- @tfield {[string]=string} set its variables, name to value
-- @tfield string file where it stands
-- @tfield integer line
-- @usage for _, cpu in ipairs(conf.cpus) do print(cpu.runmask, cpu.sched) end

--- A `ram` option.
-- @table ConfRam
-- @tfield ?integer address nil where qvm chooses
-- @tfield integer size bytes
-- @tfield string file where it stands
-- @tfield integer line
-- @usage for _, ram in ipairs(conf.ram) do print(ram.address, ram.size) end

--- The `dump` option.
-- @table ConfDump
-- @tfield ?string directory nil where the dump goes to a command
-- @tfield ?string command
-- @tfield string file where it stands
-- @tfield integer line
-- @usage print(conf.dump and conf.dump.directory)

--- A `logger` option.
-- @table ConfLogger
-- @tfield {string,...} filters
-- @tfield string destination
-- @tfield string file where it stands
-- @tfield integer line
-- @usage for _, logger in ipairs(conf.loggers) do print(logger.destination) end

--- A `vdev` option.
-- @table ConfVdev
-- @tfield string type
-- @tfield ?string name of its node
-- @tfield ?string loc
-- @tfield ?string intr
-- @tfield ?string hostdev
-- @tfield ?string peer
-- @tfield {[string]=string} set its variables, name to value
-- @tfield string file where it stands
-- @tfield integer line
-- @usage for _, vdev in ipairs(conf.vdevs) do print(vdev.type, vdev.name) end

--- A `set` option.
-- @table ConfSet
-- @tfield string name
-- @tfield string value
-- @tfield "global"|"cpu"|"vdev" context
-- @tfield ?integer index of the cpu or vdev, from 0
-- @tfield string file where it stands
-- @tfield integer line
-- @usage for _, set in ipairs(conf.set) do print(set.name, set.value) end

--- A `load` or `pass` option, or one that is not known.
-- @table ConfOther
-- @tfield string name
-- @tfield {string,...} arguments
-- @tfield string file where it stands
-- @tfield integer line
-- @usage for _, other in ipairs(conf.others) do print(other.name, other.line) end

--- What a configuration says, and what is.
-- @table Finding
-- @tfield string what it is about
-- @tfield string expected by the configuration
-- @tfield ?string actual nil where that cannot be seen
-- @tfield string verdict `"ok"`, `"differs"` or `"cannot tell"`
-- @tfield ?string file of the option, nil without one
-- @tfield ?integer line of the option, nil without one
-- @usage for _, f in ipairs(findings) do print(f.verdict, f.what, f.line) end

return oneline.with_name("qvm.conf", conf)
