-- The files that the jobs read, made in build/bench when first wanted, and simulated VMs.
--
-- The dumps are QEMU's, of a guest with 256 MiB of memory: `small` after its panic, and
-- `small_second` of an earlier moment. `big` and `second` are the same with 4 GiB: they
-- have one more segment, which repeats the guest's memory. In `sparse` and `sparse_second`,
-- of 64 GiB, that segment is a hole in the file. `paging` has the virtual addresses too.

local lfs = require "lfs"
local measure = require "bench.measure"
local process = require "support.process"

local build = os.getenv("QVM_BUILD") or "build"
local guest = "build/guests/x86_64"
local COPIED = 1 << 20 -- bytes at a time

local input = {path = {}, many_tasks = "build/guests/x86_64-2G-tasks10000/first.elf"}

function input.exists(path)
  return lfs.attributes(path) ~= nil
end

local function shell(line, ...)
  local words = {...}
  for i, word in ipairs(words) do
    words[i] = process.quote(tostring(word))
  end
  if not os.execute(line:format(table.unpack(words))) then
    error("failed: " .. line, 0)
  end
end

-- Dumps -------------------------------------------------------------------------------

-- The offset and size in the file of the largest segment. Offsets in a 64-bit little-endian
-- ELF file are elf(5)'s.
local function largest(headers)
  local offset, size = 0, 0
  for at = 1, #headers, 56 do
    local kind, _, from, _, _, length = string.unpack("<I4I4I8I8I8I8", headers, at)
    if kind == 1 and length > size then
      offset, size = from, length
    end
  end
  return offset, size
end

-- Writes `size` bytes at a position of the file: those of its largest segment, repeated.
local function repeat_memory(file, position, size, from, length)
  local written = 0
  while written < size do
    local at = written % length
    file:seek("set", from + at)
    local bytes = file:read(math.min(COPIED, length - at, size - written))
    file:seek("set", position + written)
    assert(file:write(bytes))
    written = written + #bytes
  end
end

-- Gives the dump at `path` one more segment at 4 GiB. The program headers move to the end
-- of the file, since there is no space for another one where they are.
local function grow(path, total, hole)
  local file <close> = assert(io.open(path, "r+b"))
  local head = file:read(64)
  local table_at, count = string.unpack("<I8", head, 33), string.unpack("<I2", head, 57)
  file:seek("set", table_at)
  local headers = file:read(56 * count)
  local from, length = largest(headers)
  local position = (file:seek("end") + 4095) // 4096 * 4096
  local size = total - length
  if not hole then
    repeat_memory(file, position, size, from, length)
  end
  file:seek("set", position + size)
  assert(file:write(headers,
    string.pack("<I4I4I8I8I8I8I8I8", 1, 0, position, 0, 1 << 32, size, size, 0)))
  file:seek("set", 32)
  file:write(string.pack("<I8", position + size))
  file:seek("set", 56)
  file:write(string.pack("<I2", count + 1))
end

-- A file in build/bench that `write` makes from another one, unless it exists.
local function make(name, from, write)
  local path = build .. "/bench/" .. name
  local time = lfs.attributes(path, "modification")
  if not time or time < lfs.attributes(from, "modification") then
    io.stderr:write("making ", path, " ...\n")
    write(path .. ".new")
    shell("sync %s", path .. ".new") -- so that no job waits for what is written
    assert(os.rename(path .. ".new", path))
  end
  return path
end

local function copy(from, to)
  shell("cp --reflink=never --sparse=auto %s %s && chmod u+w %s", from, to, to)
end

local function grown(name, from, total, hole)
  return make(name, from, function(path)
    copy(from, path)
    grow(path, total, hole)
  end)
end

local function recorded(name)
  if not lfs.attributes(guest .. "/record.json") then
    io.stderr:write(guest, " is not there: booting a guest for it, takes minutes ...\n")
    shell("sh .ci/deps guest && ${LUA:-lua5.4} spec/real_guests/guest.lua x86_64 >/dev/null")
  end
  return guest .. "/" .. name
end

local makers = {
  small = function() return recorded "panic.elf" end,
  small_second = function() return recorded "second.elf" end,
  paging = function() return recorded "paging.elf" end,
  big = function(path) return grown("big.elf", path.small, 4 << 30) end,
  second = function(path) return grown("second.elf", path.small_second, 4 << 30) end,
  sparse = function(path) return grown("sparse.elf", path.small, 64 << 30, true) end,
  sparse_second = function(path)
    return grown("sparse-second.elf", path.small_second, 64 << 30, true)
  end,
  equal = function(path)
    return make("equal.elf", path.big, function(to) copy(path.big, to) end)
  end,
  gzip = function(path)
    return make("small.elf.gz", path.small, function(to)
      shell("gzip -1 -c %s >%s", path.small, to)
    end)
  end,
}

-- Paths by those names; made on first use.
setmetatable(input.path, {__index = function(paths, name)
  paths[name] = makers[name](paths)
  return paths[name]
end})

local warm = {}

