-- Reads the options of a configuration: their names, arguments and contexts. The grammar is
-- described in docs/configuration.md; csrc/sim/conf/conf.c implements the same.

local line = require "qvm.util.text"
local with_tostring = require "qvm.host.conf_text"
local words = require "qvm.host.conf_words"

local fail = words.fail

local OPTIONS_MAX = 65536

-- The number of arguments of each option. REST: the rest of the line, up to an option. LOAD:
-- `load` and a file, or `generate`, or else as REST.
local REST, LOAD = "rest", "load"

local global = {system = 1, ram = 1, rom = 1, load = 1, dump = 1, logger = 2, cmdline = 1,
  set = 2, initrd = LOAD, fdt = LOAD, data = LOAD, guest = LOAD, unsupported = 2, safety = 1,
  dryrun = 0, debug = REST, cpu = 0, vdev = 1, pass = 0, reserve = 0}

-- Options that open a context and close the previous one; the options of each context.
local contexts = {
  cpu = {sched = 1, partition = 1, runmask = 1, cluster = 1, name = 1},
  vdev = {loc = 1, intr = 1, name = 1, hostdev = 1, peer = 1},
  pass = {loc = 1, intr = 1},
  reserve = {loc = 1},
}

local names = {}
for _, options in pairs {global, contexts.cpu, contexts.vdev} do
  for name in pairs(options) do
    names[name] = true
  end
end

local Reader = {}
Reader.__index = Reader

-- The number of arguments of a word that is an option here, or nil; and whether the option
-- belongs to the open context.
function Reader:known(word)
  if word.quoted then
    return nil
  end
  local mine = self.open and contexts[self.open][word.text]
  if mine then
    return mine, true
  end
  return global[word.text], false
end

-- Can a word be an argument of an option? It must be in the same file. An option's name at the
-- beginning of a line shows that the argument was left out.
local function is_argument(word, option)
  return word and word.source == option.source
    and not (word.starts_line and not word.quoted and names[word.text])
end

function Reader:arguments(option, count)
  local list = {}
  for i = 1, count do
    if not is_argument(self.words:peek(), option) then
      fail("malformed", option, "'%s' has %s, and %s", option.text,
        line.count(count, "argument"), i == 1 and "none follows" or "one is missing")
    end
    list[i] = self.words:next().text
  end
  return list
end

