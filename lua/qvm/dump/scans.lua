-- The methods of a Dump that pass over its memory: find, find_any, strings, diff.
-- The iterators are C functions, which do their work in steps, so that Ctrl-C and
-- progress come in between.

local addresses = require "qvm.util.address"
local check = require "qvm.util.arguments"
local core = require "qvm.core"

local methods = core.dump

local range_options = {from = "address", to = "address", progress = "function"}

local function with_range(options)
  for name, kind in pairs(range_options) do
    options[name] = kind
  end
  return options
end

-- The first and the last address that options ask for; first > last where that
-- is none at all. nil, message, code.
local function range(dump, options)
  local message, code
  options, message, code = addresses.in_options(dump, options)
  if not options then
    return nil, message, code
  end
  local first, to = options.from or 0, options.to
  if to == nil then
    return first, -1
  elseif to == 0 then
    return 1, 0
  end
  return first, to - 1
end

local passes = {}

local find_options = with_range {align = "positive integer"}

local function find(dump, patterns, options, several)
  options = options or {}
  local first, last, code = range(dump, options)
  if not first then
    return nil, last, code
  end
  return methods.find(dump, first, last, patterns, options.align or 1, several,
    options.progress)
end

local function check_pattern(pattern, index, name)
  if type(pattern) ~= "string" then
    error(("bad argument #%d to '%s' (string expected, got %s)")
      :format(index, name, type(pattern)), 3)
  elseif pattern == "" then
    error(("bad argument #%d to '%s' (an empty pattern is everywhere)")
      :format(index, name), 3)
  elseif #pattern > core.pattern_max then
    error(("bad argument #%d to '%s' (a pattern of more than %d bytes)")
      :format(index, name, core.pattern_max), 3)
  end
end

function passes.find(dump, pattern, options)
  check_pattern(pattern, 1, "find")
  check.options(options, "find", find_options, 2)
  return find(dump, {pattern}, options, false)
end

function passes.find_any(dump, patterns, options)
  if type(patterns) ~= "table" or #patterns == 0 then
    error("bad argument #1 to 'find_any' (array of strings expected)", 2)
  end
  if #patterns > core.patterns_max then
    error(("bad argument #1 to 'find_any' (more than %d patterns)")
      :format(core.patterns_max), 2)
  end
  local copy, size = {}, 0
  for i = 1, #patterns do
    check_pattern(patterns[i], 1, "find_any")
    copy[i], size = patterns[i], size + #patterns[i]
  end
  if size > core.pattern_max then
    error(("bad argument #1 to 'find_any' (patterns of more than %d bytes)")
      :format(core.pattern_max), 2)
  end
  check.options(options, "find_any", find_options, 2)
  return find(dump, copy, options, true)
end

local strings_options = with_range {}

function passes.strings(dump, min, options)
  if min == nil then
    min = 4
  end
  check.integer(min, 1, "strings")
  if min < 1 or min > 65536 then
    error("bad argument #1 to 'strings' (from 1 to 65536 bytes)", 2)
  end
  check.options(options, "strings", strings_options, 2)
  options = options or {}
  local first, last, code = range(dump, options)
  if not first then
    return nil, last, code
  end
  return methods.strings(dump, first, last, min, options.progress)
end

local diff_options = with_range {granularity = "positive integer"}

function passes.diff(dump, other, options)
  if getmetatable(other) ~= getmetatable(dump) then
    error(("bad argument #1 to 'diff' (Dump expected, got %s)"):format(type(other)), 2)
  end
  check.options(options, "diff", diff_options, 2)
  options = options or {}
  local granularity = options.granularity or 1
  if granularity & (granularity - 1) ~= 0 or granularity > 1 << 30 then
    error("option 'granularity' of 'diff' is not a power of two up to 2^30", 2)
  end
  local first, last, code = range(dump, options)
  if not first then
    return nil, last, code
  end
  return methods.diff(dump, first, last, other, granularity, options.progress)
end

return passes
