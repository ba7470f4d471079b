-- Types of a guest's kernel: where they are found, their names, and what they are made of.

local btf = require "support.btf"
local cost = require "support.cost"
local files = require "support.files"
local kernel = require "support.kernel"
local kernel_objects = require "support.kernel_objects"
local process = require "support.process"
local qvm = require "qvm"
local writer = require "support.dumpwriter"

-- A dump whose kernel has these types.
local function dump_with(bytes, order)
  local guest = kernel.new(order)
  guest:add_btf(bytes)
  return guest:open()
end

-- The types of a kernel with the usual ones, in a byte order.
local function usual(order)
  return dump_with(kernel_objects.types(order):btf(), order)
end

-- The types that a function writes: build(writer).
local function types_of(build, order)
  local types = btf.new(order)
  build(types)
  return dump_with(types:bytes(), order)
end

local function list_of(iterator)
  local list = {}
  for a, b in iterator do
    list[#list + 1] = b == nil and a or {a, b}
  end
  return list
end

describe("the types of a guest's kernel", function()
  after_each(files.clean)

  it("are read from its memory, in either byte order", function()
    for _, order in ipairs {"<", ">"} do
      local dump = usual(order)
      local types = assert(dump:types())
      assert.are.equal("the kernel's memory", types.from)
      assert.are.equal(types.count .. " types from the kernel's memory", tostring(types))
      assert.is_true(types.count > 50)
      assert.are.equal(16, dump:type("struct list_head").size)
      assert.are.equal(types, dump:types())
    end
  end)

  it("are found without symbols", function()
    local guest = kernel.new()
    local types = kernel_objects.types()
    for i = 1, 4000 do -- a kernel's are never as small as the others here
      types:typedef("some_type_" .. i, "int")
    end
    local other = btf.new("<")
    other:int("int", 4)
    guest:place(other:bytes()) -- as a module's, which are small
    guest:place("\x9f\xeb\1\0\24\0\0\0")
    guest:place(types:btf())
    local dump = assert(qvm.open(guest:write()))
    assert.is_true(assert(dump:types()).count > 4000)
    assert.are.equal(88, dump:type("struct task_struct").size)
  end)

  it("are not_found in a kernel that has none, and the message says which file would help",
    function()
      local dump = kernel.new():open()
      dump = assert(qvm.open(dump.path))
      for _ = 1, 2 do
        assert.are.same({nil, dump.path .. ": the kernel has no type information (BTF) in its "
          .. "memory: pass a file with it to dump:types", "not_found"}, {dump:types()})
      end
      assert.are.equal("not_found", select(3, dump:type "int"))
      assert.are.equal("not_found", select(3, dump:variable "init_task"))
      local none = assert(qvm.open(files.write("none", writer.small())))
      assert.are.equal("not_found", select(3, none:types()))
    end)

  it("are not known to be missing from a kernel whose symbols the dump lacks", function()
    local guest = kernel.new()
    guest.info = guest.info .. ("SYMBOL(_stext)=%x\n"):format(guest.base + (1 << 30))
    local path = guest:write()
    assert.are.same({nil, path .. ": the dump has neither the type information (BTF) of the kernel "
      .. "nor its symbols, which would say whether it has any: pass a file with it to dump:types",
      "not_found"}, {assert(qvm.open(path)):types()})
  end)

  it("are not searched for in a file that was cut meanwhile", function()
    local guest = kernel.new()
    guest:place "swapper"
    local physical = 0x90000000 -- in the last part of the file
    for page = 0, 63 do
      guest.mapped[page + 1] = {kernel.BASE + (1 << 30) + page * 4096, physical + page * 4096}
    end
    guest.segments = {{paddr = physical, bytes = ("x"):rep(64 * 4096)}}
    local dump = guest:open()
    assert(dump:kernel_space())
    assert(os.execute("truncate -s -128K " .. process.quote(dump.path)))
    local types, message, code = dump:type "struct task_struct"
    assert.are.same({nil, "truncated"}, {types, code})
    assert.are.equal(dump.path .. ":", message:sub(1, #dump.path + 1))
  end)

  it("are searched for at little cost where much looks like them", function()
    local strings = (24 << 20) - 56 -- begin and end where the page below has zeros
    local header = string.pack("<I2BBI4I4I4I4I4i8", 0xeb9f, 1, 0, 24, 0, 0, 0, strings, 0)
    for _, first in ipairs {"\0", "x"} do -- what the strings begin with
      local guest = kernel.new()
      local at = guest:reserve(8192, 4096)
      guest:set(at, (header:sub(1, 24) .. first .. ("\0"):rep(7)):rep(4096 // #header))
      guest:map_again(guest.base + (64 << 20), {{page = at, count = 1},
        {page = at + 4096, count = 6200}})
      local answer = cost.check(("local d = assert(qvm.open(%q)) return table.concat({"
        .. "tostring(nil), select(2, d:types())}, ' ')"):format(guest:write()))
      assert.matches(first == "\0" and "^nil .*has more than 25165824 bytes: pass .* too_large$"
        or "^nil .*has no type information.* not_found$", answer)
    end
  end)

  it("fail as a closed dump does", function()
    local dump = usual()
    local name = assert(dump:type "struct list_head")
    dump:close()
    assert.are.equal("gone", select(3, dump:types()))
    assert.are.equal("gone", select(3, dump:type "int"))
    assert.are.equal(16, name.size) -- what was read stays
  end)
end)

describe("the types of a file", function()
  after_each(function()
    process.clean()
    files.clean()
  end)

  local function elf_with(bytes, name)
    local names = "\0" .. (name or ".BTF") .. "\0"
    return writer.header {machine = 183, phnum = 0, type = 2, shnum = 3, shstrndx = 1,
      shoff = 64 + #names + #bytes} .. names .. bytes .. writer.section_header {}
      .. writer.section_header {type = 3, offset = 64, size = #names}
      .. writer.section_header {type = 1, name = 1, offset = 64 + #names, size = #bytes}
  end

  it("are read from raw type information, and from a section of an ELF file", function()
    local bytes = kernel_objects.types():btf()
    local dump = kernel.new():open()
    for _, path in ipairs {files.write("kernel.btf", bytes), files.write("vmlinux",
      elf_with(bytes))} do
      local types = assert(dump:types(path))
      assert.are.equal(path, types.from)
      assert.are.equal(16, dump:type("struct list_head").size)
    end
  end)

  it("of a module continue those of its kernel", function()
    local types = kernel_objects.types()
    local guest = kernel.new()
    local base = types:writer()
    guest:add_btf(base:bytes())
    local module = btf.new("<", base)
    local list = types:id "struct list_head"
    module:struct("driver", 24, {{"list", list, 0}, {"level", types:id "int", 128}})
    module:typedef("driver_t", module.next - 1)
    local dump = guest:open()
    for _, path in ipairs {files.write("driver.btf", module:bytes()), files.write("driver.ko",
      elf_with(module:bytes()))} do
      local split = assert(dump:types(path))
      assert.are.equal("2 types from " .. path, tostring(split))
      assert.are.equal("struct driver { struct list_head list; int level; }",
        tostring(dump:type "struct driver"))
      assert.are.equal("typedef struct driver driver_t", tostring(dump:type "driver_t"))
      assert.are.equal(16, dump:type("struct list_head").size)
    end
    assert.is_true(assert(dump:types()).count > 50)
    assert.are.equal("not_found", select(3, dump:type "struct driver"))
    -- Without its kernel's types it is malformed.
    assert.are.equal("malformed", select(3, kernel.new():open():types(files.path "driver.btf")))
  end)

  it("are refused with a reason, and the ones in use stay", function()
    local dump = usual()
    local before = assert(dump:types())
    local bytes = kernel_objects.types():btf()
    local function refused(code, text, contents)
      local path = contents and files.write("file", contents) or files.path("file")
      local _, message, what = dump:types(path)
      assert.are.equal(code, what, message)
      assert.matches(path .. ": " .. text, message, 1, true)
    end
    refused("malformed", "not type information in the form of BTF", "hello")
    refused("malformed", "not type information in the form of BTF", "")
    refused("not_found", "an ELF file without a section .BTF", elf_with(bytes, ".data"))
    refused("truncated", "type information of " .. #bytes .. " bytes, of which " .. #bytes - 1
      .. " are there", bytes:sub(1, -2))
    refused("truncated", "", elf_with(bytes):sub(1, 100))
    refused("unsupported", "version 2 of BTF, not 1", (bytes:gsub("^(..)\1", "%1\2")))
    refused("too_large", "type information of ", bytes .. ("\0"):rep(24 << 20))
    os.remove(files.path "file")
    refused("not_found", "")
    os.execute("mkfifo " .. files.path "file")
    refused("unsupported", "not a regular file")
    assert(process.run {"sh", "-c", "echo x | gzip >" .. files.path "file.gz"} == 0)
    assert.are.equal("malformed", select(3, dump:types(files.path "file.gz")))
    assert.are.equal("unsupported", select(3, dump:types(files.dir())))
    assert.are.equal(before, assert(dump:types()))
    assert.is_false(pcall(dump.types, dump, 5))
    assert.is_false(pcall(dump.types, dump, "a\0b"))
  end)
end)

describe("a type", function()
  after_each(files.clean)

  it("is found by its name in C", function()
    local dump = usual()
    for name, found in pairs {["struct list_head"] = "struct list_head", pid_t = "pid_t",
      ["unsigned long"] = "long unsigned int", ["long unsigned int"] = "long unsigned int",
      ["unsigned long int"] = "long unsigned int", unsigned = "unsigned int",
      ["long long"] = "long long int", ["short"] = "short int", ["unsigned char"] = "unsigned char",
      ["signed int"] = "int", ["unsigned __int128"] = "__int128 unsigned", ["void *"] = "void *",
      ["enum pid_type"] = "enum pid_type", ["struct list_head *"] = "struct list_head *",
      ["struct list_head*"] = "struct list_head *", ["const char *"] = "char *",
      ["char[16]"] = "char[16]", ["int [4][2]"] = "int[4][2]", ["char **"] = "char **",
      ["int * [3]"] = "int *[3]", ["  struct   rq "] = "struct rq", ["int[]"] = "int[]",
      ["char[0x10]"] = "char[16]"} do
      assert.are.equal(found, assert(dump:type(name), name).name)
    end
    assert.are.equal(8, dump:type("int[4][2]").length * dump:type("int[4][2]").target.length)
    assert.are.equal(32, dump:type("int[4][2]").size)
    assert.are.equal("int[2]", dump:type("int[4][2]").target.name)
  end)

  it("is found under the names that clang gives to integers", function()
    local dump = types_of(function(types)
      types:int("unsigned long", 8)
      types:int("long long", 8, {signed = true})
      types:int("unsigned __int128", 16)
    end)
    for _, name in ipairs {"unsigned long", "long unsigned int", "long long",
      "__int128 unsigned"} do
      assert(dump:type(name))
    end
  end)

  it("that is not there is not_found, and the message suggests what may be meant", function()
    local dump = usual()
    local among = "' among the " .. tostring(dump:types())
    assert.are.same({nil, dump.path .. ": no type 'task_struct" .. among
      .. ": is it 'struct task_struct'?", "not_found"}, {dump:type "task_struct"})
    assert.are.same({nil, dump.path .. ": no type 'struct nothing" .. among, "not_found"},
      {dump:type "struct nothing *"})
    assert.are.equal("not_found", select(3, dump:type "union list_head"))
    assert.are.equal("not_found", select(3, dump:type "signed char"))
  end)

  it("whose name is no C raises", function()
    local dump = usual()
    for _, name in ipairs {"", "*", "struct", "struct a b", "int x", "int[", "int[-1]", "int[x]",
      "int[1.5]", "char[5000000000]", "int *x", "int[2]*", "16", "int; int", "int*******",
      "struct list_head[4][4][4][4][4][4][4]"} do
      local ok, message = pcall(dump.type, dump, name)
      assert.is_false(ok, name)
      assert.matches("bad type ", message, 1, true)
    end
    assert.is_false(pcall(dump.type, dump, 5))
  end)

  it("has a kind, a size, a length and a target", function()
    local dump = types_of(function(types)
      local int = types:int("int", 4, {signed = true})
      types:int("_Bool", 1, {bool = true})
      types:float("double", 8)
      types:pointer(int)
      types:forward("opaque")
      types:forward("choice", true)
      types:volatile(types:const(int))
      types:typedef("ints", types:array(int, 3))
      types:union("either", 4, {{"one", int}})
      local prototype = types:prototype(int, {})
      types:func("run", prototype)
      types:typedef("callback", types:pointer(prototype))
      types:typedef("marked", types:type_tag("rcu", int))
      types:enum64("wide", {{"ALL", -1}})
    end)
    local function about(name)
      local type = assert(dump:type(name), name)
      return {type.kind, type.size, type.length or type.target and type.target.name}
    end
    assert.are.same({"int", 4}, about "int")
    assert.are.same({"bool", 1}, about "_Bool")
    assert.are.same({"float", 8}, about "double")
    assert.are.same({"pointer", 8, "int"}, about "int *")
    assert.are.same({"array", 12, 3}, about "int[3]")
    assert.are.same({"array", 0, 0}, about "int[]")
    assert.are.same({"forward"}, about "struct opaque")
    assert.are.same({"forward"}, about "union choice")
    assert.are.same({"typedef", 12, 3}, about "ints")
    assert.are.same({"union", 4}, about "union either")
    assert.are.same({"typedef", 8, "int (*)(void)"}, about "callback")
    assert.are.equal("function", dump:type("callback").target.target.kind)
    assert.are.equal("int", dump:type("callback").target.target.target.name)
    assert.are.equal("type_tag", dump:type("marked").target.kind)
    assert.are.same({"enum", 8}, about "enum wide")
    assert.are.same({"void"}, about "void")
    assert.is_nil(dump:type("struct opaque[2]").size)
    assert.is_nil(dump:type("void").size)
  end)

  it("has the pointers of the dump's machine", function()
    local dump = assert(qvm.open(files.write("arm.gcore", writer.as("<", 32, function()
      return writer.small {machine = "arm"}
    end))))
    assert(dump:types(files.write("types", kernel_objects.types():btf())))
    assert.are.equal(4, dump:type("void *").size)
    assert.are.equal(12, dump:type("struct list_head *[3]").size)
  end)

  it("is equal to itself", function()
    local dump = usual()
    assert.are_not.equal(dump:type "int", dump:type "pid_t")
    assert.is_true(dump:type "int *" == dump:type "int*")
    assert.is_true(dump:type "int *" ~= dump:type "int **")
    assert.is_true(dump:type "char[2]" ~= dump:type "char[3]")
    assert.is_false(dump:type "int" == 4)
  end)

  it("is the C declaration as a string", function()
    local dump = types_of(function(types)
      local int = types:int("int", 4, {signed = true})
      local char = types:int("char", 1, {signed = true, char = true})
      local text = types:pointer(types:const(char))
      local prototype = types:prototype(0, {{"fd", int}, {"format", text}, {"", 0}})
      local inner = types:prototype(int, {{"", types:pointer(prototype)}})
      local node = types:struct("node", 4, {{"x", int}})
      types:struct("all", 128, {{"run", types:pointer(prototype), 0},
        {"handlers", types:array(types:pointer(inner), 4), 64},
        {"name", types:array(char, 16), 320},
        {"table", types:pointer(types:array(int, 3)), 448},
        {"here", types:const(types:pointer(char)), 512},
        {"next", types:type_tag("rcu", types:pointer(node)), 576},
        {"deep", types:volatile(types:const(int)), 640}, {"rest", types:array(int, 0), 1024}})
      types:enum("colour", {{"RED", -1}, {"GREEN", 7}}, 4, true)
      types:struct("", 4, {{"x", int}})
      types:typedef("anonymous", types.next - 1)
      types:forward("opaque")
    end)
    local lines = {}
    for member in dump:type("struct all"):members() do
      lines[#lines + 1] = tostring(member)
    end
    assert.are.same({"void (*run)(int fd, const char *format, ...) at offset 0",
      "int (*handlers[4])(void (*)(int fd, const char *format, ...)) at offset 8",
      "char name[16] at offset 40", "int (*table)[3] at offset 56", "char *const here at offset 64",
      "struct node *__rcu next at offset 72", "volatile const int deep at offset 80",
      "int rest[] at offset 128"}, lines)
    assert.are.equal("enum colour { RED = -1, GREEN = 7 }", tostring(dump:type "enum colour"))
    assert.are.equal("typedef struct {...} anonymous", tostring(dump:type "anonymous"))
    assert.are.equal("struct opaque", tostring(dump:type "struct opaque"))
    assert.are.equal("struct all *", tostring(dump:type "struct all *"))
    assert.matches("^struct all { void %(%*run%).*; int rest%[%]; }$", tostring(
      dump:type "struct all"))
  end)
end)

describe("the members of a struct", function()
  after_each(files.clean)

  local function members(type)
    local list = {}
    for m in type:members() do
      list[#list + 1] = table.concat({m.name, m.type.name, m.offset, m.bit_offset, m.bits}, " ")
    end
    return list
  end

  it("have a name, a type and an offset", function()
    local dump = usual()
    assert.are.same({"next struct list_head * 0", "prev struct list_head * 8"},
      members(dump:type "struct list_head"))
    assert.are.same({" union {...} 0"}, members(dump:type "struct maple_node"))
    assert.are.same({" struct {...} 0", "mr64 struct maple_range_64 0",
      "ma64 struct maple_arange_64 0"}, members(list_of(dump:type("struct maple_node"):members())[1]
      .type))
    local _, message = pcall(dump:type("int").members, dump:type "int")
    assert.matches("'members': int is not a struct or union$", message)
  end)

  it("of a bitfield have their bits, in each form of the type information", function()
    for _, order in ipairs {"<", ">"} do
      local dump = types_of(function(types)
        local int = types:int("unsigned int", 4)
        local three = types:int("unsigned int", 4, {bits = 3})
        local shifted = types:int("unsigned int", 4, {bits = 5, offset = 3})
        types:struct("new", 8, {{"plain", int, 0, 0}, {"low", int, 32, 3}, {"high", int, 43, 13}})
        types:struct("old", 8, {{"plain", int, 0}, {"low", three, 32}, {"high", shifted, 32}})
      end, order)
      assert.are.same({"plain unsigned int 0", "low unsigned int 4 0 3",
        "high unsigned int 5 3 13"}, members(dump:type "struct new"))
      assert.are.same({"plain unsigned int 0", "low unsigned int 4 0 3",
        "high unsigned int 4 3 5"}, members(dump:type "struct old"))
      local list = list_of(dump:type("struct new"):members())
      assert.are.equal("unsigned int high at offset 5, 13 bits from bit 3", tostring(list[3]))
    end
  end)

  it("have offsets by path, within anonymous ones too", function()
    local dump = usual()
    assert.are.equal(32, dump:type("struct task_struct"):offset "tasks.prev")
    assert.are.equal(8, dump:type("struct maple_node"):offset "mr64.pivot")
    assert.are.equal(8, dump:type("struct maple_node"):offset "slot")
    local task = dump:type "struct task_struct"
    local function raised(path, type)
      local ok, message = pcall(task.offset, type or task, path)
      assert.is_false(ok)
      return message
    end
    assert.matches("struct task_struct has no member 'com': is it 'comm'%?$", raised "com")
    assert.matches("struct list_head has no member 'nxt': is it 'next'%?$", raised "tasks.nxt")
    assert.matches("struct task_struct has no member 'zzzzzzzz'$", raised "zzzzzzzz")
    assert.matches("pid_t has no member 'x'$", raised "pid.x")
    assert.matches("has no member ''", raised "")
    assert.matches("has no member ''", raised "tasks.")
    assert.matches("'offset': masked of struct irq_flags is a bitfield$", raised("masked",
      dump:type "struct irq_flags"))
    assert.is_false(pcall(task.offset, task, 5))
  end)

  it("are enumerators of an enum, of any width", function()
    local dump = types_of(function(types)
      types:enum("signed", {{"LESS", -1}, {"MORE", 1}}, 4, true)
      types:enum("unsigned", {{"MOST", 0xffffffff}})
      types:enum64("wide", {{"TOP", 1 << 63}, {"LOW", 5}})
    end)
    local function all(name)
      return list_of(dump:type(name):enumerators())
    end
    assert.are.same({{"LESS", -1}, {"MORE", 1}}, all "enum signed")
    assert.are.same({{"MOST", 0xffffffff}}, all "enum unsigned")
    assert.are.same({{"TOP", 1 << 63}, {"LOW", 5}}, all "enum wide")
    local type = dump:type "enum wide"
    assert.matches("'members': enum wide is not a struct or union$", select(2, pcall(type.members,
      type)))
  end)

  it("are laid out by qvm.show", function()
    local dump = usual()
    assert.are.equal([[
struct xa_node {  /* 576 bytes */
    0    unsigned char shift;
    1    unsigned char offset;
    2    unsigned char count;
    3    unsigned char nr_values;
    8    struct xa_node *parent;
   16    struct xarray *array;
   24    struct list_head private_list;
   40    void *slots[64];
  552    long unsigned int tags[3];
}]], qvm.show(dump:type "struct xa_node"))
    assert.are.equal("struct irq_flags {  /* 4 bytes */\n    0:0  unsigned int level : 3;\n"
      .. "    0:3  unsigned int masked : 1;\n}", qvm.show(dump:type "struct irq_flags"))
    assert.are.equal("typedef int pid_t, 4 bytes", qvm.show(dump:type "pid_t"))
    assert.are.equal("enum pid_type {  /* 4 bytes */\n  PIDTYPE_PID = 0,\n  PIDTYPE_TGID = 1,\n"
      .. "  PIDTYPE_MAX = 2,\n}", qvm.show(dump:type "enum pid_type"))
    assert.matches("\n    0    union {\n    0      struct {\n    0        void %*parent;\n",
      qvm.show(dump:type "struct maple_node"))
    assert.are.equal("char[16], 16 bytes", qvm.show(dump:type "char[16]"))
  end)
end)

describe("hostile type information", function()
  after_each(files.clean)

  local function refused(code, text, bytes)
    local dump = kernel.new():open()
    local _, message, what = dump:types(files.write("hostile", bytes))
    assert.are.equal(code, what, message)
    assert.matches(text, message, 1, true)
  end

  local function built(build, header)
    local types = btf.new()
    build(types)
    return types:bytes(header)
  end

  it("is malformed if its types refer to what is not there", function()
    for _, build in ipairs {
      function(types) types:pointer(9) end,
      function(types) types:array(9, 1, 0) end,
      function(types) types:array(0, 1, 9) end,
      function(types) types:struct("s", 4, {{"m", 9, 0}}) end,
      function(types) types:prototype(0, {{"p", 9}}) end,
      function(types) types:section("s", 4, {{9, 0, 4}}) end,
      function(types) types:raw(99, "int", 0, false, 4, "\0\0\0\0") end,
      function(types) types:raw("s", "enum", 1, false, 4, string.pack("<I4I4", 99, 0)) end,
      function(types) types:typedef("t", 0xffffffff) end,
    } do
      refused("malformed", "refers to a type or a name that is not there", built(build))
    end
  end)

  it("is malformed if its types refer to each other in a loop, or in a very long chain", function()
    for _, build in ipairs {
      function(types) types:pointer(1) end,
      function(types) types:typedef("a", 2) types:const(1) end,
      function(types) types:array(1, 2, 0) end,
      function(types)
        types:int("int", 4)
        for i = 1, 70 do types:pointer(i) end
      end,
      function(types)
        for i = 1, 100 do types:const(i + 1) end
        types:int("int", 4)
      end,
    } do
      refused("malformed", "types that refer to each other in a loop", built(build))
    end
    local chain = built(function(types)
      types:int("int", 4)
      for i = 1, 60 do types:const(i) end
      types:typedef("long_chain", 61)
    end)
    local dump = kernel.new():open()
    assert(dump:types(files.write("chain", chain)))
    assert.are.equal(4, dump:type("long_chain").size)
    assert.matches("^const const .* int$", dump:type("long_chain").target.name)
  end)

  it("is malformed if its parts do not fit", function()
    local function int(types) types:int("int", 4) end
    refused("malformed", "half a one", built(int, {types_size = 17}))
    refused("truncated", "", built(int, {types_size = 99}))
    refused("truncated", "", built(int, {strings_size = 0xffffffff}))
    refused("truncated", "", built(int, {types_at = 0xffffffff}))
    refused("malformed", "", built(int, {size = 23}))
    refused("malformed", "the last type has no end", built(int, {types_size = 15}))
    refused("malformed", "half a one", built(int, {types_size = 8}))
    refused("malformed", "a string without an end", built(int, {strings_size = 4}))
    refused("malformed", "the first string is not empty", built(int, {strings_size = 0}))
    refused("malformed", "the first string is not empty", built(int, {strings_at = 17,
      strings_size = 4}))
    refused("malformed", "a type of kind 0",
      built(function(types) types:raw("", 0, 0, false, 0) end))
    refused("unsupported", "an unknown kind of type (25)",
      built(function(types) types:raw("", 25, 0, false, 0) end))
    refused("malformed", "the last type has no end",
      built(function(types) types:raw("s", "struct", 0xffff, false, 4) end))
    refused("malformed", "a very long one", built(function(types)
      types:int(("n"):rep(5000), 4)
    end))
  end)

  it("of another byte order than its base's is malformed", function()
    local types = kernel_objects.types()
    local guest = kernel.new()
    local base = types:writer()
    guest:add_btf(base:bytes())
    local module = btf.new(">", base)
    module:struct("driver", 4, {{"list", 1, 0}})
    assert.are.equal("malformed", select(3, guest:open():types(files.write("module",
      module:bytes()))))
  end)

  it("with sizes that overflow has no size", function()
    local dump = types_of(function(types)
      local int = types:int("int", 4)
      local many = int
      for _ = 1, 4 do
        many = types:array(many, 0xffffffff)
      end
      types:typedef("many", many)
      types:typedef("odd", types:array(types:int("odd_int", 0xffffffff, {bits = 8}), 0xffffffff))
    end)
    assert.is_nil(dump:type("many").size)
    assert.are.equal(0xffffffff, dump:type("many").length or dump:type("many").target.length)
    assert.are.equal(0xffffffff * 0xffffffff, dump:type("odd").size) -- an unsigned one
  end)

  it("costs little if its anonymous structs or its functions multiply", function()
    local structs = built(function(types)
      local int = types:int("int", 4)
      for i = 1, 9 do
        local members = {}
        for j = 1, 500 do
          members[j] = {"", i == 1 and int or types.next - 1, 0}
        end
        types:struct(i == 9 and "many" or "", 4, members)
      end
      local prototype, parameters = types.next, {}
      for j = 1, 32 do
        parameters[j] = {"", prototype + 1}
      end
      types:prototype(int, parameters)
      types:typedef("many_functions", types:pointer(prototype))
    end)
    local guest = kernel.new()
    guest:add_btf(structs)
    local at = guest:place(("\0"):rep(64))
    local path, map = guest:write(), files.write("System.map", guest:map())
    local answer = cost.check(([[local d = assert(qvm.open(%q))
      assert(d:symbols(%q))
      local t = assert(d:type "struct many")
      local one = pcall(t.offset, t, "nothing")
      local two = pcall(function() return d:object(t, %d).nothing end)
      return ("%%s %%s %%d %%d %%d"):format(one, two, #qvm.show(t), #qvm.show(d:object(t, %d)),
        #tostring(d:type "many_functions"))]]):format(path, map, at, at), 16 << 20)
    local one, two, layout, object, functions = answer:match("^(%S+) (%S+) (%d+) (%d+) (%d+)$")
    assert.are.equal("false false", one .. " " .. two)
    assert.is_true(tonumber(layout) < 50000 and tonumber(object) < 50000)
    assert.is_true(tonumber(functions) < 5000)
  end)

  it("costs little if the members that are asked for come after many others", function()
    local path = files.write("members", built(function(types)
      local int, nested = types:int("int", 4), {}
      types:struct("", 0, {})
      for i = 1, 60 do
        types:typedef("level_" .. i, types.next - 1)
      end
      for i = 1, 65535 do
        nested[i] = {"", types.next - 1, 0}
      end
      local many = types:struct("", 0, nested)
      local members = {{"first", int, 32}, {"", many, 0}, {"", many, 0}, {"", many, 0}}
      for i = 1, 150 do
        members[#members + 1] = {"member_" .. i, int, 32 * i}
      end
      types:struct("long", 4096, members)
    end))
    local answer, _, seconds = cost.check(([[local d = assert(qvm.open(%q))
      assert(d:types(%q))
      local t = assert(d:type "struct long")
      -- Without the public function's error, whose text lists members.
      for i = 1, 150 do require "qvm.core".type_member(t[1], "member_" .. i) end
      return t:offset "first"]]):format(kernel.new():write(), path))
    assert.are.equal("4", answer)
    assert.is_true(seconds < 3 or not cost.is_exact, ("%.1f s"):format(seconds))
  end)

  it("may have members after thousands of others", function()
    local dump = types_of(function(types)
      local int, members = types:int("int", 4), {}
      for i = 1, 20000 do
        members[i] = {"member_" .. i, int, 32 * i}
      end
      types:struct("long", 80004, members)
    end)
    for _ = 1, 2 do
      assert.are.equal(80000, dump:type("struct long"):offset "member_20000")
    end
  end)

  it("costs little if it is as large as allowed", function()
    local one = string.pack("<I4I4I4", 1, 10 << 24, 0) -- const void
    local count = ((24 << 20) - 26) // #one
    local bytes = string.pack("<I2BBI4I4I4I4I4", 0xeb9f, 1, 0, 24, 0, count * #one, count * #one, 3)
      .. one:rep(count) .. "\0a\0"
    local path, dump = files.write("large", bytes), kernel.new():write()
    assert.matches("^2097149 types from ", (cost.check(([[local d = assert(qvm.open(%q))
      return tostring(assert(d:types(%q)))]]):format(dump, path))))
    files.write("large", bytes .. ("\0"):rep(24 << 20))
    assert.matches("^nil .* more than 25165824 too_large$", (cost.check(([[
      local d = assert(qvm.open(%q))
      return table.concat({tostring(nil), select(2, d:types(%q))}, " ")]]):format(dump, path))))
  end)

  it("costs little if all its types have one long name", function()
    local one = string.pack("<I4I4I4", 1, 10 << 24, 0) -- const void
    local name = ("n"):rep(4096)
    local count = ((24 << 20) - 24 - #name - 2) // #one
    local bytes = string.pack("<I2BBI4I4I4I4I4", 0xeb9f, 1, 0, 24, 0, count * #one, count * #one,
      #name + 2) .. one:rep(count) .. "\0" .. name .. "\0"
    local path, dump = files.write("named", bytes), kernel.new():write()
    local _, _, seconds = cost.check(("return tostring(assert(qvm.open(%q)):types(%q))")
      :format(dump, path))
    assert.is_true(seconds < 4 or not cost.is_exact, ("%.1f s"):format(seconds))
  end)

  it("are found by names that differ only after many bytes", function()
    local long = ("n"):rep(64)
    local dump = types_of(function(types)
      local int = types:int("int", 4)
      for i, name in ipairs {"a", "b", "", ("n"):rep(4000)} do
        types:struct(long .. name, i, {{"value", int, 0}})
      end
    end)
    for i, name in ipairs {"a", "b", "", ("n"):rep(4000)} do
      assert.are.equal(i, dump:type("struct " .. long .. name).size)
    end
    for _, name in ipairs {long:sub(2), long .. "c", long .. "n"} do
      assert.are.equal("not_found", select(3, dump:type("struct " .. name)))
    end
  end)

  it("with names of control characters is safe to print", function()
    local dump = types_of(function(types)
      local int = types:int("int", 4)
      types:struct("evil", 4, {{"a\27[2J\nb", int, 0}})
      types:enum("bad", {{"c\27[2J\nd", 1}})
      types:type_tag("e\27\n", int)
      types:typedef("tagged", types.next - 1)
    end)
    for _, name in ipairs {"struct evil", "enum bad", "tagged"} do
      assert.is_nil(tostring(dump:type(name)):find("[%c]"))
      assert.is_nil(qvm.show(dump:type(name)):find("\27", 1, true))
    end
  end)

  it("does not crash the library, whatever its bytes are", function()
    local types = kernel_objects.types()
    local whole = types:btf()
    local dump = kernel.new():open()
    local accepted, tries = 0, os.getenv("QVM_VALGRIND") and 60 or 600
    math.randomseed(7)
    for _ = 1, tries do
      local at = math.random(#whole - 4)
      local bytes = whole:sub(1, at) .. string.pack("<I4", math.random(0) >> math.random(32, 63)
        & 0xffffffff) .. whole:sub(at + 5)
      if dump:types(files.write("changed", bytes)) then
        accepted = accepted + 1
        for _, name in ipairs {"struct task_struct", "struct maple_node", "enum pid_type"} do
          local type = dump:type(name)
          if type then
            tostring(type)
            qvm.show(type)
            pcall(type.offset, type, "tasks.next")
          end
        end
      end
    end
    assert.is_true(accepted > tries // 6)
    for length = 0, #whole - 1, 17 do
      assert.is_nil((dump:types(files.write("cut", whole:sub(1, length)))))
    end
  end)
end)
