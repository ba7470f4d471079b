-- coverage.lua BUILD: prints a table of C lines and branches and of Lua lines that the
-- specs ran, from gcovr's summary and the files that lines.lua wrote. Exits with status 1
-- below WANTED.

local build = ...
local cjson = require "cjson"
local lfs = require "lfs"

local WANTED = 95 -- percent of all lines

local function row(name, covered, total, branches, of)
  print(("%-44s %6d %6d %5.1f%%%s"):format(name, covered, total, 100 * covered / math.max(total, 1),
    branches and ("  %5.1f%%"):format(100 * branches / math.max(of, 1)) or ""))
end

-- The lines of a Lua file that have code, according to the compiler. The first instruction
-- of a chunk is skipped, since it triggers no line hook.
local function code_lines(path)
  local lines, count = {}, 0
  local pipe <close> = assert(io.popen("luac5.4 -p -l " .. path))
  for line, instruction in pipe:read("a"):gmatch("\t%[(%d+)%]\t(%u+)") do
    local number = tonumber(line)
    if instruction ~= "VARARGPREP" then
      count = count + (lines[number] and 0 or 1)
      lines[number] = true
    end
  end
  return lines, count
end

local function lines_run()
  local run = {}
  for name in lfs.dir(build .. "/lines") do
    if name:sub(1, 1) ~= "." then
      for line in io.lines(build .. "/lines/" .. name) do
        run[line] = true
      end
    end
  end
  return run
end

local function lua_files()
  local files = {}
  local pipe <close> = assert(io.popen("ls lua/qvm/*.lua lua/qvm/*/*.lua"))
  for path in pipe:lines() do
    files[#files + 1] = path
  end
  return files
end

print(("%-44s %6s %6s %6s  %s"):format("file", "run", "lines", "", "branches"))
local file <close> = assert(io.open(build .. "/coverage.json"))
local summary = cjson.decode(file:read("a"))
for _, entry in ipairs(summary.files) do
  row(entry.filename, entry.line_covered, entry.line_total, entry.branch_covered,
    entry.branch_total)
end
row("all of C", summary.line_covered, summary.line_total, summary.branch_covered,
  summary.branch_total)

local run = lines_run()
local covered_lua, total_lua = 0, 0
local out <close> = assert(io.open(build .. "/lua-not-run", "w"))
for _, path in ipairs(lua_files()) do
  local lines, total = code_lines(path)
  local covered = 0
  for line in pairs(lines) do
    local here = path .. ":" .. line
    covered = covered + (run[here] and 1 or 0)
    if not run[here] then
      out:write(here, "\n")
    end
  end
  covered_lua, total_lua = covered_lua + covered, total_lua + total
  row(path, covered, total)
end
row("all of Lua", covered_lua, total_lua)
local covered_all = summary.line_covered + covered_lua
local total_all = summary.line_total + total_lua
row("all", covered_all, total_all)
os.exit(100 * covered_all / total_all >= WANTED and 0 or 1)
