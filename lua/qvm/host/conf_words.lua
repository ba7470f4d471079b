-- Splits configuration files into words, and follows includes. The syntax is described in
-- docs/configuration.md; csrc/sim/conf/token.c implements the same.
--
-- Words are read one at a time, and a file's text is dropped at its end. Text, files and
-- nesting are limited, since a file can include itself, or others many times.

local core = require "qvm.core"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"

local words = {}

local TEXT_MAX, FILES_MAX, DEPTH_MAX = 1 << 20, 1000, 16

-- Failures --------------------------------------------------------------------

-- Fails with a message about a word or file. Text of the file in the message is cut and
-- escaped.
function words.fail(code, place, format, ...)
  local arguments = {...}
  for i, argument in ipairs(arguments) do
    arguments[i] = type(argument) == "string" and line.cut(argument) or argument
  end
  local message = ("%s:%d: "):format(place.file, place.line)
    .. format:format(table.unpack(arguments))
  errors.fail(line.escape_controls(message), code)
end

local fail = words.fail

-- Files -----------------------------------------------------------------------

local Words = {}
Words.__index = Words

local function line_of(text, at)
  local _, breaks = text:sub(1, at):gsub("\n", "")
  return breaks + 1
end

-- Refuses NUL bytes. at_line: for a text that is one word of a command line.
local function check_nul(text, file, at_line)
  local nul = text:find("\0", 1, true)
  if nul then
    fail("malformed", {file = file, line = at_line or line_of(text, nul)}, "it contains a NUL")
  end
end

-- Opens a file. `from` is the word that includes it, nil if it was named by the caller.
function Words:open(path, from)
  self.files = self.files + (from and 1 or 0)
  if from and self.source.depth == DEPTH_MAX then
    fail("malformed", from, "%d files include one another", DEPTH_MAX)
  elseif self.files > FILES_MAX then
    fail("too_large", from, "more than %d files are included", FILES_MAX)
  end
  local text, message, code = core.read_file(path)
  if not text and from then
    fail(code == "too_large" and code or "malformed", from, "%s", message)
  elseif not text then
    errors.fail(line.escape_controls(message), code)
  end
  self.size = self.size + #text
  if self.size > TEXT_MAX then
    fail("too_large", from or {file = path, line = 1},
      "more than %d KiB of configuration with this file", TEXT_MAX >> 10)
  end
  check_nul(text, path)
  return {text = text, at = text:find("^\xef\xbb\xbf") and 4 or 1, line = 1, file = path,
    fresh = true, depth = from and self.source.depth + 1 or 1}
end

function Words:include(word)
  local name = word.text:sub(2)
  if name == "" then
    fail("malformed", word, "no file name after the @")
  end
  -- Our reading: a relative name is relative to the including file.
  local directory = self.source.file:match("^(.*/)[^/]*$") or ""
  local source = self:open(name:sub(1, 1) == "/" and name or directory .. name, word)
  source.parent, self.source = self.source, source
end

-- Words -----------------------------------------------------------------------

-- Moves to the beginning of the next word; false at the end of the text.
local function find_word(source)
  local text = source.text
  while true do
    local at = text:find("[^ \t\r\f\v]", source.at)
    local c = at and text:byte(at)
    if c == 35 then -- a comment
      at = text:find("\n", at, true)
      c = 10
    end
    if not at then
      return false
    elseif c ~= 10 then
      source.at = at
      return true
    end
    source.at, source.line, source.fresh = at + 1, source.line + 1, true
  end
end

-- Reads the text in quotes, from the opening one on.
local function take_quoted(source)
  local text, at = source.text, source.at
  local stop = text:find(text:sub(at, at), at + 1, true)
    or fail("malformed", source, "a quote is not closed")
  local inside = text:sub(at + 1, stop - 1)
  source.at = stop + 1
  if inside:find("\n", 1, true) then
    local _, breaks = inside:gsub("\n", "")
    source.line = source.line + breaks
    inside = inside:gsub("\\\r?\n", ""):gsub("\r\n", "\n")
  end
  return inside
end

local function take_word(source)
  local word = {file = source.file, line = source.line, source = source,
    starts_line = source.fresh, includes = source.text:byte(source.at) == 64}
  local text, parts = source.text, {}
  source.fresh = false
  while true do
    local at = source.at
    local stop = text:find("[ \t\r\n\f\v\"']", at) or #text + 1
    if stop > at then
      parts[#parts + 1] = text:sub(at, stop - 1)
      source.at = stop
    end
    if not text:find("^[\"']", stop) then
      word.text = parts[2] and table.concat(parts) or parts[1] or ""
      return word
    end
    word.quoted = true
    parts[#parts + 1] = take_quoted(source)
  end
end

-- The next word of an array from the caller, taken literally.
local function take_argument(source)
  source.line = source.line + 1
  local text = source.list[source.line]
  return text and {text = text, file = source.file, line = source.line, source = source,
    starts_line = source.line == 1, includes = text:byte() == 64}
end

local function next_of(source)
  if source.list then
    return take_argument(source)
  end
  return find_word(source) and take_word(source) or nil
end

-- Course notes contain templates, which a script has to fill in before a qvm reads them.
local function check_template(word)
  local name = word.source.text and not word.quoted and word.text:match("@[A-Z][A-Z0-9_]*@")
  if name then
    fail("malformed", word, "'%s' is a placeholder of a template: replace it by a value", name)
  end
end

-- The next word that is not an include; nil at the end.
function Words:read()
  while self.source do
    local word = next_of(self.source)
    if not word then
      self.source = self.source.parent or self:begin()
    else
      check_template(word)
      if not word.includes then
        return word
      end
      self:include(word)
    end
  end
end

-- The next source that the caller named.
function Words:begin()
  local given = self.given[self.at]
  self.at = self.at + 1
  if type(given) == "string" then
    return self:open(given)
  end
  return given
end

-- The next word, without taking it.
function Words:peek()
  self.ahead = self.ahead or self:read()
  return self.ahead
end

-- Takes the next word; nil at the end.
function Words:next()
  local word = self:peek()
  self.ahead = nil
  return word
end

local function check_options(options)
  if type(options) == "string" then
    return check_nul(options, "options")
  end
  for i, text in ipairs(options or {}) do
    check_nul(text, "options", i)
  end
end

-- Makes the words of files, and then of options: a text, or an array of words as on a command
-- line. Its methods call errors.fail.
function words.of(paths, options)
  check_options(options)
  local given = table.move(paths, 1, #paths, 1, {})
  if type(options) == "string" then
    given[#given + 1] = {text = options, at = 1, line = 1, file = "options", fresh = true,
      depth = 1}
  elseif options then
    given[#given + 1] = {list = options, line = 0, file = "options", depth = 1}
  end
  local self = setmetatable({given = given, at = 1, files = 0, size = 0}, Words)
  self.source = self:begin()
  return self
end

return words
