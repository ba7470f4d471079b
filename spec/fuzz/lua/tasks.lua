-- The tasks and modules of Linux guests. A guest is written once for each form of kernel. An input
-- chooses one, and changes it: of each change, a byte for the object, one for the place in it, one
-- for the kind of value, and the value.

local expect = require "expect"
local files = require "support.files"
local fuzz = require "fuzz"
local linux_guest = require "support.linux_guest"
local qvm = require "qvm"

local FORMS = {{}, {machine = "x86_64", areas = "tree", cpu = "thread_info"},
  {areas = "tree", layout = "mem"}, {order = ">", state = "state", one_cpu = true}}
local PAGE, CHANGES_MAX, EACH_MAX = 4096, 64, 300

-- A dump as bytes: before the guest's memory, the memory's pages, and after it; and the guest's
-- objects, each an address and a size.
local function written(form)
  local guest = linux_guest.small(form)
  local bytes, memory, pages = guest:dump(), guest:memory(), {}
  local at = bytes:find(memory, 1, true)
  for from = 1, #memory, PAGE do
    pages[#pages + 1] = memory:sub(from, from + PAGE - 1)
  end
  return {order = guest.order, base = guest.base, head = bytes:sub(1, at - 1), pages = pages,
    tail = bytes:sub(at + #memory), objects = guest.reserved, map = guest:map()}
end

local guests = {}
for i, form in ipairs(FORMS) do
  guests[i] = written(form)
end
files.clean()

-- The value of a change: bytes, and how many bytes of the input they took.
local function value_of(guest, kind, rest)
  if kind == 0 then
    return rest:sub(1, 8), 8
  elseif kind == 1 then -- a pointer to an object
    local one = guest.objects[(rest:byte(1) or 0) % #guest.objects + 1]
    return string.pack(guest.order .. "i8", one.address + 8 * (rest:byte(2) or 0)), 2
  elseif kind == 2 then
    return rest:sub(1, 1), 1
  end
  return string.pack(guest.order .. "i8", (rest:byte(1) or 0) - 128 << 3 * kind), 1
end

local function changed(guest, input)
  local pages, at = table.move(guest.pages, 1, #guest.pages, 1, {}), 2
  for _ = 1, CHANGES_MAX do
    local object, place, kind = input:byte(at, at + 2)
    if not kind then
      break
    end
    local bytes, used = value_of(guest, kind & 7, input:sub(at + 3, at + 10))
    local one = guest.objects[object % #guest.objects + 1]
    local to = one.address - guest.base + place * (kind & 8 == 8 and 1 or 8) % math.max(one.size, 1)
    local i, from = to // PAGE + 1, to % PAGE
    local page = pages[i]
    bytes = bytes:sub(1, #page - from)
    pages[i] = page:sub(1, from) .. bytes .. page:sub(from + #bytes + 1)
    at = at + 3 + used
  end
  return guest.head .. table.concat(pages) .. guest.tail
end

-- Goes through what a method iterates over; it may raise a runtime failure.
local function each(path, f, object, method)
  local ok, iterator = pcall(object[method], object)
  if not ok then
    assert(type(iterator) == "string" and iterator:find(path, 1, true), iterator)
    return
  end
  expect.each(path, EACH_MAX, iterator, f)
end

local function check_mapping(mapping)
  expect.escaped(mapping)
  assert(math.ult(mapping.start, mapping.start + mapping.size) and #mapping.flags == 4)
end

local function check_register(name, value)
  assert(type(name) == "string" and math.type(value) == "integer")
end

local function check_task(path, task)
  expect.escaped(task)
  assert(math.type(task.pid) == "integer" and math.type(task.tgid) == "integer")
  assert(task.state:find "^[RSDTtXZPI]$", task.state)
  each(path, check_mapping, task, "mappings")
  each(path, expect.escaped, task, "backtrace")
  each(path, check_register, task, "registers")
  each(path, check_register, task, "kernel_registers")
  local arguments = expect.result(path, task:arguments())
  assert(not arguments or #table.concat(arguments) <= 4 << 20)
end

local function check_module(m)
  expect.escaped(m)
  assert(m.size >= 0)
end

return function(input)
  local guest = guests[(input:byte() or 0) % #guests + 1]
  local path = fuzz.file(0, changed(guest, input))
  local dump <close> = assert(qvm.open(path))
  assert(dump:symbols(fuzz.file(1, guest.map)))
  each(path, function(task) check_task(path, task) end, dump, "tasks")
  each(path, check_module, dump, "modules")
  for cpu in dump:vcpus() do
    expect.result(path, cpu:task())
    each(path, expect.escaped, cpu, "backtrace")
  end
end
