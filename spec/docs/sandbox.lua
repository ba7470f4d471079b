-- Runs the blocks of a chapter in a directory that stands for the machine, with a shell
-- and, from the first line of Lua on, an interpreter. Both run until the chapter's end.
--
-- The shell's working directory is a tree of links to this checkout. Paths that the
-- documents name (/tmp, /dumps, ...) are below the directory: they are replaced in the
-- input and restored in the output.

local files = require "support.files"
local lfs = require "lfs"
local process = require "support.process"
local sim = require "support.sim"

local sandbox = {}
sandbox.__index = sandbox

local TIMEOUT = 30 -- seconds for one step

local roots = {"/tmp", "/var/log", "/dumps", "/usr/local"}

local quote = process.quote

-- The commands that `make install` installs: names and scripts.
local function commands()
  local list = {}
  for name in files.read("Makefile"):match("\nCOMMANDS%s*:= ([^\n]*)"):gmatch("%S+") do
    list["qvm-" .. name] = "examples/" .. name .. ".lua"
  end
  assert(list["qvm-diag"])
  return list
end

local function write_program(path, text)
  files.write(path, "#!/bin/sh\n" .. text .. "\n")
  assert(os.execute("chmod 755 " .. quote(path)))
end

local function make_programs(dir)
  local preload = os.getenv("LD_PRELOAD")
  local lua = ("%sexec %s \"$@\""):format(
    preload and "LD_PRELOAD=" .. quote(preload) .. " " or "",
    quote(io.popen("command -v " .. (os.getenv("LUA") or "lua5.4")):read("l")))
  write_program(dir .. "/lua5.4", lua)
  write_program(dir .. "/lua", lua)
  for name, script in pairs(commands()) do
    write_program(dir .. "/" .. name,
      ("exec lua5.4 %s \"$@\""):format(quote(lfs.currentdir() .. "/" .. script)))
  end
end

-- `build` is a link to the build under test, with the guests' dumps.
local function make_clone(dir)
  for name in lfs.dir(".") do
    if not name:match("^%.") and name ~= "build" then
      assert(lfs.link(lfs.currentdir() .. "/" .. name, dir .. "/" .. name, true))
    end
  end
  assert(lfs.link(sim.build, dir .. "/build", true))
end

function sandbox.open()
  local self = setmetatable({dir = files.dir(), steps = 0}, sandbox)
  for _, name in ipairs {"bin", "qvm", "var", "usr", "tmp", "dumps", "var/log", "usr/local"} do
    files.mkdir(name)
  end
  make_programs(self.dir .. "/bin")
  make_clone(self.dir .. "/qvm")
  local clone = self.dir .. "/qvm"
  files.mkdir("tmp/vms")
  self.shell = process.start({"setsid", "sh"}, {cwd = clone, log = self.dir .. "/shell.log", env = {
    SANDBOX = self.dir,
    PATH = ("%s/usr/local/bin:%s/bin:%s"):format(self.dir, self.dir, os.getenv("PATH")),
    LUA_PATH = clone .. "/lua/?.lua;" .. clone .. "/lua/?/init.lua;;",
    LUA_CPATH = clone .. "/build/?.so;;",
    QVM_ROOT = self.dir .. "/tmp/vms",
    QVM_BUILD = sim.build,
    BUILD = "build",  -- for make
    KEEP_FLAGS = "1", -- the build may use other flags, such as those of a sanitizer
    MAKEFLAGS = "s",  -- the docs do not show make's output
    MAKELEVEL = "",
    TERM = "dumb",
    COLUMNS = "1000", -- for longer lines the prompt shows only the end
    TZ = "UTC",
  }})
  self.shell:write((". %s\n"):format(quote(lfs.currentdir() .. "/spec/docs/prelude.sh")))
  return self
end

-- Replaces the documents' paths by those in the sandbox, and vice versa.
function sandbox:inside(text)
  text = " " .. text
  for _, root in ipairs(roots) do
    text = text:gsub("([%s\"'=>(;:])" .. root .. "%f[^%w_.-]", "%1" .. self.dir .. root)
  end
  return text:sub(2)
end

