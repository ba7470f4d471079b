-- Copies the core's sources with its limits scaled down, so that inputs of some KiB
-- come to them: lua5.4 spec/fuzz/scale.lua TO. Fails where a limit is not found.

local to = assert(arg[1], "scale.lua TO")

local limits = {
  ["dump/elf.h"] = {{"1u << 17", "1u << 12"}},
  ["dump/elf_symbols.h"] = {{"ELF_SYMBOL_NAME_MAX 4095", "ELF_SYMBOL_NAME_MAX 127"},
    {"24 * 2048", "24 * 16"}},
  ["dump/elf_sections.h"] = {{"1u << 18", "1u << 10"}},
  ["dump/memory_map.c"] = {{"64 << 20", "64 << 10"}},
  ["dump/elf_sections.c"] = {{"STRINGS_MAX = 4 << 20", "STRINGS_MAX = 1 << 10"},
    {"NEAR = 1 << 20", "NEAR = 1 << 12"}},
  ["dump/elf_notes.c"] = {{"NAME_SIZE_MAX = 1 << 16", "NAME_SIZE_MAX = 1 << 7"}},
  ["dump/qemu_notes.c"] = {{"VCPUS_MAX = 65536", "VCPUS_MAX = 4"},
    {"NOTES_MAX = 1 << 18", "NOTES_MAX = 20"}},
  ["dump/qemu_machines.c"] = {{"0x405, 0, 1 << 20", "0x405, 0, 1 << 8"}},
  ["dump/qnx_note.h"] = {{"QNX_NOTE_NAMED_MAX 512u", "QNX_NOTE_NAMED_MAX 16u"},
    {"QNX_NOTE_EXTRA_MAX (1u << 20)", "QNX_NOTE_EXTRA_MAX (1u << 8)"}},
  ["dump/qnx_note.c"] = {{"TEXT_MAX = 16 << 20", "TEXT_MAX = 1 << 10"}},
  ["dump/gzip.h"] = {{"GZIP_POINTS 512", "GZIP_POINTS 8"}},
  ["dump/gzip.c"] = {{"CHUNK = 256 << 10", "CHUNK = 4 << 10"}, {"SLOTS = 32", "SLOTS = 4"},
    {"SPACING = 1 << 20", "SPACING = 8 << 10"}, {"AT_ONCE = 64 << 20", "AT_ONCE = 64 << 10"}},
  ["dump/inflate.c"] = {{"BUFFER = 65536", "BUFFER = 512"},
    {"AT_ONCE = 1 << 30", "AT_ONCE = 1 << 10"}, {"OVERHEAD_MAX = 8 << 20", "OVERHEAD_MAX = 1 << 10"}},
  ["scan/scan.h"] = {{"SCAN_UNITS = 64", "SCAN_UNITS = 16"}, {"SCAN_UNIT = 1 << 20",
    "SCAN_UNIT = 1 << 10"}, {"SCAN_BUFFER = 256 << 10", "SCAN_BUFFER = 512"},
    {"SCAN_RESULTS = 16384", "SCAN_RESULTS = 128"}, {"SCAN_EXTENTS = 4096", "SCAN_EXTENTS = 4"}},
  ["scan/scan.c"] = {{"PARALLEL_MIN = 8", "PARALLEL_MIN = 4"}},
  ["dump/extent.c"] = {{"HOLE_MIN = 64 << 10", "HOLE_MIN = 5 << 10"}},
  ["scan/pattern.c"] = {{"PATIENCE = 256", "PATIENCE = 16"}},
  ["scan/strings.h"] = {{"STRINGS_PART 65536", "STRINGS_PART 128"}},
  ["scan/strings.c"] = {{"CHUNK = 256 << 10", "CHUNK = 1 << 8"}, {"STEP = 32 << 20",
    "STEP = 1 << 10"}, {"EXTENTS = 4096", "EXTENTS = 4"}, {"FOUND_MAX = 16384", "FOUND_MAX = 8"}},
  ["paging/space_find.c"] = {{"BUFFER = 64 << 10", "BUFFER = 1 << 10"}, {"STEP = 16 << 20",
    "STEP = 4 << 10"}, {"FOUND_MAX = 16384", "FOUND_MAX = 8"},
    {"BYTES_BESIDES = 256 << 20", "BYTES_BESIDES = 256 << 10"}},
  ["paging/mappings.c"] = {{"AT_ONCE = 1 << 16", "AT_ONCE = 1 << 4"},
    {"STEPS_BESIDES = 1 << 24", "STEPS_BESIDES = 1 << 15"}},
  ["host/env_document.h"] = {{"(16u << 20)", "(20u << 10)"}},
}

local function replace(text, old, new, name)
  local first, last = text:find(old, 1, true)
  if not first then
    error(("csrc/core/%s: no %q: bring spec/fuzz/scale.lua up to date"):format(name, old), 0)
  end
  return text:sub(1, first - 1) .. new .. text:sub(last + 1)
end

local names = assert(io.popen("cd csrc/core && ls */*.[ch]"))
for name in names:lines() do
  local file = assert(io.open("csrc/core/" .. name, "rb"))
  local text = file:read("a")
  file:close()
  for _, limit in ipairs(limits[name] or {}) do
    text = replace(text, limit[1], limit[2], name)
  end
  assert(os.execute(("mkdir -p '%s/%s'"):format(to, name:match("^[^/]*"))))
  local old = io.open(to .. "/" .. name, "rb")
  if not old or old:read("a") ~= text then
    local out = assert(io.open(to .. "/" .. name, "wb"))
    assert(out:write(text))
    assert(out:close())
  end
end