-- Brings files into the page cache, and drops those of the last call that are not wanted
-- any more, so that two large ones fit.
function input.warm(names)
  local wanted = {}
  for _, name in ipairs(names) do
    wanted[name] = true
  end
  for name in pairs(warm) do
    if not wanted[name] then
      measure.drop(input.path[name])
    end
  end
  for _, name in ipairs(names) do
    if not warm[name] then -- skips holes
      shell("%s read 1 %s >/dev/null", build .. "/bench/bound", input.path[name])
    end
  end
  warm = wanted
end

-- Places in memory --------------------------------------------------------------------

-- Writes a file in build/bench; returns its path.
function input.write(name, bytes)
  local path = build .. "/bench/" .. name
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  return path
end

local function write_numbers(name, numbers)
  for i, number in ipairs(numbers) do
    numbers[i] = string.pack("<i8", number)
  end
  return input.write(name, table.concat(numbers))
end

-- The segments with memory.
local function loads(dump)
  local list = {}
  for segment in dump:segments() do
    list[#list + 1] = segment.type == 1 and segment or nil
  end
  return list
end

-- The offset in the file of an address, or of the first memory.
function input.offset(dump, address)
  for _, segment in ipairs(loads(dump)) do
    local at = (address or segment.paddr) - segment.paddr
    if at >= 0 and at < segment.filesz then
      return segment.offset + at
    end
  end
end

-- Files of `count` addresses and of their offsets in the file. next: returns the next
-- address.
function input.places(dump, name, count, next)
  local addresses, offsets = {}, {}
  for i = 1, count do
    addresses[i] = next()
    offsets[i] = input.offset(dump, addresses[i])
  end
  return write_numbers(name .. "-addresses", addresses), write_numbers(name .. "-offsets", offsets)
end

-- The same at random in all memory.
function input.random_places(dump, name, count)
  local segments, total = loads(dump), 0
  for _, segment in ipairs(segments) do
    total = total + segment.filesz
  end
  math.randomseed(20240229)
  return input.places(dump, name, count, function()
    local at = math.random(0, total // 8 - 1) * 8
    for _, segment in ipairs(segments) do
      if at < segment.filesz then
        return segment.paddr + at
      end
      at = at - segment.filesz
    end
  end)
end

-- The kernel's pages that are in the dump, each as an array of virtual address, physical
-- address and size.
local function kernel_pages(dump)
  local space, pages = assert(dump:kernel_space()), {}
  for start, size in space:mappings() do
    local at = 0
    while at < size do
      local physical, page = space:translate(start + at)
      if dump:u64(physical) then
        pages[#pages + 1] = {start + at, physical, page}
      end
      at = at + page
    end
  end
  return pages
end

-- A file of the virtual addresses of the kernel's pages that are in the dump.
function input.kernel_pages(dump)
  local addresses = {}
  for i, page in ipairs(kernel_pages(dump)) do
    addresses[i] = page[1]
  end
  return write_numbers("pages", addresses)
end

-- Files of `count` random virtual addresses in those pages and of their physical addresses.
function input.kernel_places(dump, count)
  local pages, virtual, physical = kernel_pages(dump), {}, {}
  math.randomseed(20240229)
  while #virtual < count do
    local page = pages[math.random(#pages)]
    local at = math.random(0, page[3] // 8 - 1) * 8
    if dump:u64(page[2] + at) then
      virtual[#virtual + 1], physical[#physical + 1] = page[1] + at, page[2] + at
    end
  end
  return write_numbers("virtual", virtual), write_numbers("physical", physical)
end

-- A file of `count` random addresses in the kernel's code.
function input.code_addresses(dump, count)
  local from, to = assert(dump:address "_stext"), assert(dump:address "_etext")
  local list = {}
  math.randomseed(20240229)
  for i = 1, count do
    list[i] = math.random(from, to - 1)
  end
  return write_numbers("code", list)
end

-- Simulated VMs -----------------------------------------------------------------------

local Servers = {}
Servers.__index = Servers

function Servers:__close()
  shell("kill " .. table.concat(self.pids, " "))
  shell("rm -rf %s", self.root)
end

local start = [[
cd %s || exit
for i in $(seq %d); do
  printf 'system vm%%04d\nram 1M\ncpu\ncpu\n' $i >.conf
  QVM_ROOT=$PWD %s @.conf </dev/null >/dev/null 2>&1 &
  echo $!
  until [ -e "vm$(printf %%04d $i)/env" ]; do sleep 0.001; done
done]]

-- Starts VMs, each served by a process of its own, below a root directory.
function input.servers(count)
  local self = setmetatable({root = os.tmpname(), pids = {}}, Servers)
  os.remove(self.root)
  assert(lfs.mkdir(self.root))
  local program = build:sub(1, 1) == "/" and build or lfs.currentdir() .. "/" .. build
  local pipe <close> = assert(io.popen(start:format(process.quote(self.root), count,
    process.quote(program .. "/sim/qvm"))))
  for pid in pipe:lines("n") do
    self.pids[#self.pids + 1] = pid
  end
  return self
end

return input