function sandbox:outside(text)
  return (text:gsub((self.dir:gsub("%p", "%%%0")), ""))
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("([^\n]*)\n?") do
    lines[#lines + 1] = line
  end
  while lines[#lines] == "" do
    lines[#lines] = nil
  end
  return lines
end

local function read(path)
  return files.exists(path) and files.read(path) or ""
end

-- Runs text in the chapter's shell unchanged. Returns its status, nil if it ended the
-- shell, and its output as lines.
local function execute(self, text, options)
  self.steps = self.steps + 1
  local script = files.write("step." .. self.steps, text .. "\n")
  local output, status = script .. ".out", script .. ".status"
  if not self.shell:is_alive() then
    return nil, {"the shell of this chapter has ended"}
  end
  self.shell:write(("%s. %s >%s 2>&1 </dev/null; echo $? >%s; set +e; mv %s %s.whole\n"):format(
    options == "-e" and "set -e; " or "", script, output, status, status, status))
  process.eventually(function()
    return files.exists(status .. ".whole") or not self.shell:is_alive()
  end, TIMEOUT)
  return tonumber(read(status .. ".whole")), lines_of(self:outside(read(output)))
end

-- The same for text from the documents. With "-e", the first command that fails ends it and
-- the shell.
function sandbox:run(text, options)
  return execute(self, self:inside(text), options)
end

-- The number of VMs, in any root.
function sandbox:vms()
  local pipe <close> = assert(io.popen(
    ("find %s -name env -type f 2>/dev/null"):format(quote(self.dir))))
  return select(2, pipe:read("a"):gsub("\n", ""))
end

local MARK = 'print "\\1end"'

-- Starts the interpreter of this chapter, replacing an earlier one.
function sandbox:start_lua(command)
  if self.lua_output then
    execute(self, "exec 3>&-")
  end
  local name = files.path("lua." .. self.steps)
  self.lua_output, self.lua_read = name .. ".out", 0
  assert(execute(self, ("mkfifo %s; %s -i <%s >%s 2>&1 & exec 3>%s"):format(name, command, name,
    self.lua_output, name)) == 0)
  self:type {}
end

-- Types lines at the interpreter's prompt. Returns the lines that the terminal shows, with
-- the typed ones, or nil if it does not answer.
local function type_lines(self, input)
  if not self.lua_output then
    self:start_lua("lua5.4 -l qvm")
  end
  local typed = files.write("typed", input .. MARK .. "\n")
  execute(self, "cat " .. typed .. " >&3")
  local from, to, text
  process.eventually(function()
    text = read(self.lua_output):sub(self.lua_read + 1)
    from, to = text:find("\1end\n", 1, true)
    return from
  end, TIMEOUT)
  if not from then
    return nil, lines_of(self:outside(text))
  end
  self.lua_read = self.lua_read + to
  local shown = lines_of(self:outside(text:sub(1, from - 1)))
  assert(table.remove(shown):find(MARK, 1, true), "the interpreter did not echo its input")
  return true, shown
end

function sandbox:type(input)
  return type_lines(self, self:inside(table.concat(input, "\n") .. "\n"))
end

-- Runs a ```lua block; returns whether it succeeded, and its output as lines.
function sandbox:block(lines, document, line)
  local path = files.write("block.lua", self:inside(table.concat(lines, "\n") .. "\n"))
  local ok, shown = type_lines(self, ("dofile(%q)(%q, %q, %d)\n"):format(
    lfs.currentdir() .. "/spec/docs/block.lua", path, document, line))
  table.remove(shown, 1)
  local printed = {}
  for i, text in ipairs(shown) do
    if text:sub(1, 1) == "\1" then
      return ok and text == "\1ok", printed, table.concat(shown, "\n", i):sub(2)
    end
    printed[i] = text
  end
  return false, printed, "the interpreter has ended, or does not answer:\n"
    .. table.concat(printed, "\n")
end

function sandbox:close()
  -- Includes all child processes; the shell may have ended already.
  os.execute(("kill -KILL -%d 2>/dev/null"):format(self.shell.pid))
  self.shell:wait()
  files.clean()
end

return sandbox
