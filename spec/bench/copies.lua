-- The dumps for the measurements, made once: two of one guest with 4 GiB of memory, 40
-- percent of it written to, in several formats.

local lfs = require "lfs"
local run = require "bench.run"

local build = os.getenv("QVM_BUILD") or "build"
local guests = "build/guests"

local copies = {}

local function progress(text)
  io.stderr:write(text, " ...\n")
end

local function shell(line, ...)
  local words = {...}
  for i, word in ipairs(words) do
    words[i] = "'" .. word .. "'"
  end
  if not os.execute(line:format(table.unpack(words))) then
    error("failed: " .. line, 0)
  end
end

local function guest(kind, options)
  local dir = guests .. "/" .. kind
  if not lfs.attributes(dir .. "/record.json") then
    progress(dir .. " is not there: booting a guest for it, takes minutes")
    shell("sh .ci/deps guest && ${LUA:-lua5.4} spec/real_guests/guest.lua x86_64 " .. options ..
      " >/dev/null")
  end
  return dir .. "/first.elf", dir .. "/second.elf"
end

function copies.big()
  return guest("x86_64-4G-fill40", "--memory 4G --fill 40")
end

function copies.small()
  return guest("x86_64", "")
end

-- A file in build/bench that a command makes from another one, unless it exists.
function copies.make(name, from, command)
  local path = build .. "/bench/" .. name
  local time = lfs.attributes(path, "modification")
  if not time or time < lfs.attributes(from, "modification") then
    progress("making " .. path)
    shell(command .. " && mv %s %s", from, path .. ".new", path .. ".new", path)
  end
  return path
end

function copies.dense(from)
  return copies.make("dense.elf", from, "cp --reflink=never --sparse=never %s %s")
end

function copies.sparse(name, from)
  return copies.make(name, from, "cp --reflink=never --sparse=always %s %s")
end

-- A copy of the dump as if its guest had not registered VMCOREINFO: the note is renamed,
-- and the memory is unchanged.
function copies.without_note(from)
  local path = copies.make("bare.elf", from, "cp --reflink=never --sparse=always %s %s")
  local file <close> = assert(io.open(path, "r+b"))
  local head = file:read(1 << 16)
  local at = head:find("VMCOREINFO\0\0OSRELEASE=", 1, true)
  if at then
    file:seek("set", at - 1)
    assert(file:write("X"))
  end
  return path
end

function copies.gzip(from)
  return copies.make("first.elf.gz", from, "gzip -1 -c %s >%s")
end

-- Flushes to disk, so that no later step waits for it.
function copies.warm(...)
  for _, path in ipairs {...} do
    shell("cat %s >/dev/null", path)
  end
end

-- A region of memory to read other files into.
function copies.forget(...)
  for _, path in ipairs {...} do
    shell("dd if=%s iflag=nocache count=0 status=none", path)
  end
end

function copies.allocated(path)
  return lfs.attributes(path, "blocks") * 512
end

-- Writes a file in build/bench; returns its path.
function copies.write(name, bytes)
  local path = build .. "/bench/" .. name
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  return path
end

-- Random positions in the memory of a dump, as files of numbers: addresses, and their
-- offsets in the file.
function copies.places(dump, count)
  local loads, total = {}, 0
  for segment in dump:segments() do
    if segment.type == 1 then
      loads[#loads + 1] = segment
      total = total + segment.filesz
    end
  end
  math.randomseed(20240229)
  local addresses, offsets = {}, {}
  for i = 1, count do
    local at = math.random(0, total - 1)
    for _, segment in ipairs(loads) do
      if at < segment.filesz then
        at = math.min(at, segment.filesz - 8)
        addresses[i] = string.pack("<i8", segment.paddr + at)
        offsets[i] = string.pack("<i8", segment.offset + at)
        break
      end
      at = at - segment.filesz
    end
  end
  return copies.write("addresses", table.concat(addresses)),
    copies.write("offsets", table.concat(offsets))
end

function copies.description()
  local model = run.system {"sh", "-c",
    "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1"}
  return ("%s cores, %s; Linux %s"):format(run.system {"nproc"},
    model ~= "" and model or run.system {"uname", "-m"}, run.system {"uname", "-r"})
end

return copies
