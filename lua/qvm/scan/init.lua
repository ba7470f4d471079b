-- find, strings and diff: the methods of a Dump, and of a Space, that scan memory. The
-- iterators are C functions, which work in steps, so that Ctrl-C and progress come in
-- between.

local addresses = require "qvm.util.address"
local check = require "qvm.util.arguments"
local core = require "qvm.core"

local function with_common(options)
  for name, kind in pairs {from = "address", to = "address", progress = "function",
    threads = "positive integer"} do
    options[name] = kind
  end
  return options
end

local find_options = with_common {align = "positive integer"}
local strings_options = with_common {}
local diff_options = with_common {granularity = "positive integer"}

-- The first and the last address that options ask for; first > last where they ask for
-- none. Raises at the caller of the method.
local function bounds(memory, options)
  local resolved, message = addresses.in_options(memory, options)
  if not resolved then
    error(message, 3)
  end
  local first, to = resolved.from or 0, resolved.to
  if to == 0 then
    return 1, 0
  end
  return first, (to or 0) - 1
end

-- The iterator that a method of the core makes; or raises at the caller of the method.
local function scan(make, memory, options, ...)
  options = options or {}
  local first, last = bounds(memory, options)
  local next, message, state, closing = make(memory, first, last, options.progress,
    options.threads, ...)
  if not next then
    error(message, 2) -- the method called us as its last act: its caller
  end
  return next, message, state, closing
end

-- The methods for a kind of memory, by the functions of the core for it.
return function(methods)
  local scans = {}

  function scans.find(memory, bytes, options)
    check.string(bytes, 1, "find")
    if bytes == "" or #bytes > core.pattern_max then
      error(("bad argument #1 to 'find' (from 1 to %d bytes)"):format(core.pattern_max), 2)
    end
    check.options(options, "find", find_options, 2)
    return scan(methods.find, memory, options, bytes, options and options.align or 1)
  end

  function scans.strings(memory, min, options)
    min = min == nil and 4 or min
    check.integer(min, 1, "strings")
    if min < 1 or min > core.strings_max then
      error(("bad argument #1 to 'strings' (from 1 to %d bytes)"):format(core.strings_max), 2)
    end
    check.options(options, "strings", strings_options, 2)
    return scan(methods.strings, memory, options, min)
  end

  function scans.diff(memory, other, options)
    if getmetatable(other) ~= getmetatable(memory) then
      error(("bad argument #1 to 'diff' (Dump expected, got %s)"):format(type(other)), 2)
    end
    check.options(options, "diff", diff_options, 2)
    local granularity = options and options.granularity or 1
    if granularity & (granularity - 1) ~= 0 or granularity > 1 << 30 then
      error("option 'granularity' of 'diff' is not a power of two up to 2^30", 2)
    end
    return scan(methods.diff, memory, options, other, granularity)
  end

  return scans
end
