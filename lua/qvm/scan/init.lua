-- find, strings and diff: the methods of a Dump, and of a Space, that scan memory. The
-- iterators are C functions, which work in steps, so that Ctrl-C and progress come in
-- between.

local addresses = require "qvm.util.address"
local check = require "qvm.util.arguments"
local core = require "qvm.core"
local errors = require "qvm.util.errors"

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

-- The first and the last address that options ask for; first > last if they ask for none.
local function bounds(memory, options)
  local resolved, message = addresses.in_options(memory, options)
  if not resolved then
    errors.raise(message)
  end
  local first, to = resolved.from or 0, resolved.to
  if to == 0 then
    return 1, 0
  end
  return first, (to or 0) - 1
end

-- Returns the iterator that a function of the core makes, or raises.
local function scan(make, memory, options, ...)
  options = options or {}
  local first, last = bounds(memory, options)
  local next, message, state, closing = make(memory, first, last, options.progress,
    options.threads, ...)
  if not next then
    errors.raise(message)
  end
  return next, message, state, closing
end

-- Returns the methods for a kind of memory, given the core's functions for it.
return function(methods)
  local scans = {}

  function scans.find(memory, bytes, options)
    check.string(bytes, 1, "find")
    if bytes == "" or #bytes > core.pattern_max then
      check.bad(1, "find", ("from 1 to %d bytes"):format(core.pattern_max))
    end
    check.options(options, "find", find_options, 2)
    return scan(methods.find, memory, options, bytes, options and options.align or 1)
  end

  function scans.strings(memory, min, options)
    min = min == nil and 4 or min
    check.integer(min, 1, "strings")
    if min < 1 or min > core.strings_max then
      check.bad(1, "strings", ("from 1 to %d bytes"):format(core.strings_max))
    end
    check.options(options, "strings", strings_options, 2)
    return scan(methods.strings, memory, options, min)
  end

  function scans.diff(memory, other, options)
    check.object(other, getmetatable(memory), 1, "diff")
    check.options(options, "diff", diff_options, 2)
    local granularity = options and options.granularity or 1
    if granularity & (granularity - 1) ~= 0 or granularity > 1 << 30 then
      errors.raise("option 'granularity' of 'diff' is not a power of two up to 2^30")
    end
    return scan(methods.diff, memory, options, other, granularity)
  end

  return scans
end