-- The rest of the option's line, up to an option. A command line counts as one line.
function Reader:rest(option)
  local list = {}
  while true do
    local word = self.words:peek()
    if not word or word.source ~= option.source or word.starts_line
      or self:known(word) ~= nil then
      return list
    end
    list[#list + 1] = self.words:next().text
  end
end

-- "load file" of an initrd, fdt and so on.
function Reader:load_arguments(option)
  local word = self.words:peek()
  if is_argument(word, option) and word.text == "generate" then
    return {self.words:next().text}
  elseif not word or word.source ~= option.source or word.starts_line or word.text ~= "load" then
    return self:rest(option)
  end
  self.words:next()
  return {"load", self:arguments(word, 1)[1]}
end

local units = {[""] = 0, K = 10, M = 20, G = 30, k = 10, m = 20, g = 30}

-- A number with a unit, exactly; nil if it is not one.
local function size_of(text)
  local digits, unit = text:match("^(0[xX][0-9a-fA-F]+)([KMGkmg]?)$")
  if not digits then
    digits, unit = text:match("^([0-9]+)([KMGkmg]?)$")
  end
  if not digits then
    digits, unit = text:match("^0[dD]([0-9]+)([KMGkmg]?)$")
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
  if arguments[1]:find("^name=") then
    fail("malformed", option, "'system %s' is not the syntax: write 'system %s'", arguments[1],
      arguments[1]:sub(6))
  elseif self.count > 1 then
    fail("malformed", option, "'system' must be the first option")
  end
  self.result.system = arguments[1]
  self.result.system_file, self.result.system_line = option.file, option.line
end

function take.ram(self, option, arguments)
  local address, size = arguments[1]:match("^([^,]*),(.*)$")
  size = size_of(size or arguments[1])
  if not size or address and not size_of(address) then
    fail("malformed", option, "'%s' is not [address,]size", arguments[1])
  end
  table.insert(self.result.ram, with_tostring("ram", {address = address and size_of(address),
    size = size, file = option.file, line = option.line}))
end

-- Opens the context of an option, whose entry takes the options that follow.
local function open(self, option, entry)
  entry.file, entry.line = option.file, option.line
  self.open, self.entry = option.text, entry
end

function take.cpu(self, option)
  open(self, option, {set = {}})
  table.insert(self.result.cpus, with_tostring("cpu", self.entry))
end

-- "pl011", "vdev-pl011" and "vdev-pl011.so" are the same type.
local function type_of(text)
  return text:match("^vdev%-(.+)%.so$") or text:match("^vdev%-(.+)$")
    or text:match("^(.+)%.so$") or text
end

function take.vdev(self, option, arguments)
  open(self, option, {type = type_of(arguments[1]), set = {}})
  table.insert(self.result.vdevs, with_tostring("vdev", self.entry))
end

local function other(self, option, arguments)
  local entry = with_tostring("other", {name = option.text, arguments = arguments,
    file = option.file, line = option.line})
  table.insert(self.result.others, entry)
  return entry
end

function take.pass(self, option, arguments)
  open(self, option, other(self, option, arguments))
end

take.reserve = take.pass

function take.dump(self, option, arguments)
  local command = arguments[1]:match("^|[ \t]*(.*)$")
  self.result.dump = with_tostring("dump", {directory = not command and arguments[1] or nil,
    command = command, file = option.file, line = option.line})
end

function take.logger(self, option, arguments)
  local filters = {}
  for filter in arguments[1]:gmatch("[^,]+") do
    filters[#filters + 1] = filter
  end
  table.insert(self.result.loggers, with_tostring("logger", {filters = filters,
    destination = arguments[2], file = option.file, line = option.line}))
end

function take.set(self, option, arguments)
  local entry = {name = arguments[1], value = arguments[2], file = option.file,
    line = option.line, context = "global"}
  if self.entry and self.entry.set then
    entry.context = self.open
    self.entry.set[entry.name] = entry.value
    entry.index = #self.result[entry.context .. "s"] - 1
  end
  table.insert(self.result.set, with_tostring("set", entry))
end

-- Rejects `sched=8`, which should be `sched 8`.
local function check_blanks(option)
  local name, value = option.text:match("^([a-z]+)=(.*)$")
  if not option.quoted and names[name] then
    fail("malformed", option, "'%s' is not the syntax: write '%s %s'", option.text, name,
      (value:match("^[^,]*")))
  end
end

-- Sets an option of the open context. A `pass` and a `reserve` keep theirs in order.
function Reader:sub_option(option, value)
  if self.entry.arguments then
    table.insert(self.entry.arguments, option.text)
    table.insert(self.entry.arguments, value)
  else
    self.entry[option.text] = value
  end
end

function Reader:unknown(option)
  check_blanks(option)
  local rest = self:rest(option)
  local list = self.entry and self.entry.arguments
  if list and not option.starts_line then
    list[#list + 1] = option.text
    table.move(rest, 1, #rest, #list + 1, list)
  else
    other(self, option, rest)
  end
end

function Reader:option(option)
  self.count = self.count + 1
  if self.count > OPTIONS_MAX then
    fail("too_large", option, "more than %d options", OPTIONS_MAX)
  end
  local count, is_sub = self:known(option)
  if count == nil then
    return self:unknown(option)
  elseif is_sub then
    return self:sub_option(option, self:arguments(option, count)[1])
  end
  local arguments = count == REST and self:rest(option)
    or count == LOAD and self:load_arguments(option) or self:arguments(option, count)
  local taker = take[option.text] or other
  taker(self, option, arguments)
end

-- Reads files, and then options (see conf_words.lua), into the lists of `result`.
return function(result, paths, options)
  local self = setmetatable({words = words.of(paths, options), count = 0, result = result},
    Reader)
  for option in self.words.next, self.words do
    self:option(option)
  end
  return result
end
