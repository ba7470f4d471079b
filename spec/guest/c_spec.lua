-- qvm.c: C's operators on Objects; the kernel's lists and trees, whole and damaged.

local cost = require "support.cost"
local files = require "support.files"
local kernel = require "support.kernel"
local kernel_objects = require "support.kernel_objects"
local qvm = require "qvm"

local c = qvm.c
local maple_entry, LEAF_64 = kernel_objects.maple_entry, kernel_objects.LEAF_64
local RANGE_64, ARANGE_64 = 2, kernel_objects.ARANGE_64

-- A guest that fill(guest, types) adds to; returns its dump.
local function guest_with(fill, order)
  local guest = kernel.new(order)
  local types = kernel_objects.types(order)
  fill(guest, types)
  guest:add_btf(types:btf())
  return guest:open()
end

local function usual(order)
  local at
  local dump = guest_with(function(guest, types)
    at = kernel_objects.fill(guest, types)
  end, order)
  return dump, at
end

local function check_raised(pattern, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, pattern)
  assert.matches(pattern, message)
end

-- Goes through an iterator; raises what it raises. f(...) makes an element of what it gives.
local function all(f, iterator)
  local list = {}
  for a, b, d in iterator do
    list[#list + 1] = f(a, b, d)
  end
  return list
end

local function comm(task)
  return task.comm
end

describe("qvm.c", function()
  after_each(files.clean)

  it("has C's operators", function()
    local dump, at = usual()
    local task = dump:variable "init_task"
    assert.are.equal("struct task_struct", c.typeof(task).name)
    assert.are.equal("struct mm_struct *", c.typeof(task.mm).name)
    assert.are.equal(at.init_task, c.address(task))
    assert.are.equal(at.init_mm, c.address(task.mm))
    assert.are.same({88, 8, 16}, {c.sizeof(task), c.sizeof(task.mm), c.sizeof(dump:type
      "struct list_head")})
    assert.are.same({32, 24, 8}, {c.offsetof(task, "tasks.prev"), c.offsetof(dump:type
      "struct task_struct", "tasks"), c.offsetof(task.tasks.next, "prev")})
    assert.are.equal(0xffffffff, c.value(dump:variable "jiffies"))
    assert.is_true(c.value(task) == task)
    assert.is_nil(c.value(dump:object("void *", at.task_hash + 8)))
  end)

  it("casts to pointers and to what is at a place", function()
    local dump, at = usual()
    local task = dump:variable "init_task"
    assert.are.equal(task.comm, c.cast(task.parent or task, "struct task_struct").comm)
    local list = c.cast(task.tasks, "struct list_head *")
    assert.are.equal("pointer", c.typeof(list).kind)
    assert.are.equal(at.init_task + 24, c.address(list))
    assert.are.equal(at.first_task + 24, c.address(list.next))
    assert.are.equal(("s"):byte(), c.cast(task, dump:type "unsigned char[88]")[9])
    local variable = dump:variable "saved_command_line" -- a pointer in memory
    assert.are.equal(at.text, c.address(c.cast(variable, "unsigned char *")))
    assert.are.equal("init", c.container_of(task.tasks.next, "struct task_struct", "tasks").comm)
    assert.are.equal("init", c.container_of(dump:object("struct list_head", at.first_task + 24),
      dump:type "struct task_struct", "tasks").comm)
    check_raised("no type 'struct nothing'", c.cast, task, "struct nothing")
    check_raised("has no member 'task': is it 'tasks'%?", c.container_of, task,
      "struct task_struct", "task")
    local null = dump:object("struct rq *", at.task_hash + 8)
    check_raised("'cast': a NULL pointer", c.cast, null, "int")
  end)

  it("reads strings and arrays", function()
    local dump, at = usual()
    assert.are.equal("console=ttyAMA0", c.string(dump:variable "saved_command_line"))
    assert.are.equal("cons", c.string(dump:variable "saved_command_line", 4))
    assert.are.equal("console=ttyAMA0", c.string(dump:object("char[]", at.text)))
    assert.are.equal("abc", c.string "abc\0def")
    assert.are.equal("ab", c.string("abc", 2))
    local far = dump:object("char[]", kernel.BASE + (8 << 20))
    assert.are.equal("unmapped", select(3, c.string(far)))
    assert.are.same({0x1fff, 0}, c.array(c.cast(dump:object("long", at.maple_node + 16),
      "unsigned long *"), 2))
    assert.are.same({}, c.array(dump:object("int[4]", at.text), 0))
    check_raised("0 to 1048576 elements expected", c.array, dump:object("int[]", at.text), -1)
    check_raised("0 to 1048576 elements expected", c.array, dump:object("int[]", at.text), 1 << 40)
  end)

  it("reads per-CPU variables", function()
    local dump, at = usual()
    local rq = c.per_cpu(dump:variable "runqueues", 0)
    assert.are.same({3, at.rq, "init"}, {rq.nr_running, c.address(rq), rq.curr.comm})
    assert.are.equal(3, c.per_cpu(dump:object("unsigned int", "runqueues"), 0))
    check_raised("number of a CPU expected", c.per_cpu, dump:variable "runqueues", -1)
    check_raised("number of a CPU expected", c.per_cpu, dump:variable "runqueues", 1 << 20)
    local none = guest_with(function(guest, types)
      guest:place(types:pack("struct rq", {}), "rq")
    end)
    assert.are.equal("not_found", select(3, c.per_cpu(none:object("struct rq", "rq"), 0)))
  end)

  it("has no per-CPU variables of CPUs that the kernel does not number", function()
    local dump = usual()
    local value, message, code = c.per_cpu(dump:variable "runqueues", 1)
    assert.are.same({nil, "not_found"}, {value, code})
    assert.matches("no CPU 1: the kernel numbers 1$", message)
    -- With CONFIG_FORCE_NR_CPUS the number is not a variable.
    local unknown = guest_with(function(guest, types)
      kernel_objects.fill(guest, types)
      guest.symbols.nr_cpu_ids = nil
    end)
    assert.are.equal(3, c.per_cpu(unknown:variable "runqueues", 0).nr_running)
  end)

  it("refuses a variable that is known not to be per-CPU", function()
    local dump = guest_with(function(guest, types)
      kernel_objects.fill(guest, types)
      guest.symbols.__per_cpu_start = 0
    end)
    assert.are.equal(3, c.per_cpu(dump:variable "runqueues", 0).nr_running)
    local value, message, code = c.per_cpu(dump:variable "init_task", 0)
    assert.are.same({nil, "not_found"}, {value, code})
    assert.matches("not a per%-CPU variable", message)
  end)

  it("raises for a negative number, in the script", function()
    local task = usual():variable "init_task"
    for _, object in ipairs {task.tasks, "text"} do
      local _, message = pcall(function() local _ = c.string(object, -1) end)
      assert.matches("^spec/guest/c_spec.lua:%d+: bad argument #2 to 'string' %(a number of bytes",
        message)
    end
  end)

  it("raises for what is no Object, in the script", function()
    local dump = usual()
    local task = dump:variable "init_task"
    for name, f in pairs(c) do
      local ok, message = pcall(function() f(name == "string" and {} or "x", "int", "x") end)
      assert.is_false(ok, name)
      assert.matches("^spec/guest/c_spec.lua:%d+: bad argument #1 to '" .. name
        .. "' %(Object expected, got ", message, nil, name)
    end
    for name, wanted in pairs {list = "list_head", hlist = "hlist_head", llist = "llist_head",
      rbtree = "rb_root", xarray = "xarray", idr = "idr", maple_tree = "maple_tree"} do
      check_raised(("bad argument #1 to '%s' %%(struct %s expected, got struct task_struct%%)")
        :format(name, wanted), c[name], task, "int", "x")
    end
    check_raised("bad argument #2 to 'list' %(Type or name of a type expected, got number%)",
      c.list, task.tasks, 5, "x")
    check_raised("bad argument #3 to 'list' %(string expected, got no value%)",
      c.list, task.tasks, "struct task_struct")
    assert.matches("^qvm.c", tostring(c))
  end)
end)

describe("a list of the kernel", function()
  after_each(files.clean)

  it("is walked in order, in either byte order", function()
    for _, order in ipairs {"<", ">"} do
      local dump = usual(order)
      local tasks = dump:variable("init_task").tasks
      assert.are.same({"init", "kthreadd"}, all(comm, c.list(tasks, "struct task_struct",
        "tasks")))
      assert.are.same({"init", "kthreadd"}, all(comm, c.list(c.cast(tasks, "struct list_head *"),
        dump:type "struct task_struct", "tasks")))
      assert.are.same({"init"}, all(comm, c.hlist(dump:variable("task_hash",
        "struct hlist_head"), "struct task_struct", "node")))
      assert.are.same({"kthreadd"}, all(comm, c.llist(dump:variable("wake_list",
        "struct llist_head"), "struct task_struct", "wake")))
    end
  end)

  it("can be empty, and ends once", function()
    local dump = guest_with(function(guest, types)
      local head = guest:reserve(16)
      guest.symbols.head = head
      kernel_objects.link_list(guest, head, {}, 0)
      guest:place(types:pack("struct hlist_head", {}), "hash")
    end)
    local list = c.list(dump:object("struct list_head", "head"), "struct task_struct", "tasks")
    local hash = c.hlist(dump:object("struct hlist_head", "hash"), "struct task_struct", "node")
    local lockless = c.llist(dump:object("struct llist_head", "hash"), "struct task_struct", "wake")
    for _ = 1, 2 do
      assert.is_nil(list())
      assert.is_nil(hash())
      assert.is_nil(lockless())
    end
  end)

  -- A list of three nodes, of which change(guest, nodes) damages a link.
  local function damaged(change)
    local dump = guest_with(function(guest)
      local nodes = {}
      for i = 0, 3 do
        nodes[i] = guest:reserve(16)
      end
      guest.symbols.head = nodes[0]
      kernel_objects.link_list(guest, nodes[0], {nodes[1], nodes[2], nodes[3]}, 0)
      change(guest, nodes)
    end)
    local count = 0
    local ok, message = pcall(function()
      for _ in c.list(dump:object("struct list_head", "head"), "struct list_head", "next") do
        count = count + 1
      end
    end)
    assert.is_false(ok)
    assert.matches("^spec/guest/c_spec.lua:%d+: ", message)
    return count, message
  end

  it("raises where a link is damaged, after the entries before it", function()
    local count, message = damaged(function(guest, nodes) guest:set(nodes[2], 0) end)
    assert.are.equal(2, count)
    assert.matches("struct list_head %*%) 0x%x+: damaged: its next is NULL$", message)
    count, message = damaged(function(guest, nodes) guest:set(nodes[2], nodes[1]) end) -- a loop
    assert.are.equal(2, count)
    assert.matches("damaged: its prev is not 0x%x+, from which it was reached$", message)
    count, message = damaged(function(guest, nodes) guest:set(nodes[3] + 8, nodes[1]) end)
    assert.are.equal(2, count)
    assert.matches("its prev is not", message)
    count, message = damaged(function(guest, nodes) guest:set(nodes[1], 0x5000) end)
    assert.are.equal(1, count)
    assert.matches("virtual address 0x0000000000005008", message)
  end)

  it("of one direction raises where it leads back, or cannot be read", function()
    local function walk(count, last)
      local dump = guest_with(function(guest)
        local nodes = {}
        for i = 1, count do
          nodes[i] = guest:reserve(8, 8)
        end
        for i = 1, count do
          guest:set(nodes[i], i < count and nodes[i + 1] or last(nodes))
        end
        guest:place(guest:pack("i8", nodes[1]), "head")
      end)
      local found = 0
      local ok, message = pcall(function()
        for _ in c.llist(dump:object("struct llist_head", "head"), "struct llist_node", "next") do
          found = found + 1
        end
      end)
      return ok, found, message
    end
    assert.are.same({true, 40}, {walk(40, function() return 0 end)})
    for _, back in ipairs {1, 7, 40} do
      local ok, found, message = walk(40, function(nodes) return nodes[back] end)
      assert.is_false(ok)
      assert.is_true(found >= 40 and found < 150, tostring(found))
      assert.matches("damaged: a loop: its links lead back to it$", message)
    end
    assert.matches("virtual address", select(3, walk(3, function() return 0x5000 end)))
  end)

  it("of hashes raises where its back link is damaged", function()
    local dump = guest_with(function(guest, types)
      local at = kernel_objects.fill(guest, types)
      local node = at.first_task + types:offset("struct task_struct", "node")
      guest:set(node, node) -- next is itself
    end)
    local list = {}
    check_raised("damaged: its pprev is not 0x%x+, from which it was reached$", function()
      for task in c.hlist(dump:variable("task_hash", "struct hlist_head"), "struct task_struct",
        "node") do
        list[#list + 1] = task.comm
      end
    end)
    assert.are.same({"init"}, list)
  end)
end)

describe("a red-black tree of the kernel", function()
  after_each(files.clean)

  -- A balanced tree of nodes 1 to n, in order; returns their addresses.
  local function build(guest, types, n)
    local areas = {}
    for i = 1, n do
      areas[i] = guest:place(types:pack("struct vmap_area", {va_start = i}))
    end
    local offset = types:offset("struct vmap_area", "rb_node")
    local function link(first, last, parent)
      if first > last then
        return 0
      end
      local middle = (first + last) // 2
      local node = areas[middle] + offset
      guest:set(node, guest:pack("i8i8i8", parent | middle % 2, link(middle + 1, last, node),
        link(first, middle - 1, node)))
      return node
    end
    guest:place(guest:pack("i8i8", link(1, n, 0), (areas[1] or 0) + offset), "root")
    return areas, offset
  end

  local function starts(dump, type)
    return all(function(area) return area.va_start end, c.rbtree(dump:object(type
      or "struct rb_root", "root"), "struct vmap_area", "rb_node"))
  end

  it("is walked in its order", function()
    for _, n in ipairs {0, 1, 2, 7, 100} do
      local dump = guest_with(function(guest, types) build(guest, types, n) end)
      local expected = {}
      for i = 1, n do
        expected[i] = i
      end
      assert.are.same(expected, starts(dump))
      assert.are.same(expected, starts(dump, "struct rb_root_cached"))
    end
  end)

  it("raises where a node does not point back to its parent", function()
    for _, change in ipairs {
      function(guest, node, root) guest:set(node(7) + 8, root) end, -- back to the root
      function(guest, node) guest:set(node(3), node(5)) end, -- another parent
      function(guest, node) guest:set(node(6) + 8, node(5)) end, -- both children are one
      function(guest, node) guest:set(node(1) + 16, node(1)) end, -- its own child
    } do
      local dump = guest_with(function(guest, types)
        local areas, offset = build(guest, types, 7)
        change(guest, function(i) return areas[i] + offset end, areas[4] + offset)
      end)
      check_raised("damaged: ", starts, dump)
    end
  end)
end)

describe("an XArray of the kernel", function()
  after_each(files.clean)

  -- A node with slots by place, each an entry; returns its address.
  local function node(guest, types, shift, parent, place, slots)
    local at = guest:reserve(types:size "struct xa_node", 64)
    guest:set(at, types:pack("struct xa_node", {shift = shift, offset = place, parent = parent,
      slots = slots}))
    return at
  end

  local function array(guest, types, head)
    guest:place(types:pack("struct xarray", {xa_head = head}), "array")
  end

  local function entries(dump)
    return all(function(index, entry)
      return {index, type(entry) == "number" and entry or c.address(entry)}
    end, c.xarray(dump:object("struct xarray", "array"), "struct rq"))
  end

  it("is walked by index: pointers, integers, and a single entry in its head", function()
    for _, order in ipairs {"<", ">"} do
      local inner, object
      local dump = guest_with(function(guest, types)
        object = guest:reserve(16)
        local root = guest:reserve(types:size "struct xa_node", 64)
        inner = node(guest, types, 0, root, 2, {[1] = object, [64] = 9 << 1 | 1})
        guest:set(root, types:pack("struct xa_node", {shift = 6, offset = 33, -- as memory was
          slots = {[1] = 5 << 1 | 1, [3] = inner | 2, [4] = 3 << 2 | 2, -- a sibling
            [5] = 256 << 2 | 2, [64] = object}}))
        array(guest, types, root | 2)
      end, order)
      assert.are.same({{0, 5}, {128, object}, {191, 9}, {63 * 64, object}}, entries(dump))
    end
    local dump = guest_with(function(guest, types) array(guest, types, 77 << 1 | 1) end)
    assert.are.same({{0, 77}}, entries(dump))
    dump = guest_with(function(guest, types) array(guest, types, 0) end)
    assert.are.same({}, entries(dump))
  end)

  it("raises where a node does not point back to its parent, and so ends", function()
    for _, change in ipairs {
      {0, 5, 0}, -- of another place
      {0, 0, 8}, -- of another parent
      {6, 0, 0}, -- as high as its parent
      {60, 0, 0},
    } do
      local dump = guest_with(function(guest, types)
        local root = guest:reserve(types:size "struct xa_node", 64)
        local inner = node(guest, types, change[1], root + change[3], change[2], {})
        guest:set(root, types:pack("struct xa_node", {shift = 6, slots = {inner | 2}}))
        array(guest, types, root | 2)
      end)
      check_raised("struct xa_node at 0x%x+: damaged: ", entries, dump)
    end
  end)

  it("of which all slots lead to one node raises at once", function()
    local dump = guest_with(function(guest, types)
      local nodes, size = {}, types:size "struct xa_node"
      for i = 1, 11 do
        nodes[i] = guest:reserve(size, 64)
      end
      for i, at in ipairs(nodes) do
        local slots = {}
        for place = 1, 64 do
          slots[place] = nodes[i + 1] and nodes[i + 1] | 2 or place << 1 | 1
        end
        guest:set(at, types:pack("struct xa_node", {shift = 6 * (11 - i), slots = slots,
          parent = nodes[i - 1] or 0}))
      end
      array(guest, types, nodes[1] | 2)
    end)
    check_raised("it does not point back to slot 1 of 0x", entries, dump)
  end)

  it("is the tree of an IDR, whose ids begin at its base", function()
    local dump, at = usual()
    local found = all(function(id, task)
      return {id, type(task) == "number" and task or task.comm}
    end, c.idr(dump:object("struct idr", at.task_idr), "struct task_struct"))
    assert.are.same({{3, "init"}, {5, 7}}, found)
  end)
end)

describe("a maple tree of the kernel", function()
  after_each(files.clean)

  local function ranges(dump)
    return all(function(first, last, entry)
      return {first, last, type(entry) == "number" and entry or c.address(entry)}
    end, c.maple_tree(dump:object("struct maple_tree", "tree"), "struct rq"))
  end

  local function tree(guest, types, root)
    guest:set(guest.symbols.tree, types:pack("struct maple_tree", {ma_root = root}))
  end

  local function start(guest, types)
    guest.symbols.tree = guest:reserve(types:size "struct maple_tree")
    return guest.symbols.tree, function() return guest:reserve(256, 256) end
  end

  local function value(n)
    return n << 1 | 1
  end

  -- Sets a node: kind, parent word, pivots, slots.
  local function set(guest, types, at, kind, parent, pivots, slots)
    local name = kind == ARANGE_64 and "ma64" or "mr64"
    guest:set(at, types:pack("struct maple_node", {[name] = {parent = parent, pivot = pivots,
      slot = slots}}))
  end

  it("is walked by range: pointers, integers, nodes of each kind", function()
    for _, order in ipairs {"<", ">"} do
      local object
      local dump = guest_with(function(guest, types)
        local at, new = start(guest, types)
        object = guest:reserve(16)
        local root, left, right, dense = new(), new(), new(), new()
        local last = new()
        set(guest, types, root, ARANGE_64, at | 1, {99, 1 << 40, (1 << 40) + 3},
          {maple_entry(left, LEAF_64), maple_entry(right, RANGE_64), maple_entry(dense, 0),
            maple_entry(last, LEAF_64)})
        set(guest, types, left, LEAF_64, root | 0 << 3 | 6, {0, 9, 49},
          {value(1), 0, object, value(3)})
        local below = new()
        set(guest, types, right, RANGE_64, root | 1 << 3 | 6, {1 << 40},
          {maple_entry(below, LEAF_64)})
        local pivots, slots = {}, {}
        for i = 1, 15 do
          pivots[i], slots[i] = 100 + i, value(100 + i)
        end
        slots[16] = value(200) -- all 16 slots: the last has no pivot
        set(guest, types, below, LEAF_64, right | 0 << 3 | 6, pivots, slots)
        guest:set(dense, types:pack("struct maple_node", {parent = root | 2 << 3 | 6,
          slot = {value(7), 0, value(8)}}))
        set(guest, types, last, LEAF_64, root | 3 << 3 | 6, {-2, -1}, {0, value(9)})
        tree(guest, types, maple_entry(root, ARANGE_64, true))
      end, order)
      local found = ranges(dump)
      assert.are.same({{0, 0, 1}, {10, 49, object}, {50, 99, 3}, {100, 101, 101}, {102, 102, 102}},
        table.move(found, 1, 5, 1, {}))
      assert.are.same({{115, 115, 115}, {116, 1 << 40, 200}, {(1 << 40) + 1, (1 << 40) + 1, 7},
        {(1 << 40) + 3, (1 << 40) + 3, 8}, {-1, -1, 9}}, table.move(found, #found - 4, #found, 1,
        {}))
      assert.are.equal(22, #found)
    end
  end)

  it("has no node if it is empty, or has one entry at 0", function()
    local dump = guest_with(function(guest, types)
      start(guest, types)
      tree(guest, types, 0)
    end)
    assert.are.same({}, ranges(dump))
    local object
    dump = guest_with(function(guest, types)
      start(guest, types)
      object = guest:reserve(16)
      tree(guest, types, object)
    end)
    assert.are.same({{0, 0, object}}, ranges(dump))
  end)

  -- A tree of a root and a leaf, of which change(guest, types, root, leaf) damages something.
  local function damaged(pattern, change)
    local dump = guest_with(function(guest, types)
      local at, new = start(guest, types)
      local root, leaf = new(), new()
      set(guest, types, root, RANGE_64, at | 1, {9}, {maple_entry(leaf, LEAF_64),
        maple_entry(leaf, LEAF_64)})
      set(guest, types, leaf, LEAF_64, root | 6, {4, 9}, {value(1), value(2)})
      tree(guest, types, maple_entry(root, RANGE_64, true))
      change(guest, types, root, leaf)
    end)
    check_raised("kernel.gcore: struct maple_tree at 0x%x+: damaged: " .. pattern,
      ranges, dump)
  end

  it("raises where it is damaged", function()
    local back = "the node at 0x%x+ does not point back to its parent$"
    damaged(back, function() end) -- two slots with one leaf
    damaged(back, function(guest, _, root) guest:set(root, 1) end)
    damaged(back, function(guest, _, _, leaf) guest:set(leaf, leaf) end) -- a dead node
    damaged("slot 0 of the node at 0x%x+ leads to no node$", function(guest, types, root)
      guest:set(root + types:offset("struct maple_range_64", "slot"), 0)
    end)
    damaged("pivot 1 of the node at 0x%x+ is out of order$", function(guest, _, _, leaf)
      guest:set(leaf + 16, 3)
    end)
    damaged("pivot 0 of the node at 0x%x+ is out of order$", function(guest, _, _, leaf)
      guest:set(leaf + 8, 10)
    end)
    damaged("a node of the unknown kind 9 at 0x", function(guest, types, root, leaf)
      guest:set(root + types:offset("struct maple_range_64", "slot"), maple_entry(leaf, 9))
    end)
    damaged(".*virtual address", function(guest, types, root)
      guest:set(root + types:offset("struct maple_range_64", "slot"), maple_entry(0x5000, LEAF_64))
    end)
  end)

  it("raises if it is higher than any tree of the kernel", function()
    local dump = guest_with(function(guest, types)
      local at, new = start(guest, types)
      local above = new()
      tree(guest, types, maple_entry(above, RANGE_64, true))
      for i = 1, 40 do
        local below = new()
        set(guest, types, above, RANGE_64, i == 1 and at | 1 or above - 256 | 6, {-1},
          {maple_entry(below, RANGE_64)})
        above = below
      end
    end)
    check_raised("damaged: more than 31 levels$", ranges, dump)
  end)
end)

describe("the cost of a walk", function()
  after_each(files.clean)

  it("is small for any links: memory that is mapped again and again", function()
    local guest = kernel.new()
    local types = kernel_objects.types()
    local at = kernel_objects.fill(guest, types)
    local words = {}
    for i = 0, 20000 do -- that all lead to one another
      words[i + 1] = guest:pack("i8", kernel.BASE + i * 8)
    end
    guest:place(table.concat(words))
    guest:add_btf(types:btf())
    local path, map = guest:write(), files.write("System.map", guest:map())
    local answer = cost.check(([[local d, c = assert(qvm.open(%q)), qvm.c
      assert(d:symbols(%q))
      local count = 0
      math.randomseed(3)
      for i = 1, 50 do
        local address = %d + math.random(0, 30000) * 8
        for name, head in pairs {list = "list_head", hlist = "hlist_head", llist = "llist_head",
          rbtree = "rb_root", xarray = "xarray", maple_tree = "maple_tree"} do
          pcall(function()
            local object = d:object("struct " .. head, address)
            for _ in c[name](object, "struct rq", "curr") do count = count + 1 end
          end)
        end
      end
      return count]]):format(path, map, at.init_mm))
    assert.is_true(tonumber(answer) < 10000000)
  end)
end)
