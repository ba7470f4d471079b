-- Types and objects of real Linux guests: the kernel's own counts and indices tell what is right.

local guests = require "real_guests.guests"
local qvm = require "qvm"

local c = qvm.c

guests.each({"x86_64", "x86_64-la57", "aarch64", "aarch64-16k", "x86_64-testing",
  "aarch64-testing"}, "the types of a %s guest", function(_, directory)
  local dump

  lazy_setup(function()
    dump = assert(qvm.open(directory .. "first.elf"))
  end)

  lazy_teardown(function()
    dump:close()
  end)

  -- The first task, in guests whose kernel lists the symbols of data.
  local function init_task()
    local task, message, code = dump:variable "init_task"
    if code == "not_found" then
      pending(message)
    end
    return assert(task, message)
  end

  it("are in its memory", function()
    assert.is_true(assert(dump:types()).count > 50000)
    assert.are.equal(16, dump:type("struct list_head").size)
    assert.are.equal("struct list_head { struct list_head *next; struct list_head *prev; }",
      tostring(dump:type "struct list_head"))
    for _, name in ipairs {"struct task_struct", "struct mm_struct", "struct page",
      "enum pid_type", "pid_t", "u64"} do
      local type = assert(dump:type(name))
      assert.is_true(#qvm.show(type) > 10 and type.size > 0)
    end
    assert.are.equal("not_found", select(3, dump:type "struct no_such_struct"))
  end)

  it("agree with VMCOREINFO on offsets and sizes", function()
    local info, compared = dump:vmcoreinfo(), 0
    for name, offset in pairs(info.offsets) do
      local struct, member = name:match("^([%w_]+)%.([%w_.]+)$")
      local type = struct and dump:type("struct " .. struct)
      local ok, found = pcall(function() return type:offset(member) end)
      if ok then
        assert.are.equal(offset, found, name)
        compared = compared + 1
      end
    end
    assert.is_true(compared > 20, tostring(compared))
  end)

  it("read the names of the kernel", function()
    local names = dump:object("struct uts_namespace", dump:vmcoreinfo().symbols.init_uts_ns).name
    local about = dump:guest()
    assert.are.same({about.os, about.node, about.release, about.build, about.machine},
      {names.sysname, names.nodename, names.release, names.version, names.machine})
  end)

  -- A task that held its map's lock for writing was in the middle of a change, for example in
  -- exec, which moves the stack: the tree and the areas differ at that moment. The lowest bit
  -- of the lock's count says so (RWSEM_WRITER_LOCKED in kernel/locking/rwsem.c).
  local function is_changing(map)
    return map.mmap_lock.count.counter & 1 ~= 0
  end

  it("lead to all tasks, and their maps to as many areas as the kernel counts", function()
    local tasks, maps, areas = 0, 0, 0
    for task in c.list(init_task().tasks, "struct task_struct", "tasks") do
      tasks = tasks + 1
      assert.is_true(task.pid > 0 and #task.comm > 0)
      if task.mm and not is_changing(task.mm) then
        local count = 0
        for first, last, area in c.maple_tree(task.mm.mm_mt, "struct vm_area_struct") do
          count = count + 1
          assert.are.equal(area.vm_start, first)
          assert.are.equal(area.vm_end - 1, last)
        end
        assert.are.equal(task.mm.map_count, count)
        maps, areas = maps + 1, areas + count
      end
    end
    assert.is_true(tasks > 20 and maps > 1 and areas > 20)
  end)

  it("lead to the ids of all processes", function()
    init_task()
    local count = 0
    local namespace = dump:variable "init_pid_ns" -- a kernel whose symbols are code alone has none
    if not namespace then
      return pending "no symbol init_pid_ns"
    end
    for id, pid in c.idr(namespace.idr, "struct pid") do
      assert.are.equal(id, pid.numbers[1].nr)
      count = count + 1
    end
    assert.is_true(count > 20)
  end)

  it("lead to the page cache, whose pages know their indices", function()
    init_task()
    local inodes, pages = 0, 0
    local blocks = dump:variable "super_blocks"
    if not blocks then
      return pending "no symbol super_blocks"
    end
    for block in c.list(blocks, "struct super_block", "s_list") do
      for inode in c.list(block.s_inodes, "struct inode", "i_sb_list") do
        inodes = inodes + 1
        local count = 0
        for index, folio in c.xarray(inode.i_data.i_pages, "struct folio") do
          count = count + 1
          if type(folio) ~= "number" then
            assert.are.equal(index, folio.index)
          end
        end
        pages = pages + count
        -- The kernel adds a page before it counts it, and holds the lock meanwhile.
        local lock = inode.i_data.i_pages.xa_lock.rlock.raw_lock.val.counter
        assert.is_true(count <= inode.i_data.nrpages or lock ~= 0)
      end
    end
    assert.is_true(inodes > 100 and pages > 50)
  end)

  it("lead to the run queues of all CPUs", function()
    init_task()
    for cpu in dump:vcpus() do
      local queue = c.per_cpu(dump:variable "runqueues", cpu.index)
      assert.are.equal(cpu.index, queue.cpu)
      assert.is_true(#queue.curr.comm > 0)
    end
  end)

  it("show a task with all its members", function()
    local text = qvm.show(init_task())
    assert.matches('\n  comm: "swapper/0"\n', text)
    assert.is_nil(text:find("cannot be read", 1, true))
  end)
end)
