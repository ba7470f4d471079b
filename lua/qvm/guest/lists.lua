-- Lists of a guest's kernel, as include/linux/list.h and llist.h have them.
--
-- A link of a list is checked against the one before it, so that a walk that comes to an entry a
-- second time raises. Lists whose links go one way are checked by Brent's algorithm: it compares
-- each entry with one that was met before, and moves that on at each power of two.

local core = require "qvm.core"
local objects = require "qvm.guest.objects"

local lists = {}

local ENTRIES_MAX = 1 << 22 -- of one list

local damaged, make = objects.damaged, objects.make

local function address_of(object)
  return (select(2, core.object_about(object)))
end

local function check_count(head, count)
  if count > ENTRIES_MAX then
    damaged(head, ("more than %d entries"):format(ENTRIES_MAX))
  end
end

-- Raises unless a link of a node points back to where the node was reached from.
local function check_back(node, link, at)
  local back = node[link]
  if back == nil or address_of(back) ~= at then
    damaged(node, ("its %s is not 0x%016x, from which it was reached"):format(link, at))
  end
end

-- The structs that are linked by a struct list_head at an offset. start: the head's address.
function lists.list(head, start, handle, offset)
  local node, at, count = head, start, 0
  return function()
    if not node then
      return nil
    end
    local next_node = node.next
    if next_node == nil then
      damaged(node, "its next is NULL")
    end
    check_back(next_node, "prev", at)
    at, count = address_of(next_node), count + 1
    check_count(head, count)
    node = at ~= start and next_node or nil
    return node and make(head, handle, at - offset) or nil
  end
end

-- Iterates over the nodes from a head's first one on, up to NULL.
local function nodes_of(head)
  local node, member = head, "first"
  return function()
    if node then
      node, member = node[member], "next"
    end
    return node
  end
end

-- Those that are linked by a struct hlist_node. Its pprev is the address of the pointer that
-- leads to it: the head's, or the first member of the node before.
function lists.hlist(head, start, handle, offset)
  local next_node, at, count = nodes_of(head), start, 0
  return function()
    local node = next_node()
    if node == nil then
      return nil
    end
    check_back(node, "pprev", at)
    at, count = address_of(node), count + 1
    check_count(head, count)
    return make(head, handle, at - offset)
  end
end

-- Those that are linked by a struct llist_node.
function lists.llist(head, handle, offset)
  local next_node, count = nodes_of(head), 0
  local seen, limit = nil, 1
  return function()
    local node = next_node()
    if node == nil then
      return nil
    end
    local at = address_of(node)
    if at == seen then
      damaged(node, "a loop: its links lead back to it")
    end
    count = count + 1
    check_count(head, count)
    if count == limit then
      seen, limit = at, limit * 2
    end
    return make(head, handle, at - offset)
  end
end

return lists
