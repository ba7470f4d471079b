-- embed.lua OUTPUT COMMANDS HELP FILE...: writes the Lua files that qvmlua contains as a C file
-- (see sources.h).
--
--   COMMANDS  names of commands, separated by spaces: examples/NAME.lua starts one
--   HELP      the texts of qvm.help, module qvm.help_text
--   FILE...   files below lua/; the path is the module's name
--
-- argparse is embedded as this interpreter finds it. Texts are embedded, not bytecode, so that
-- messages have lines and the executable can be built on any machine. gzip packs them to a
-- quarter.

local output, commands, help = table.unpack(arg, 1, 3)

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return assert(file:read("a"))
end

local function module_of(path)
  local name = path:match("^lua/(.*)%.lua$"):gsub("/", "."):gsub("%.init$", "")
  return name
end

-- Lua text that returns the module that each command starts, by the command's name. The
-- scripts in examples/ only find the library, start that module and exit.
local function commands_text()
  local lines = {}
  for name in commands:gmatch("%S+") do
    local path = ("examples/%s.lua"):format(name)
    local module = read(path):match('%("(qvm[%w_.]*)"%)%.run%(arg%)')
    lines[#lines + 1] = ("[%q] = %q,"):format(name,
      module or error(path .. ": the module that it runs was not found", 0))
  end
  return "return {" .. table.concat(lines, " ") .. "}\n"
end

-- The sources: module, name in messages, text.
local function collect()
  local argparse = assert(package.searchpath("argparse",
    ((";" .. package.path):gsub(";[^;/][^;]*", "")))) -- no relative entries
  local list = {
    {"argparse", "argparse.lua", read(argparse)},
    {"qvm.help_text", "qvm/help_text.lua", read(help)},
    {"qvmlua.main", "main.lua", read("csrc/qvmlua/main.lua")},
    {"qvmlua.commands", "commands.lua", commands_text()},
    {"qvmlua.licences", "licences.lua",
      ("return %q\n"):format(read("csrc/qvmlua/licences.txt"))},
  }
  for i = 4, #arg do
    list[#list + 1] = {module_of(arg[i]), arg[i]:match("^lua/(.*)$"), read(arg[i])}
  end
  return list
end

local numbers = {}
for byte = 0, 255 do
  numbers[string.char(byte)] = byte .. ","
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local function packed(text)
  local path = output .. ".text"
  write(path, text)
  local pipe <close> = assert(io.popen(("gzip -9nc '%s'"):format(path)))
  local bytes = assert(pipe:read("a"))
  assert(pipe:close(), "gzip failed")
  os.remove(path)
  return bytes
end

local arrays, entries = {}, {}
for i, source in ipairs(collect()) do
  local module, name, text = table.unpack(source)
  assert(load(text, "@" .. name, "t"))
  arrays[i] = ("static const unsigned char packed%d[] = {\n%s\n};\n"):format(i,
    packed(text):gsub(".", numbers):gsub(("[^,]*,"):rep(20), "%0\n"))
  entries[i] = ('    {"%s", "@qvmlua:%s", packed%d, sizeof packed%d, %d},\n'):format(module, name,
    i, i, #text)
end
entries[#entries + 1] = "    {0, 0, 0, 0, 0},\n"
write(output, ('#include "sources.h"\n\n%s\nconst struct source sources[] = {\n%s};\n')
  :format(table.concat(arrays, "\n"), table.concat(entries)))
