-- For $LUA_INIT_5_4: notes which lines of the library are run, in every interpreter that the
-- specs start, and leaves that in the directory $QVM_LINES.

local directory = os.getenv("QVM_LINES")
local seen, by_source = {}, {}

-- The lines of a source by the name that Lua has for it, or false where it is none of ours.
local function lines_of(source)
  local file = source:match("^@.-(lua/qvm/[%w_/]+%.lua)$")
  seen[file or false] = file and (seen[file] or {}) or nil
  by_source[source] = file and seen[file] or false
  return by_source[source]
end

local getinfo = debug.getinfo

local function note(_, line)
  local source = getinfo(2, "S").source
  local lines = by_source[source]
  if lines == nil then
    lines = lines_of(source)
  end
  if lines then
    lines[line] = true
  end
end

local written = false

local function write()
  if written then
    return
  end
  written = true
  debug.sethook()
  local name = os.tmpname()
  os.remove(name)
  local file = io.open(directory .. "/" .. name:match("[^/]*$"), "w")
  for source, lines in pairs(seen) do
    for line in pairs(lines) do
      file:write(source, ":", line, "\n")
    end
  end
  file:close()
end

-- A coroutine has a hook of its own.
local create, wrap = coroutine.create, coroutine.wrap

local function hooked(f)
  return function(...)
    debug.sethook(note, "l")
    return f(...)
  end
end

function coroutine.create(f)
  return create(hooked(f))
end

function coroutine.wrap(f)
  return wrap(hooked(f))
end

local exit = os.exit

function os.exit(...)
  write()
  exit(...)
end

at_the_end = setmetatable({}, {__gc = write}) -- luacheck: ignore
debug.sethook(note, "l")
