-- Reports the coverage of each target's inputs: coverage.lua FOLDER TARGET... For parsers
-- in C: lines and branches of the files under test, by llvm-cov. For parsers in Lua: lines.

local cjson = require "cjson"

local folder = arg[1]

local files = {
  json = {"json/json.c", "json/json_number.c", "util/text.c"},
  elf = {"dump/elf.c", "dump/elf_core.c", "dump/elf_segments.c", "dump/elf_sections.c",
    "dump/memory_map.c", "dump/dump.c", "dump/format.c"},
  qnx_note = {"dump/qnx_note.c", "dump/qnx_log.c"},
  notes = {"dump/elf_notes.c", "dump/qemu_notes.c", "dump/qemu_machines.c"},
  gzip = {"dump/gzip.c", "dump/inflate.c"},
  pagetables = {"paging/page_table.c", "paging/address_space.c", "paging/mappings.c",
    "paging/space_memory.c"},
  kallsyms = {"guest/kallsyms.c", "guest/kallsyms_reader.c", "guest/kallsyms_addresses.c",
    "guest/page_stream.c"},
  orc = {"guest/orc.c", "guest/orc_walk.c"},
  btf = {"guest/btf.c", "guest/btf_names.c", "guest/btf_parts.c", "guest/btf_ref.c"},
  find = {"scan/find.c", "scan/pattern.c", "scan/scan.c", "dump/dump_memory.c",
    "scan/strings.c"},
  diff = {"scan/diff.c"},
  envfile = {"host/env_document.c"},
  vmcoreinfo = {"guest/vmcoreinfo.lua"},
  printk = {"guest/printk.lua", "guest/printk_ring.lua", "guest/printk_buffer.lua",
    "guest/printk_memory.lua", "guest/printk_options.lua"},
  tasks = {"guest/tasks.lua", "guest/task_memory.lua", "guest/task_registers.lua",
    "guest/file_path.lua", "guest/modules.lua", "guest/module_symbols.lua", "guest/cpus.lua",
    "guest/kernel_types.lua", "guest/lists.lua", "guest/maple_tree.lua"},
  crash = {"guest/crash.lua", "guest/crash_lines.lua"},
  conf = {"host/conf.lua", "host/conf_text.lua", "host/conf_words.lua",
    "host/conf_reader.lua"},
  symbols = {"guest/symbols.lua", "guest/symbol_file.lua", "guest/symbol_table.lua"},
  env = {"host/env.lua", "host/env_rules.lua", "host/env_errata.lua", "host/env_nodes.lua",
    "host/env_path.lua"},
  gdb = {"gdb/packet.lua", "gdb/session.lua", "gdb/target.lua", "gdb/monitor.lua",
    "gdb/memory.lua", "gdb/serve.lua"},
}

local function run(command, ...)
  local line = command:format(...)
  local pipe = assert(io.popen(line))
  local out = pipe:read("a")
  assert(pipe:close(), line)
  return out
end

-- Runs all inputs of a target; environment: tells it where to write the coverage.
local function run_inputs(target, environment)
  local places = ""
  for _, place in ipairs {folder .. "/corpus/", folder .. "/seeds/", "spec/fuzz/corpus/"} do
    if os.execute(("test -d %s%s"):format(place, target)) then
      places = places .. " " .. place .. target
    end
  end
  run("%s %s/cov/%s -runs=0 -detect_leaks=0 -timeout=60 %s 2>&1", environment, folder, target,
    places)
end

local function llvm(name)
  return "$(dirname \"$(readlink -f \"$(command -v clang)\")\")/llvm-" .. name
end

-- The branches that were never taken in one direction, from llvm-cov's export: line,
-- column, and the count for each direction.
local function report_branches(file, branches)
  local lines, missing, total = {}, {}, 0
  for line in io.lines("csrc/core/" .. file) do
    lines[#lines + 1] = line
  end
  for _, b in ipairs(branches) do
    total = total + 2
    for i, way in ipairs {"true", "false"} do
      if b[4 + i] == 0 then
        missing[#missing + 1] = ("  %s:%d:%d never %s: %s"):format(file, b[1], b[2], way,
          lines[b[1]]:match("^%s*(.-)%s*$"))
      end
    end
  end
  return total, missing
end

local function report_c(target)
  local profile = folder .. "/cov/" .. target .. ".profraw"
  run_inputs(target, "LLVM_PROFILE_FILE=" .. profile)
  run("%s merge -sparse -o %s.data %s", llvm "profdata", profile, profile)
  local data = cjson.decode(run("%s export -instr-profile %s.data %s/cov/%s 2>/dev/null",
    llvm "cov", profile, folder, target)).data[1]
  for _, name in ipairs(files[target]) do
    for _, file in ipairs(data.files) do
      if file.filename:match("[^/]*/[^/]*$") == name then
        local total, missing = report_branches(name, file.branches)
        local lines = file.summary.lines
        print(("%-11s %-14s lines %d/%d, branches %d/%d"):format(target, name, lines.covered,
          lines.count, total - #missing, total))
        if #missing > 0 then
          print(table.concat(missing, "\n"))
        end
      end
    end
  end
end

-- The lines of a Lua file that have code.
local function code_lines(path)
  local set = {}
  for line in run("luac5.4 -l -p %s", path):gmatch("\n\t%d+\t%[(%d+)%]") do
    set[tonumber(line)] = true
  end
  return set
end

local function report_lua(target)
  local line_file = folder .. "/cov/" .. target .. ".lines"
  run_inputs(target, "QVM_FUZZ_LINES=" .. line_file)
  local seen = {}
  for line in io.lines(line_file) do
    seen[line] = true
  end
  for _, name in ipairs(files[target]) do
    local path = "lua/qvm/" .. name
    local set, covered, total, missing, number = code_lines(path), 0, 0, {}, 0
    for text in io.lines(path) do
      number = number + 1
      -- A line hook misses the first line of a function with "...": of a file, line 1.
      local is_code = set[number] and not text:find("^%s*end[,;)]*%s*$")
        and not text:find("^%-%-") and not text:find("function.*%.%.%.%)$")
      total = total + (is_code and 1 or 0)
      if is_code and seen[path .. ":" .. number] then
        covered = covered + 1
      elseif is_code then
        missing[#missing + 1] = ("  %s:%d: %s"):format(name, number, text:match("^%s*(.*)$"))
      end
    end
    print(("%-11s %-14s lines %d/%d"):format(target, name, covered, total))
    if #missing > 0 then
      print(table.concat(missing, "\n"))
    end
  end
end

for i = 2, #arg do
  local one = files[arg[i]] or {}
  if not one[1] then
    print(arg[i] .. ": coverage.lua does not know what it is for")
  elseif one[1]:find("%.lua$") then
    report_lua(arg[i])
  else
    report_c(arg[i])
  end
end
