-- Draws physical memory as SVG: segments and the holes between them, to scale as far as that
-- stays legible. Small blocks are enlarged, large holes are cut short, and segments that are
-- close to each other are drawn as one.

local element = require "qvm.diag.markup".element
local text = require "qvm.cli.text"

local map = {}

local BLOCKS_MAX = 24 -- segments in a drawing; more are drawn together
local SCALED = 120    -- height of all segments together: per segment,
local SCALED_MAX = 420 -- and in total, at most
local ROW = 26        -- minimum height: one line of text
local THREE_ROWS = 56 -- height for both addresses and the size
local HOLE = 60       -- height of a hole that is cut short
local WIDTH, BAR, LABEL, MARGIN = 360, 104, 116, 4

-- An unsigned number of bytes, as a float.
local function unsigned(n)
  return n < 0 and n + 2^64 or n + 0.0
end

local function address(hex)
  return math.tointeger(tonumber(hex))
end

-- The bytes between two segments; 0 where they adjoin.
local function hole_between(a, b)
  return unsigned(address(b.start) - address(a.last) - 1)
end

-- Groups of segments that are drawn as one: the largest holes separate them.
local function grouped(ranges)
  local holes = {}
  for i = 2, #ranges do
    holes[i - 1] = {before = i, size = hole_between(ranges[i - 1], ranges[i])}
  end
  table.sort(holes, function(a, b)
    if a.size ~= b.size then
      return a.size > b.size
    end
    return a.before < b.before
  end)
  local starts = {true}
  for i = 1, math.min(#holes, BLOCKS_MAX - 1) do
    starts[holes[i].before] = true
  end
  local groups = {}
  for i, range in ipairs(ranges) do
    if starts[i] then
      groups[#groups + 1] = {start = range.start, count = 0, bytes = 0.0}
    end
    local group = groups[#groups]
    group.last, group.count = range.last, group.count + 1
    group.bytes = group.bytes + unsigned(range.size)
  end
  return groups
end

local function extent(group)
  return unsigned(address(group.last) - address(group.start)) + 1
end

-- Returns the blocks of a drawing, from the lowest address on, and its height. Each block has
-- `y`, `height`, and whether it is `enlarged` or `cut`.
function map.layout(ranges)
  local groups, blocks = grouped(ranges), {}
  local total, y = 0.0, MARGIN
  for _, group in ipairs(groups) do
    total = total + extent(group)
  end
  local scale = math.min(SCALED_MAX, SCALED * #groups) / total
  local function add(block, true_height, least, most)
    block.y = y
    block.enlarged, block.cut = true_height < least, true_height > most
    block.height = block.cut and HOLE or math.max(least, true_height)
    y = y + block.height
    blocks[#blocks + 1] = block
  end
  for i, group in ipairs(groups) do
    local size = i > 1 and hole_between(groups[i - 1], group) or 0
    if size > 0 then
      add({kind = "hole", size = size}, size * scale, ROW, 2 * HOLE)
    end
    group.kind = "segment"
    add(group, extent(group) * scale, group.count > 1 and THREE_ROWS or ROW, math.huge)
  end
  return blocks, y + MARGIN
end

local function at(y)
  return text.float("%.1f", y)
end

local function label(y, class, content)
  return element("text", {x = LABEL, y = at(y), class = class}, content)
end

local function size_label(block)
  local size = text.in_units(block.bytes)
  return block.count > 1 and ("%s, %s"):format(text.count(block.count, "segment"), size) or size
end

local function draw_segment(block)
  local middle = block.y + block.height / 2 + 4
  local parts = {element("rect", {x = MARGIN, y = at(block.y), width = BAR - MARGIN,
    height = at(block.height), class = block.enlarged and "segment enlarged" or "segment"},
    element("title", nil, ("%s to %s, %s"):format(block.start, block.last, size_label(block))))}
  if block.height < THREE_ROWS then
    parts[2] = label(middle, nil, ("%s  %s"):format(block.start, size_label(block)))
  else
    parts[2] = label(block.y + 13, nil, block.start)
    parts[3] = label(middle, "size", size_label(block))
    parts[4] = label(block.y + block.height - 5, nil, block.last)
  end
  return parts
end

-- A jagged line across the bar.
local function jag(y)
  local points = {}
  for i = 0, 10 do
    points[#points + 1] = at(MARGIN + i * (BAR - MARGIN) / 10) .. ","
      .. at(y + (i % 2 == 0 and 4 or -4))
  end
  return element("polyline", {points = table.concat(points, " "), class = "break"})
end

local function draw_hole(block)
  local middle = block.y + block.height / 2
  local size = text.in_units(block.size)
  return {
    element("rect", {x = MARGIN, y = at(block.y), width = BAR - MARGIN,
      height = at(block.height), class = block.enlarged and "hole enlarged" or "hole"},
      element("title", nil, "hole of " .. size)),
    block.cut and {jag(middle - 5), jag(middle + 5)} or {},
    label(middle + 4, "hole", "hole, " .. size .. (block.cut and " (cut short)" or "")),
  }
end

-- Explains the drawing.
function map.caption(blocks)
  local enlarged, cut, joined = false, false, false
  for _, block in ipairs(blocks) do
    enlarged, cut = enlarged or block.enlarged, cut or block.cut
    joined = joined or (block.count or 0) > 1
  end
  return "Low addresses are at the top. Drawn to scale"
    .. (enlarged and ", but blocks with a dashed edge are smaller than drawn" or "")
    .. (cut and (enlarged and ", and" or ", but") .. " holes with a jagged line are longer" or "")
    .. (joined and "; segments close to each other are drawn as one" or "")
    .. ". The table lists everything."
end

-- Returns the drawing and its caption. id: unique in the page.
function map.draw(ranges, id)
  local blocks, height = map.layout(ranges)
  local parts = {}
  for i, block in ipairs(blocks) do
    parts[i] = block.kind == "hole" and draw_hole(block) or draw_segment(block)
  end
  local svg = element("svg", {viewBox = ("0 0 %d "):format(WIDTH) .. at(height), role = "img",
    ["aria-labelledby"] = id, xmlns = "http://www.w3.org/2000/svg"}, {
      element("title", {id = id}, ("Map of the physical memory: %s from %s to %s"):format(
        text.count(#ranges, "segment"), ranges[1].start, ranges[#ranges].last)), parts})
  return svg, map.caption(blocks)
end

-- Returns a row for each segment and hole, in order.
function map.rows(ranges)
  local rows = {}
  for i, range in ipairs(ranges) do
    local size = i > 1 and hole_between(ranges[i - 1], range) or 0
    if size > 0 then
      rows[#rows + 1] = {kind = "hole", size = size,
        start = ("0x%016x"):format(address(ranges[i - 1].last) + 1),
        last = ("0x%016x"):format(address(range.start) - 1)}
    end
    rows[#rows + 1] = {kind = "memory", start = range.start, last = range.last,
      size = range.size}
  end
  return rows
end

return map
