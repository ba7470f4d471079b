-- Writes docs/addresses.svg to standard output: how a virtual address leads to a byte of a
-- dump file.

local parts = {}

local function add(format, ...)
  parts[#parts + 1] = format:format(...)
end

local function text(x, y, class, words)
  add('<text x="%d" y="%d" class="%s">%s</text>', x, y, class, words)
end

local function box(x, y, width, height, class)
  add('<rect x="%d" y="%d" width="%d" height="%d" class="%s"/>', x, y, width, height, class)
end

-- A column: a title, and boxes from top to bottom: {height, class, label}.
local WIDTH, TOP = 150, 62

local function column(x, title, note, boxes)
  text(x + WIDTH // 2, 24, "title", title)
  text(x + WIDTH // 2, 44, "note", note)
  local y = TOP
  for _, each in ipairs(boxes) do
    box(x, y, WIDTH, each[1], each[2])
    if each[3] then
      text(x + WIDTH // 2, y + each[1] // 2 + 4, "label", each[3])
    end
    y = y + each[1]
  end
end

-- From the right edge of one column to the left edge of the next, with words above it.
local function arrow(x1, y1, x2, y2, above, below)
  add('<path d="M%d %d C%d %d %d %d %d %d" class="arrow"/>', x1, y1, x1 + 55, y1, x2 - 60, y2,
    x2 - 8, y2)
  local x, y = (x1 + x2) // 2, math.min(y1, y2) - 34
  text(x, y, "step", above)
  text(x, y + 17, "code", below)
end

local function address(x, y, name, value, call)
  text(x + WIDTH // 2, y, "note", name)
  text(x + WIDTH // 2, y + 19, "code", value)
  text(x + WIDTH // 2, y + 38, "code", call)
end

local LEFT, MIDDLE, RIGHT = 16, 328, 640

column(LEFT, "guest virtual", "an address space", {
  {64, "memory", "user program"}, {74, "hole", "not mapped"}, {46, "memory", "kernel"},
  {22, "hit"}, {54, "memory"}})
column(MIDDLE, "guest physical", "the VM's RAM", {
  {60, "hole", "no memory"}, {70, "memory", "RAM"}, {22, "hit"}, {48, "memory"},
  {60, "hole", "no memory"}})
column(RIGHT, "dump file", "an ELF core", {
  {28, "headers", "headers"}, {66, "memory", "PT_LOAD"}, {22, "hit"}, {46, "memory"},
  {54, "memory", "PT_LOAD"}, {44, "headers", "PT_NOTE: vCPUs"}})

arrow(LEFT + WIDTH, TOP + 195, MIDDLE, TOP + 141, "page tables", "space:translate")
arrow(MIDDLE + WIDTH, TOP + 141, RIGHT, TOP + 105, "segments", "dump:segments")

address(LEFT, 350, "virtual address", "0xffff800010081234", "space:u64(address)")
address(MIDDLE, 350, "physical address", "0x0000000080281234", "dump:u64(address)")
address(RIGHT, 350, "offset in the file", "0x282234", "p_offset + address - p_paddr")

print([[
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 840 404" width="840" height="404" role="img">
<title>From a guest virtual address to a byte of the dump file</title>
<!-- Made by docs/pictures/addresses.lua (make pictures). -->
<style>
text { font: 14px sans-serif; text-anchor: middle; fill: #222 }
.title { font-weight: bold; font-size: 16px }
.note { fill: #555 }
.step { font-weight: bold }
.code { font: 13px monospace; fill: #164a7b }
rect { stroke: #444; stroke-width: 1 }
.page { fill: #fff; stroke: none }
.memory { fill: #d5e3f0 }
.headers { fill: #ece7d5 }
.hole { fill: #fff; stroke-dasharray: 3 3 }
.hit { fill: #e8833a }
.arrow { fill: none; stroke: #b3500c; stroke-width: 2; marker-end: url(#head) }
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="2" refY="4" markerWidth="5" markerHeight="5"
  orient="auto"><path d="M0 0L8 4L0 8z" fill="#b3500c"/></marker></defs>
<rect width="840" height="404" class="page"/>]])
print(table.concat(parts, "\n"))
print("</svg>")
