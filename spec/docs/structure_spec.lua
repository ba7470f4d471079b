-- Which room may use which: the includes of the C core and the requires of the Lua layer,
-- held against docs/design.md.

local function lines_of(command)
  local pipe <close> = assert(io.popen(command))
  local list = {}
  for line in pipe:lines() do
    list[#list + 1] = line
  end
  return list
end

local function set(words)
  local members = {}
  for word in words:gmatch("%S+") do
    members[word] = true
  end
  return members
end

-- What the files of each room use beside their own room, as "file: what" where it is not
-- allowed; found: how many uses there are, so that a search that finds nothing fails.
local function violations(allowed, uses)
  local list, found = {}, 0
  for _, use in ipairs(uses) do
    found = found + 1
    if use.from ~= use.to and not (allowed[use.from] or {})[use.to] then
      list[#list + 1] = use.file .. ": " .. use.what
    end
  end
  return list, found
end

local c_rooms = {
  util = set "",
  json = set "util",
  host = set "util",
  dump = set "util",
  scan = set "util",
  paging = set "util dump",
  guest = set "util dump paging",
}

local function includes()
  local uses = {}
  for _, line in ipairs(lines_of [[grep -E '# *include "' csrc/core/*/*.[ch] ]]) do
    local file, room, what = line:match '^(csrc/core/(%w+)/[^:]+):# *include "([^"]+)"'
    uses[#uses + 1] = {file = file, from = room, what = what, to = what:match "^(%w+)/" or "none"}
  end
  return uses
end

-- "api" is `require "qvm"`, which loads the rest.
local lua_rooms = {
  init = set "core util host dump prompt api",
  assertions = set "host util",
  util = set "core",
  host = set "core util dump",
  scan = set "core util",
  paging = set "core util scan",
  guest = set "core util paging",
  dump = set "core util scan paging guest",
  prompt = set "core util host dump guest paging api",
  gdb = set "core util",
  diag = set "core util host api",
}

local function requires()
  local uses = {}
  for _, line in ipairs(lines_of [[grep -rE 'require *\(? *"qvm' lua/qvm --include=*.lua]]) do
    local file = line:match "^[^:]+"
    local room = file:match "^lua/qvm/(%w+)"
    for name in line:gmatch 'require *%(? *"(qvm[%w_.]*)"' do
      if not line:find("^[^:]+:%-%-") and not line:find "local qvm = require \"qvm\"$" then
        uses[#uses + 1] = {file = file, from = room, what = name,
          to = name == "qvm" and "api" or name:match "^qvm%.(%w+)"}
      end
    end
  end
  return uses
end

describe("the rooms", function()
  it("of the C core use only what they may", function()
    local list, found = violations(c_rooms, includes())
    assert.are.same({}, list)
    assert.is_true(found > 50)
  end)

  it("of the C core know nothing of Lua", function()
    assert.are.same({}, lines_of "grep -lE 'lua\\.h|lauxlib\\.h' csrc/core/*/*.[ch]")
  end)

  it("of the Lua layer use only what they may", function()
    local list, found = violations(lua_rooms, requires())
    assert.are.same({}, list)
    assert.is_true(found > 50)
  end)

  it("are where documents and comments say", function()
    local missing, found = {}, 0
    for _, line in ipairs(lines_of [[grep -rnoE \
      '(csrc/|lua/qvm/|docs/|spec/)[a-z0-9_./-]+\.(c|h|lua|md|sh|mk)\b' \
      csrc lua docs README.md examples spec --include=*.[ch] --include=*.lua --include=*.md]]) do
      local from, path = line:match "^(.-):%d+:(.*)$"
      found = found + 1
      if not (io.open(path) or io.open("spec/" .. path)) then
        missing[#missing + 1] = from .. ": " .. path
      end
    end
    assert.are.same({}, missing)
    assert.is_true(found > 30)
  end)
end)
