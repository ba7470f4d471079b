-- A session: one client that looks at one dump. It answers the requests of the GDB manual,
-- "Remote Protocol", each by a function in a table. Requests that would change the dump, or
-- run it, are refused.

local Memory = require "qvm.gdb.memory"
local monitor = require "qvm.gdb.monitor"
local packet = require "qvm.gdb.packet"
local target = require "qvm.gdb.target"
local TaskThreads = require "qvm.gdb.task_threads"
local VcpuThreads = require "qvm.gdb.vcpu_threads"

local Session = {}
Session.__index = Session

local NO_SUCH, FAULT, INVALID = "E03", "E0e", "E16" -- ESRCH, EFAULT, EINVAL
local MISSING = "E01" -- a register that the dump lacks
local READ_ONLY = "E.a dump can be read, not changed"
local STOPPED = "E.a dump does not run"

local ROOM = (packet.SIZE - 16) // 2 -- bytes that fit into a packet as digits or escaped

-- Returns a session with a dump, whose threads are the guest's tasks if has_tasks, else its
-- vCPUs; nil and a message if gdb cannot use the dump. say(message) receives what goes wrong
-- later.
function Session.of(dump, has_tasks, say)
  local cpu, message = dump:vcpu(0)
  if not cpu then
    return nil, message or dump.path .. ": no registers of vCPUs, which gdb needs"
  end
  local described
  described, message = target.of(dump, cpu)
  if not described then
    return nil, message
  end
  local vcpus = VcpuThreads.of(dump)
  local threads = vcpus
  if has_tasks then
    threads, message = TaskThreads.of(dump, say)
  end
  if not threads then
    return nil, message
  end
  return setmetatable({dump = dump, target = described, memory = Memory.of(dump), vcpus = vcpus,
    threads = threads, thread = threads:at(1)}, Session)
end

-- The thread of an id in hexadecimal. 0 and -1 mean any thread.
function Session:thread_of(digits)
  if digits == "0" or digits == "-1" then
    return self.thread
  end
  local id = packet.number(digits)
  return id and self.threads:find(id)
end

local requests, queries, sets, multi = {}, {}, {}, {}

requests["?"] = function(self)
  return ("T05thread:%x;"):format(self.thread.id)
end

function requests.H(self, text)
  local thread = self:thread_of(text:sub(2))
  if not thread then
    return NO_SUCH
  end
  if text:sub(1, 1) == "g" then
    self.thread = thread
  end
  return "OK"
end

function requests.T(self, text)
  return self:thread_of(text) and "OK" or NO_SUCH
end

function requests.g(self)
  local values, from = {}, self.thread:registers()
  for i, register in ipairs(self.target.registers) do
    values[i] = target.value(self.dump, from, register)
  end
  return table.concat(values)
end

function requests.p(self, text)
  local number = packet.number(text)
  local register = number and self.target.registers[number + 1]
  if not register then
    return INVALID
  end
  local value = target.value(self.dump, self.thread:registers(), register)
  return value:find("x", 1, true) and MISSING or value -- LLDB takes "x" as a value
end

-- Reads memory at "ADDRESS,LENGTH", in hexadecimal; at most as many bytes as fit into a reply.
-- nil and an error reply.
function Session:bytes(text)
  local address, length = text:match("^(%x+),(%x+)$")
  address, length = packet.number(address or ""), packet.number(length or "")
  if not address or not length then
    return nil, INVALID
  end
  if length < 0 or length > ROOM then
    length = ROOM
  end
  if length == 0 then
    return ""
  end
  return self.memory:read(self.thread, address, length), FAULT
end

function requests.m(self, text)
  local bytes, problem = self:bytes(text)
  return bytes and packet.to_hex(bytes) or problem
end

function requests.x(self, text)
  local bytes, problem = self:bytes(text)
  return bytes and "b" .. bytes or problem
end

for _, letter in ipairs {"G", "P", "M", "X"} do
  requests[letter] = function() return READ_ONLY end
end

for _, letter in ipairs {"c", "C", "s", "S"} do
  requests[letter] = function() return STOPPED end
end

function requests.k()
  return nil, true
end

function requests.D()
  return "OK", true
end

function multi.Cont()
  return STOPPED
end

multi["Cont?"] = function()
  return "vCont;c;C;s;S" -- gdb needs all four, or shows no threads
end

function multi.Kill()
  return "OK", true
end

function sets.StartNoAckMode()
  return "OK"
end

function queries.Supported()
  return ("PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;qXfer:threads:read+;"
    .. "vContSupported+;binary-upload+"):format(packet.SIZE)
end

function queries.C(self)
  return ("QC%x"):format(self.thread.id)
end

function queries.HostInfo(self)
  return target.host(self.dump)
end

function queries.Attached()
  return "1"
end

function queries.Symbol()
  return "OK"
end

