-- Red-black trees and XArrays of a guest's kernel (include/linux/rbtree.h, xarray.h).
--
-- Each node is checked to point back to its parent. So no walk comes to a node a second time,
-- whatever the memory contains: the work is bounded by the nodes that are in the dump.

local core = require "qvm.core"
local errors = require "qvm.util.errors"
local objects = require "qvm.guest.objects"
local Type = require "qvm.guest.types".Type

local trees = {}

local NODES_MAX = 1 << 22 -- of one tree

local damaged, make = objects.damaged, objects.make

local function address_of(object)
  return (select(2, core.object_about(object)))
end

-- Counts the nodes of a walk, and raises at one too many.
function trees.counter(root)
  local count = 0
  return function()
    count = count + 1
    if count > NODES_MAX then
      damaged(root, ("more than %d nodes"):format(NODES_MAX))
    end
  end
end

-- Red-black trees ---------------------------------------------------------------------------

local HEIGHT_MAX = 128 -- of a tree of 2^64 nodes

-- A child, which must point back to its parent; the lowest two bits of that are the colour.
local function child(node, side, parent)
  local found = node[side]
  if found ~= nil and found.__rb_parent_color & ~3 ~= parent then
    damaged(found, ("its parent is not 0x%016x, from which it was reached"):format(parent))
  end
  return found
end

-- Puts a node and all that is left of it on the path.
local function descend(path, node, count)
  while node do
    count()
    if #path == HEIGHT_MAX then
      damaged(node, ("more than %d levels"):format(HEIGHT_MAX))
    end
    path[#path + 1] = node
    local left, right = node.rb_left, node.rb_right
    if left ~= nil and left == right then
      damaged(node, "both its children are one")
    end
    node = child(node, "rb_left", address_of(node))
  end
end

-- The structs that are linked by a struct rb_node at an offset.
function trees.rbtree(root, handle, offset)
  local path, count = {}, trees.counter(root)
  local started = false
  return function()
    if not started then
      started = true
      descend(path, child(root, "rb_node", 0), count)
    end
    local node = table.remove(path)
    if not node then
      return nil
    end
    local at = address_of(node)
    descend(path, child(node, "rb_right", at), count)
    return make(root, handle, at - offset)
  end
end

-- Words of memory ---------------------------------------------------------------------------

-- A function that reads words at an address, for the object that they belong to.
function trees.word_reader(object)
  local dump = objects.dump(object)
  local space, message, code = dump:kernel_space()
  if not space then
    errors.raise(message, code)
  end
  local kind = dump.bits == 64 and "u64" or "u32"
  return function(address, count)
    local words, problem = space:array(address, kind, count)
    return words or damaged(object, problem)
  end, dump.bits // 8
end

-- Where an array member of a struct begins, in words, and its length. tree: that it is of.
function trees.array_member(tree, handle, name, word_size)
  local inner, offset = core.type_member(handle, name)
  if not inner then
    Type.no_member(handle, name, objects.dump(tree).path)
  end
  return offset // word_size, (select(4, core.type_about(select(2, core.type_shape(inner)))))
end

-- The value of an entry: bit 0 marks an integer.
function trees.value_of(object, handle, entry)
  if entry & 1 == 1 then
    return entry >> 1
  end
  return make(object, handle, entry & ~3)
end

-- True of entries that are the kernel's own marks; among them are nodes.
function trees.is_internal(entry)
  return entry & 3 == 2
end

function trees.is_node(entry)
  return entry & 3 == 2 and math.ult(4096, entry)
end

-- XArrays -----------------------------------------------------------------------------------

-- Reads a node: it must be the child of that parent, at that place in it. The root has no parent,
-- and its place is whatever the memory held before.
local function read_node(walk, entry, parent, place, above)
  local address = entry & ~3
  local node = make(walk.array, walk.node_type, address)
  local shift, up = node.shift, node.parent
  walk.count()
  if shift >= above or shift > 60 then
    damaged(node, ("its shift is %d, below one of %d"):format(shift, above))
  elseif (up ~= nil and address_of(up) or 0) ~= parent
    or parent ~= 0 and node.offset ~= place then
    damaged(node, ("it does not point back to slot %d of 0x%016x, from which it was reached")
      :format(place, parent))
  end
  return {address = address, shift = shift, at = 0, base = 0,
    slots = walk.words(address + walk.slots_at, walk.slots)}
end

local function step(walk, path)
  local node = path[#path]
  local place = node.at
  if place == walk.slots then
    path[#path] = nil
    return nil
  end
  node.at = place + 1
  local entry = node.slots[place + 1]
  local index = node.base + (place << node.shift)
  if trees.is_node(entry) then
    local inner = read_node(walk, entry, node.address, place, node.shift)
    inner.base = index
    path[#path + 1] = inner
  elseif entry ~= 0 and not trees.is_internal(entry) then
    return index, entry
  end
end

local function array_of(array, handle)
  local words, word_size = trees.word_reader(array)
  local types, message, code = objects.dump(array):type "struct xa_node"
  if not types then
    errors.raise(message, code)
  end
  local slots, count = trees.array_member(array, types[1], "slots", word_size)
  return {array = array, entries = handle, words = words, slots_at = slots * word_size,
    slots = count, node_type = types[1], count = trees.counter(array)}
end

-- The entries of an XArray, whose indices begin at `first`.
function trees.xarray(array, handle, first)
  local walk, path = array_of(array, handle), nil
  return function()
    local index, entry
    if not path then
      path, entry = {}, array.xa_head
      entry = entry ~= nil and address_of(entry) or 0
      if trees.is_node(entry) then
        path[1] = read_node(walk, entry, 0, 0, 64)
      elseif entry ~= 0 and not trees.is_internal(entry) then
        index = 0
      end
    end
    while not index and path[1] do
      index, entry = step(walk, path)
    end
    if index then
      return first + index, trees.value_of(array, handle, entry)
    end
  end
end

return trees
