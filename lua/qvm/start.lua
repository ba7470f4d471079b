-- The start of each command: decides where its modules come from, before the first of them is
-- loaded. Returns `need`, which is `require` with advice in its error messages. Arguments:
--   the name of the command;
--   its directory: examples/ of a checkout, or bin/ of an installation;
--   the exit status if it cannot start.
--
-- Lua's default path ends in the current directory, where other people may have put a file of
-- the right name. So relative entries are removed from the path, and the command's own
-- directories come first. A checkout is recognised by lua/qvm beside the command's directory,
-- never by the current directory; $QVM_BUILD is used only there.
--
-- This file uses the syntax of Lua 5.1, so that an older Lua can print the message below.

local command, here, status = ...

local function fail(message)
  io.stderr:write(command, ": ", message, "\n")
  os.exit(status, true)
end

if _VERSION ~= "Lua 5.4" then
  fail("this is " .. _VERSION .. ": run it with lua5.4")
end

local function is_file(path)
  local file = io.open(path, "rb")
  return file ~= nil and file:close()
end

-- The build directory of a checkout. A relative path is below the checkout, as for `make`.
local function build_of(checkout)
  local build = os.getenv("QVM_BUILD") or "build"
  return build:find("^/") and build or checkout .. "/" .. build
end

local function directories(place)
  local top = place .. "/.."
  if is_file(top .. "/lua/qvm/start.lua") then
    return top .. "/lua", build_of(top)
  end
  return top .. "/share/lua/5.4", top .. "/lib/lua/5.4"
end

local function absolute_entries(path)
  return (";" .. path):gsub(";[^;/][^;]*", "")
end

local lua_path, c_path = absolute_entries(package.path), absolute_entries(package.cpath)

local function look_from(place)
  local lua_directory, c_directory = directories(place)
  if (lua_directory .. c_directory):find("[;?]") then
    fail("Lua cannot load from a directory with ';' or '?' in its name: " .. lua_directory
      .. ", " .. c_directory)
  end
  package.path = ("%s/?.lua;%s/?/init.lua%s"):format(lua_directory, lua_directory, lua_path)
  package.cpath = ("%s/?.so%s"):format(c_directory, c_path)
end

local advice = {
  argparse = "Lua's argparse is missing: install lua-argparse",
  cjson = "lua-cjson is missing: install lua-cjson",
  lfs = "LuaFileSystem is missing: install lua-filesystem",
  ["qvm.core"] = "the qvm library is not built: run `make`",
}

local function need(name, reason)
  local ok, module = pcall(require, name)
  if ok then
    return module
  end
  local problem = tostring(module)
  local missing = problem:match("module '([^']*)' not found:")
  return fail(missing == name and reason or advice[missing] or problem:match("[^\n]*"))
end

look_from(here)
if not here:find("^/") then -- the current directory may change later
  local current, message = need("qvm.core").current_directory()
  look_from((current or fail(message)) .. "/" .. here)
end
return need
