-- Maple trees of a guest's kernel (include/linux/maple_tree.h, lib/maple_tree.c).
--
-- A node has 256 bytes and is aligned to them. A pointer to one has its kind (enum maple_type) in
-- bits 6:3. Its first word points to the parent, with the slot in bits 7:3, or, in the root,
-- to the tree, with bit 0 set. Pivot i is the last index of slot i. Beyond the last pivot, and
-- where one after the first is 0, a slot reaches to the end of the node's range. An entry is
-- tagged as in an XArray.

local core = require "qvm.core"
local objects = require "qvm.guest.objects"
local trees = require "qvm.guest.trees"

local maple_tree = {}

local NODE_SIZE, HEIGHT_MAX = 256, 31
local DENSE = 0

local damaged = objects.damaged

-- Of each kind: the first word of its pivots and their number, the same of its slots, and whether
-- they are entries.
local function layouts_of(tree, layout, word_size)
  local range, arange = layout "struct maple_range_64", layout "struct maple_arange_64"
  local function of(handle, is_leaf)
    local pivot, pivots = trees.array_member(tree, handle, "pivot", word_size)
    local slot, slots = trees.array_member(tree, handle, "slot", word_size)
    return {pivot = pivot, pivots = pivots, slot = slot, slots = slots, is_leaf = is_leaf}
  end
  return {[DENSE] = {pivot = 0, pivots = 0, slot = 1, slots = NODE_SIZE // word_size - 1,
    is_leaf = true}, of(range, true), of(range, false), of(arange, false)}
end

-- Reads a node, which an entry of its parent leads to. parent: what its first word must be, but
-- for the bits that mask clears.
local function read_node(walk, entry, parent, mask, first, last, depth)
  local address, kind = entry & -NODE_SIZE, entry >> 3 & 15
  local layout = walk.layouts[kind]
  walk.count()
  if not layout then
    damaged(walk.tree, ("a node of the unknown kind %d at 0x%016x"):format(kind, address))
  elseif depth > HEIGHT_MAX then
    damaged(walk.tree, ("more than %d levels"):format(HEIGHT_MAX))
  end
  local words = walk.words(address, NODE_SIZE // walk.word_size)
  if words[1] & mask ~= parent then
    damaged(walk.tree, ("the node at 0x%016x does not point back to its parent"):format(address))
  end
  walk.path[#walk.path + 1] = {address = address, layout = layout, kind = kind, words = words,
    place = 0, first = first, last = last, depth = depth}
end

-- The last index of the slot that is next in a node.
local function last_of(walk, node)
  local layout, place = node.layout, node.place
  if node.kind == DENSE then
    return node.first
  elseif place >= layout.pivots then
    return node.last
  end
  local last = node.words[layout.pivot + place + 1]
  if last == 0 and place > 0 then
    return node.last
  elseif math.ult(last, node.first) or math.ult(node.last, last) then
    damaged(walk.tree, ("pivot %d of the node at 0x%016x is out of order"):format(place,
      node.address))
  end
  return last
end

-- Goes on to the next slot: its range and its entry, if that is one of the tree's.
local function step(walk)
  local path = walk.path
  local node = path[#path]
  local first, last, place = node.first, last_of(walk, node), node.place
  local entry = node.words[node.layout.slot + place + 1]
  node.place, node.first = place + 1, last + 1
  if last == node.last or node.place == node.layout.slots then
    path[#path] = nil
  end
  if not node.layout.is_leaf then
    if not trees.is_node(entry | 2) then
      damaged(walk.tree, ("slot %d of the node at 0x%016x leads to no node"):format(place,
        node.address))
    end
    -- Bits 2:0 of a parent's word say that its slots have 64 bits.
    read_node(walk, entry, node.address | place << 3, ~7, first, last, node.depth + 1)
  elseif entry ~= 0 and not trees.is_internal(entry) then
    return first, last, entry
  end
end

-- The entries of a tree at an address. layout(name): the handle of a type.
function maple_tree.entries(tree, address, handle, layout)
  local words, word_size = trees.word_reader(tree)
  local walk = {tree = tree, path = {}, words = words, word_size = word_size,
    layouts = layouts_of(tree, layout, word_size), count = trees.counter(tree)}
  local started = false
  return function()
    local first, last, entry
    if not started then
      started, entry = true, tree.ma_root
      entry = entry ~= nil and select(2, core.object_about(entry)) or 0
      if trees.is_node(entry) then
        read_node(walk, entry, address | 1, -1, 0, word_size == 8 and -1 or 0xffffffff, 1)
      elseif entry ~= 0 and not trees.is_internal(entry) then
        first, last = 0, 0
      end
    end
    while not first and walk.path[1] do
      first, last, entry = step(walk)
    end
    if first then
      return first, last, trees.value_of(tree, handle, entry)
    end
  end
end

return maple_tree
