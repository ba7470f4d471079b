-- Help for the prompt: finds the page that is meant. The pages are made from the LDoc comments
-- when the library is built (docs/reference.lua).

local system = require "qvm.util.system"
local line = require "qvm.util.text"
local view = require "qvm.prompt.show"

local help = {}

local NEAREST = 3     -- names in a message
local LONGEST = 60    -- no name is longer

local function exists(path)
  local size, _, code = system.stat(path)
  return size or code ~= "not_found"
end

-- Like package.searchpath, which ignores a file that it cannot open now.
local function search(name, templates)
  for template in templates:gmatch("[^;]+") do
    local path = template:gsub("%?", (name:gsub("%.", "/")))
    if exists(path) then
      return path
    end
  end
end

-- Loads the pages: from qvmlua, which contains them; in a checkout beside the C module;
-- installed beside the other modules. In this order, since the path of a checkout may also lead
-- to an installation.
local function load_pages()
  local contained = package.preload["qvm.help_text"]
  if contained then
    return contained()
  end
  local module = search("qvm.core", package.cpath)
  local beside = module and module:gsub("[^/]*$", "help_text.lua")
  local path = beside and exists(beside) and beside or search("qvm.help_text", package.path)
  if not path then
    return nil, "the text of qvm.help is missing: `make` writes it in a checkout, "
      .. "`make install` installs it", "not_found"
  end
  local text, message, code = system.read_file(path)
  if not text then
    return nil, message, code
  end
  return assert(load(text, "@" .. path, "t", {}))()
end

-- "Qvm.VM:Dump()" and "vm.dump" are the same name.
local function plain(name)
  local key = line.lower((name:match("^%s*(.-)%s*$"):gsub("%s*%b()$", ""):gsub(":", ".")))
  return (key:gsub("^qvm%.", ""))
end

-- The pages for a name: the page of exactly that name, or else all that it may mean.
local function pages_of(pages, name)
  local found, short, key = {}, {}, plain(name)
  for _, entry in ipairs(pages) do
    if entry.name == name then
      return {entry.page}
    elseif plain(entry.name) == key then
      found[#found + 1] = entry.page
    elseif entry.name:match("[%w_]+$") == name then
      short[#short + 1] = entry.page
    end
  end
  -- "translate" alone is enough if only one kind of object has it.
  return found[1] and found or short[2] and {} or short
end

-- The tables of functions, by the prefix of their names.
local function owners()
  local list = {["qvm."] = require "qvm"}
  for _, methods in ipairs {require "qvm.host.vm", require "qvm.host.env",
    require "qvm.host.env_vcpu", require "qvm.dump", require "qvm.dump.vcpu",
    require "qvm.paging.address_space", require "qvm.guest.symbols",
    require "qvm.guest.types".Type} do
    list[methods.__name .. ":"] = methods
  end
  for _, name in ipairs {"c", "errata", "conf"} do
    list["qvm." .. name .. "."] = rawget(list["qvm."], name)
  end
  return list
end

local function name_of_function(pages, value)
  local list = owners()
  for _, entry in ipairs(pages) do
    local owner, name = entry.name:match("^(.*[.:])([%w_]+)$")
    local methods = list[owner]
    if methods and rawget(methods, name) == value then
      return entry.name
    end
  end
end

-- The name of a value's page; nil and a description if it has none.
local function name_of(pages, value)
  if type(value) == "string" then
    return value
  elseif type(value) == "function" then
    return name_of_function(pages, value), "a function that does not belong to qvm"
  end
  for _, name in ipairs {"c", "errata", "conf"} do
    if rawequal(value, rawget(require "qvm", name)) and value ~= nil then
      return "qvm." .. name
    end
  end
  local meta = getmetatable(value)
  local name = type(meta) == "table" and rawget(meta, "__name")
  return type(name) == "string" and name or nil,
    "a " .. type(value) .. " that does not belong to qvm"
end

-- The number of edits between a name and that of a page, or the last part of that.
local function far(key, name)
  name = plain(name)
  local last = name:match("[%w_]+$")
  return math.min(line.distance(key, name), line.distance(key:match("[^.]*$"), last) + 1)
end

local function nearest(pages, name)
  local names = {}
  for i, entry in ipairs(pages) do
    names[i] = entry.name
  end
  return table.move(line.nearest(plain(name), names, far), 1, NEAREST, 1, {})
end

local function not_found(what, names)
  return nil, ("no help for %s: %s"):format(what, names and names[1]
    and "is it " .. table.concat(names, ", ") .. "?" or "qvm.help() lists all names"),
    "not_found"
end

-- The names that have a page; an empty array if the pages cannot be read.
function help.names()
  local names = {}
  for i, entry in ipairs(load_pages() or {}) do
    names[i] = entry.name
  end
  return names
end

function help.text(about)
  local pages, message, code = load_pages()
  if not pages then
    return nil, message, code
  elseif about == nil or rawequal(about, require "qvm") or about == "qvm" then
    return pages.overview
  end
  local name, what = name_of(pages, about)
  if not name then
    return not_found(what)
  elseif #name > LONGEST then
    return not_found(view.text(name))
  end
  local found = pages_of(pages, name)
  if not found[1] then
    return not_found(view.text(name), nearest(pages, name))
  end
  return table.concat(found, "\n\n")
end

return help