-- How far a kernel was relocated from its link address: gdb moves its symbols as far.
function queries.Offsets(self)
  local guest = self.dump:vmcoreinfo()
  local digits = guest and guest.values.KERNELOFFSET or ""
  if digits:find("^%x+$") and #digits <= 16 then
    return ("Text=%s;Data=%s;Bss=%s"):format(digits, digits, digits)
  end
  return ""
end

-- Lists as many threads as fit, from one on. gdb asks again until there are no more.
local function threads_from(self, first)
  local parts, size = {}, 2
  for position = first, math.maxinteger do
    local thread = self.threads:at(position)
    local id = thread and ("%x"):format(thread.id)
    size = size + (id and #id + 1 or 0)
    if not id or size > ROOM then
      break
    end
    parts[#parts + 1] = id
  end
  self.next_thread = first + #parts
  return parts[1] and "m" .. table.concat(parts, ",") or "l"
end

function queries.fThreadInfo(self)
  return threads_from(self, 1)
end

function queries.sThreadInfo(self)
  return threads_from(self, self.next_thread or 1)
end

function queries.ThreadExtraInfo(self, text)
  local thread = self:thread_of(text)
  return thread and packet.to_hex(tostring(thread.task or thread.cpu)) or NO_SUCH
end

-- Documents that gdb reads in parts, by "NAME:read:ANNEX:OFFSET,LENGTH". Each is an iterator
-- over pieces.
local documents = {
  ["features:read:target.xml"] = function(self)
    local text = self.target.text
    return function()
      local piece = text
      text = nil
      return piece
    end
  end,
  ["threads:read:"] = function(self) return target.threads(self.threads) end,
}

-- Drops the text before an offset.
local function drop(document, offset)
  local count = math.min(offset - document.start, #document.text)
  document.text = document.text:sub(count + 1)
  document.start = document.start + count
end

-- Returns `length` bytes of a document, and whether they are its last; nil if it cannot be read.
-- gdb asks for one part after the other, so only the current part is kept; for a client that
-- goes back, the document is made again.
function Session:part(name, offset, length)
  local document = self.document
  if not document or document.name ~= name or offset < document.start then
    document = {name = name, next_piece = documents[name](self), start = 0, text = ""}
  end
  self.document = nil
  drop(document, offset)
  while document.next_piece and #document.text <= length do
    local piece, failed = document.next_piece()
    if failed then
      return nil
    elseif not piece then
      document.next_piece = nil
    else
      document.text = document.text .. piece
      drop(document, offset)
    end
  end
  self.document = document
  return document.text:sub(1, length), not document.next_piece and #document.text <= length
end

function queries.Xfer(self, text)
  local name, offset, length = text:match("^(.*):(%x+),(%x+)$")
  offset, length = packet.number(offset or ""), packet.number(length or "")
  if not documents[name] or not offset or not length or offset < 0 then
    return name and documents[name] and INVALID or ""
  end
  local part, is_last = self:part(name, offset, math.min(length < 0 and ROOM or length, ROOM))
  return part and (is_last and "l" or "m") .. part or FAULT
end

-- "memory:ADDRESS;LENGTH;PATTERN"
function queries.Search(self, text)
  local address, length, pattern = text:match("^memory:(%x+);(%x+);(.*)$")
  address, length = packet.number(address or ""), packet.number(length or "")
  if not address or not length or pattern == "" then
    return INVALID
  end
  local found, failed = self.memory:find(self.thread, address, length, pattern)
  if failed or not found and not self.memory:read(self.thread, address, 1) then
    return FAULT -- unreadable memory was not searched
  end
  return found and ("1,%x"):format(found) or "0"
end

-- Sends output of a monitor command.
local function send_text(send, text)
  for at = 1, #text, ROOM do
    send("O" .. packet.to_hex(text:sub(at, at + ROOM - 1)))
  end
end

function queries.Rcmd(self, text, send)
  local typed = packet.from_hex(text)
  if not typed then
    return INVALID
  end
  monitor.run(self, typed, function(written) send_text(send, written) end)
  return "OK"
end

-- Returns the reply to a request that Ctrl-C ended.
function Session.interrupted(text, send)
  if text:find("^qRcmd,") then -- gdb does not understand an error here
    send_text(send, "interrupted\n")
    return "OK"
  end
  return "E.interrupted"
end

-- Requests with names. A name ends at ":", "," or ";", or at the end of the request.
local families = {q = queries, Q = sets, v = multi}

local function named(family, text)
  local name, rest = text:match("^([%w?]+)[:,;]?(.*)$")
  return name and family[name], rest
end

-- Answers a request. send(text) sends packets before the reply.
-- @treturn ?string reply, nil if there is none
-- @treturn ?boolean whether the client leaves
function Session:answer(text, send)
  local letter = text:sub(1, 1)
  local request, rest = requests[letter], text:sub(2)
  if families[letter] then
    request, rest = named(families[letter], rest)
  end
  if not request then
    return "" -- the protocol's reply to unknown requests
  end
  return request(self, rest, send)
end

return Session
