-- Objects: structures in the memory of a guest's kernel, read by the names of their members.

local btf = require "support.btf"
local files = require "support.files"
local kernel = require "support.kernel"
local kernel_objects = require "support.kernel_objects"
local qvm = require "qvm"

-- A dump with the usual objects of a kernel, and their addresses.
local function usual(order)
  local guest = kernel.new(order)
  local types = kernel_objects.types(order)
  local at = kernel_objects.fill(guest, types)
  guest:add_btf(types:btf())
  return guest:open(), at, types
end

-- The Object of a struct that a function defines, in memory with these bytes: build(types) returns
-- the id of the struct "it".
local function object_of(bytes, build, order)
  local guest = kernel.new(order)
  local types = btf.new(order)
  build(types)
  guest:add_btf(types:bytes())
  local at = guest:place(bytes, "it")
  local dump = guest:open()
  return assert(dump:object("struct it", "it")), dump, at
end

describe("an object", function()
  after_each(files.clean)

  it("is a typed place, by a type or its name and an address or a symbol", function()
    local dump, at = usual()
    local task = assert(dump:object("struct task_struct", at.first_task))
    assert.are.equal(("struct task_struct at 0x%016x"):format(at.first_task), tostring(task))
    assert.is_true(task == dump:object(dump:type "struct task_struct", "first_task"))
    assert.is_true(task ~= dump:object("struct task_struct", "second_task"))
    assert.is_true(task ~= dump:object("struct rq", "first_task"))
    assert.are.equal(at.first_task + 4, qvm.c.address(dump:object("int", "first_task+4")))
    assert.are.equal("not_found", select(3, dump:object("struct nothing", 5)))
    assert.are.equal("not_found", select(3, dump:object("int", "no_symbol")))
    for _, bad in ipairs {{5, 5}, {"int", 1.5}, {"int", {}}, {"int", "5"}, {}} do
      assert.is_false(pcall(dump.object, dump, bad[1], bad[2]))
    end
  end)

  it("is not of a type of another dump, or of types that are no longer in use", function()
    local dump, at = usual()
    local task, old = dump:variable "init_task", dump:type "struct task_struct"
    dump:types(files.write("same.btf", kernel_objects.types():btf()))
    for name, f in pairs {
      object = function() dump:object(old, at.init_task) end,
      variable = function() dump:variable("init_task", old) end,
      cast = function() qvm.c.cast(dump:variable "init_task", old) end,
    } do
      local ok, message = pcall(f)
      assert.is_false(ok)
      assert.matches("^spec/guest/objects_spec.lua:%d+: bad argument #%d to '" .. name
        .. "' %(a Type of other types than those in use%)$", message)
    end
    assert.are.equal("swapper/0", qvm.c.cast(task, old).comm)
  end)

  it("has the members of its struct, in either byte order", function()
    for _, order in ipairs {"<", ">"} do
      local dump, at = usual(order)
      local task = dump:variable "first_task" or dump:object("struct task_struct", "first_task")
      assert.are.equal(1, task.pid)
      assert.are.equal("init", task.comm)
      assert.are.equal("swapper/0", task.parent.comm)
      assert.are.equal(0xffffff8000001000, task.parent.mm.start_code)
      assert.is_nil(task.mm)
      assert.are.equal(1, task.kind)
      assert.are.equal(("(struct task_struct *) 0x%016x"):format(at.init_task),
        tostring(task.parent))
      assert.are.equal(("struct list_head at 0x%016x"):format(at.first_task + 24),
        tostring(task.tasks))
    end
  end)

  it("has numbers of every size and sign, with all their bits", function()
    for _, order in ipairs {"<", ">"} do
      local values = {-2, 0xfe, -300, 0xfed4, -70000, 0xfffeee90, -1 << 40, -1}
      local names = {"i1", "I1", "i2", "I2", "i4", "I4", "i8", "I8"}
      local bytes, at, members = "", 0, {}
      for i, format in ipairs(names) do
        local size = tonumber(format:sub(2))
        local mask = size == 8 and -1 or (1 << 8 * size) - 1
        bytes = bytes .. string.pack(order .. "I" .. size, values[i] & mask)
      end
      bytes = bytes .. "\1\0" .. string.pack(order .. "i8i8", 1, 2)
      local object = object_of(bytes, function(types)
        for _, format in ipairs(names) do
          local size = tonumber(format:sub(2))
          members[#members + 1] = {format, types:int("number_" .. format, size,
            {signed = format:sub(1, 1) == "i"}), at * 8}
          at = at + size
        end
        local bool = types:int("_Bool", 1, {bool = true})
        members[#members + 1] = {"yes", bool, at * 8}
        members[#members + 1] = {"no", bool, at * 8 + 8}
        members[#members + 1] = {"wide", types:int("__int128", 16), at * 8 + 16}
        types:struct("it", at + 18, members)
      end, order)
      for i, name in ipairs(names) do
        assert.are.equal(values[i], object[name], order .. name)
      end
      assert.is_true(object.yes)
      assert.is_false(object.no)
      local first, second = "0000000000000001", "0000000000000002"
      assert.are.equal("0x" .. (order == "<" and second .. first or first .. second), object.wide)
    end
  end)

  it("has floats and enums of every width", function()
    local object = object_of(string.pack("<dfi1xi4xxxxi8", 0.5, -2.25, -1, -5, -1), function(types)
      types:struct("it", 32, {{"wide", types:float("double", 8), 0},
        {"narrow", types:float("float", 4), 64},
        {"tiny", types:enum("tiny", {{"A", -1}}, 1, true), 96},
        {"usual", types:enum("usual", {{"B", 1}}, 4, true), 112},
        {"large", types:enum64("large", {{"C", -1}}), 176}})
    end)
    assert.are.same({0.5, -2.25, -1, -5, -1}, {object.wide, object.narrow, object.tiny,
      object.usual, object.large})
  end)

  it("has bitfields, in each byte order and each form of the type information", function()
    -- little-endian: bits 0-2 = 5, 3-15 = 0x1abc; big-endian: from the highest bit on.
    local values = {["<"] = string.pack("<I4", 5 | 0x1abc << 3 | 3 << 30),
      [">"] = string.pack(">I4", 5 << 29 | 0x1abc << 16 | 3)}
    for order, bytes in pairs(values) do
      local object = object_of(bytes, function(types)
        local int = types:int("unsigned int", 4)
        local signed = types:int("int", 4, {signed = true})
        local bool = types:int("_Bool", 1, {bool = true})
        types:struct("it", 4, {{"low", int, 0, 3}, {"middle", int, 3, 13}, {"top", signed, 30, 2},
          {"flag", bool, 30, 1}, {"none", bool, 20, 1}})
      end, order)
      assert.are.same({5, 0x1abc, -1, true, false}, {object.low, object.middle, object.top,
        object.flag, object.none})
    end
    local old = object_of(values["<"], function(types)
      local middle = types:int("unsigned int", 4, {bits = 13, offset = 3})
      types:struct("it", 4, {{"middle", middle, 0}})
    end)
    assert.are.equal(0x1abc, old.middle)
    local long = object_of(("\xff"):rep(16), function(types)
      local int = types:int("unsigned long", 8)
      types:struct("it", 16, {{"all", int, 3, 64}, {"most", int, 7, 57}, {"more", int, 0, 65}})
    end)
    assert.are.equal(-1, long.all)
    assert.are.equal((1 << 57) - 1, long.most)
    assert.matches("a bitfield of more than 64 bits", select(2, pcall(function()
      return long.more
    end)))
  end)

  it("has the members of anonymous structs and unions", function()
    local dump, at = usual()
    local node = dump:object("struct maple_node", at.maple_node)
    assert.are.equal(at.task_ids | 1, qvm.c.address(node.parent))
    assert.are.equal(9, node.mr64.pivot[1])
    assert.are.equal(9, qvm.c.address(node.slot[1]))
  end)

  it("has arrays, whose elements count from 1", function()
    local dump, at = usual()
    local node = dump:object("struct maple_node", at.maple_node)
    local pivots = node.mr64.pivot
    assert.are.equal(15, #pivots)
    assert.are.equal(0x1fff, pivots[2])
    assert.is_nil(pivots[16])
    local count, sum = 0, 0
    for i, value in ipairs(pivots) do
      count, sum = i, sum + value
    end
    assert.are.same({15, 9 + 0x1fff}, {count, sum})
    local table = dump:object("int[2][3]", at.jiffies)
    assert.are.same({2, 3}, {#table, #table[1]})
    assert.are.equal(at.jiffies + 12, qvm.c.address(table[2]))
    assert.are.equal(-1, table[1][1])
    local ok, message = pcall(function() return pivots[0] end)
    assert.is_false(ok)
    assert.matches("long unsigned int%[15%] has no element 0: elements count from 1$", message)
    assert.is_false(pcall(function() return pivots[1.5] end))
    assert.is_false(pcall(function() return pivots[{}] end))
  end)

  it("has no elements beyond the end of the address space", function()
    local dump = usual()
    local list = dump:variable("init_task").tasks.next
    assert.are.equal(qvm.c.address(list), qvm.c.address(list[1]))
    for _, index in ipairs {(1 << 60) + 1, math.maxinteger, 1 << 56} do
      local ok, message = pcall(function() return list[index] end)
      assert.is_false(ok)
      assert.matches("has no element %d+: it is beyond the end of the address space$", message)
    end
  end)

  it("has arrays without a length, and elements beyond a pointer", function()
    local object, dump, at = object_of(string.pack("<i8i4i4i4", kernel.BASE + 0x1000, 7, 8, 9),
      function(types)
        local int = types:int("int", 4, {signed = true})
        types:struct("it", 8, {{"list", types:pointer(int), 0}, {"rest", types:array(int, 0), 64}})
      end)
    assert.are.equal(0, #object.rest)
    assert.are.same({7, 9}, {object.rest[1], object.rest[3]})
    assert.are.same({8, 9}, qvm.c.array(dump:object("int[]", at + 12), 2))
    local pointer = dump:object("int *", at)
    assert.are.equal(kernel.BASE + 0x1000, qvm.c.address(qvm.c.value(pointer)))
    local first = pcall(function() return object.list[1] end) -- after the memory's end
    assert.is_false(first)
  end)

  it("has strings of char arrays, up to their NUL", function()
    local object = object_of("abc\0def\0" .. ("x"):rep(8) .. "tail\0" .. ("y"):rep(300),
      function(types)
        local char = types:int("char", 1, {char = true})
        local byte = types:int("unsigned char", 1)
        types:struct("it", 40, {{"text", types:array(char, 8), 0}, {"full", types:array(char, 8),
          64}, {"rest", types:array(char, 0), 128}, {"bytes", types:array(byte, 4), 0},
          {"long", types:array(char, 300), 128 + 40}})
      end)
    assert.are.equal("abc", object.text)
    assert.are.equal(("x"):rep(8), object.full)
    assert.are.equal(("y"):rep(300), object.long)
    assert.are.equal("tail", qvm.c.string(object.rest))
    assert.are.equal(("a"):byte(), object.bytes[1])
  end)

  it("has pointers to functions, which are shown with their symbols", function()
    local guest = kernel.new()
    local types = btf.new()
    local run = types:pointer(types:prototype(0, {}))
    types:struct("it", 8, {{"run", run, 0}})
    guest:add_btf(types:bytes())
    guest:reserve(64)
    local code = guest:place(("\0"):rep(64), "do_it")
    guest.symbols.do_more = code + 64
    guest:place(guest:pack("i8", code + 4), "it")
    local object = assert(guest:open():object("struct it", "it"))
    assert.are.equal(("(void (*)(void)) 0x%016x do_it+0x4/0x40"):format(code + 4),
      tostring(object.run))
    assert.matches("\n  run: %(void %(%*%)%(void%)%) 0x%x+ do_it%+0x4/0x40$", qvm.show(object))
    assert.is_false(pcall(function() return object.run.x end))
  end)

  it("raises if a member is not there, and says which is nearest", function()
    local dump = usual()
    local task = dump:variable "init_task"
    local function raised(f)
      local ok, message = pcall(f)
      assert.is_false(ok)
      assert.matches("^spec/guest/objects_spec.lua:%d+: ", message)
      return message
    end
    assert.matches("struct task_struct has no member 'com': is it 'comm'%?$",
      raised(function() return task.com end))
    assert.matches("struct mm_struct has no member 'pgdd': is it 'pgd'%?$",
      raised(function() return task.mm.pgdd end))
    assert.matches("struct task_struct has no elements", raised(function() return task[1] end))
    assert.matches("struct task_struct has no length", raised(function() return #task end))
    assert.matches("long unsigned int has no member 'x'$",
      raised(function() return dump:variable("jiffies").x end))
    assert.matches("a dump cannot be changed", raised(function() task.pid = 5 end))
    assert.matches("has no member 'a\\x1b'", raised(function() return task["a\27"] end))
  end)

  it("raises if memory cannot be read, or the pointer is NULL", function()
    local dump = usual()
    local far = dump:object("struct task_struct", 0x1000)
    local ok, message = pcall(function() return far.pid end)
    assert.is_false(ok)
    assert.matches("^spec/guest/objects_spec.lua:%d+: struct task_struct: .*0x0000000000001004",
      message)
    local null = dump:object("struct task_struct *", dump:address "task_hash" + 8)
    ok, message = pcall(function() return null.pid end)
    assert.is_false(ok)
    assert.matches("struct task_struct %*: it is NULL$", message)
  end)

  it("of a closed dump raises, and says so", function()
    local dump = usual()
    local task = dump:variable "init_task"
    dump:close()
    local ok, message = pcall(function() return task.pid end)
    assert.is_false(ok)
    assert.matches("struct task_struct: the dump is closed$", message)
    assert.matches("the dump is closed", (qvm.show(task)))
    assert.matches("^struct task_struct at 0x", tostring(task))
    assert.are.equal("gone", select(3, dump:object("int", 5)))
    assert.are.equal("gone", select(3, dump:variable "init_task"))
  end)

  it("keeps its dump and its types", function()
    local task
    do
      local dump = usual()
      task = dump:variable "init_task"
      dump:types(files.write("other.btf", kernel_objects.types():btf()))
    end
    collectgarbage()
    collectgarbage()
    assert.are.equal("swapper/0", task.comm)
  end)
end)

describe("a variable", function()
  after_each(files.clean)

  it("has the type that the type information or the library knows, or that is passed", function()
    local dump, at = usual()
    assert.are.equal("struct task_struct", qvm.c.typeof(dump:variable "init_task").name)
    assert.are.equal("struct rq", qvm.c.typeof(dump:variable "runqueues").name)
    assert.are.equal(0xffffffff, qvm.c.value(dump:variable "jiffies"))
    assert.are.equal(at.first_task, qvm.c.address(dump:variable("first_task", "int")))
    local type = dump:type "struct task_struct"
    assert.are.equal("init", dump:variable("first_task", type).comm)
    assert.are.same({nil, "the type of the variable 'first_task' is not known: pass it",
      "not_found"}, {dump:variable "first_task"})
    assert.are.equal("not_found", select(3, dump:variable("nowhere", "int")))
    assert.are.equal("not_found", select(3, dump:variable "init_net")) -- no such type
    assert.is_false(pcall(dump.variable, dump, 5))
    assert.is_false(pcall(dump.variable, dump, "init_task", 5))
  end)
end)

describe("qvm.show of an object", function()
  after_each(files.clean)

  it("has its members, with names of enumerators, addresses and strings", function()
    local dump, at = usual()
    local text = qvm.show(dump:object("struct task_struct", "first_task"))
    local function hex(address)
      return ("0x%016x"):format(address)
    end
    assert.are.equal("struct task_struct at " .. hex(at.first_task) .. "\n  __state: 1\n  pid: 1\n"
      .. '  comm: "init"\n  tasks:\n    next: (struct list_head *) ' .. hex(at.second_task + 24)
      .. "\n    prev: (struct list_head *) " .. hex(at.init_task + 24)
      .. "\n  mm: NULL\n  parent: (struct task_struct *) " .. hex(at.init_task)
      .. "\n  kind: PIDTYPE_TGID (1)\n  node:\n    next: NULL\n    pprev: (struct hlist_node **) "
      .. hex(at.task_hash) .. "\n  wake:\n    next: NULL", text)
    assert.are.equal(text:match("\n.*"), qvm.show(dump:variable("task_hash", "struct hlist_head")
      and qvm.c.container_of(dump:variable("init_task").tasks.next, "struct task_struct", "tasks"))
      :match("\n.*"))
    assert.matches("^%(struct mm_struct %*%) 0x%x+\n  pgd: NULL\n", qvm.show(
      dump:variable("init_task").mm))
    assert.matches("\n  start_code: 0xffffff8000001000$", qvm.show(dump:variable("init_task").mm))
    assert.are.equal("long unsigned int at " .. hex(at.jiffies) .. ": 4294967295",
      qvm.show(dump:variable "jiffies"))
  end)

  it("is cut in depth, in elements and in lines", function()
    local dump = usual()
    local text = qvm.show(dump:object("struct xa_node", "page_node"))
    assert.matches("\n    %[16%]: NULL\n    %.%.%. and 48 more\n", text)
    local object = object_of(("\0"):rep(64), function(types)
      local int = types:int("int", 4)
      local inner = types:struct("level1", 4, {{"x", int, 0}})
      for i = 2, 6 do
        inner = types:struct("level" .. i, 4, {{"inner", inner, 0}})
      end
      local members = {{"deep", inner, 0}}
      for i = 1, 1000 do
        members[i + 1] = {"number" .. i, int, 0}
      end
      types:struct("it", 64, members)
    end)
    text = qvm.show(object)
    assert.matches("\n  deep:\n    inner:\n      inner: struct level4 at 0x%x+\n", text)
    local _, lines = text:gsub("\n", "")
    assert.is_true(lines < 420)
    assert.matches("\n  %.%.%.$", text)
  end)

  it("says of each member that cannot be read why, and is safe for a terminal", function()
    local dump = usual()
    local text = qvm.show(dump:object("struct task_struct", 0x1000))
    assert.matches("\n  pid: %(struct task_struct: .*virtual address", text)
    local object = object_of("a\27[2J\7b\0\0", function(types)
      types:struct("it", 8, {{"n\27ame", types:array(types:int("char", 1, {char = true}), 8), 0}})
    end)
    for _, shown in ipairs {qvm.show(object), tostring(object)} do
      assert.is_nil(shown:find("[\27\7]"))
    end
    assert.matches("\n  n\\x1bame: \"a\\x1b%[2J\\x07b\"$", qvm.show(object))
    assert.matches("\n  %[1%]: struct it at 0x", qvm.show {object})
  end)
end)
