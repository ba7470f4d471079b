-- QNX's slogger2 for the specs: rings of messages, as its documentation describes them, behind
-- the library's reader for QNX, which runs on a fake of libslog2parse (spec/qnx/slog2_fake.c).

local core = require "qvm.core"
local sim = require "support.sim"

local fake = assert(package.loadlib(sim.build .. "/qnx/slog2_fake.so", "luaopen_slog2_fake"))()
local real = core.slog2

local slog2 = {}
slog2.__index = slog2

-- The time of the first message: 2026-11-22 10:15:00 UTC.
slog2.START = 1795342500

-- Replaces the system log of this host, which has none. options: rings hold `capacity`
-- messages (default: 1000); one counter for all processes if `system_wide`.
function slog2.start(options)
  local self = setmetatable({rings = {}, counters = {}, now = slog2.START * 1000000000,
    capacity = options and options.capacity or 1000,
    system_wide = options and options.system_wide}, slog2)
  self:refill()
  core.slog2 = fake.slog2
  return self
end

function slog2.stop()
  fake.clear()
  core.slog2 = real
end

-- Puts the packets of all rings into the fake, merged by time.
function slog2:refill()
  fake.clear()
  local packets = {}
  for _, ring in pairs(self.rings) do
    table.move(ring, 1, #ring, #packets + 1, packets)
  end
  table.sort(packets, function(a, b) return a.order < b.order end)
  for _, packet in ipairs(packets) do
    fake.put(packet)
  end
end

-- Adds a packet to a ring. fields: as of fake.put; others have defaults. The next message is a
-- millisecond later.
function slog2:put(fields)
  local packet = {type = "text", tid = 1, severity = 5, code = 0, file = "qvm." .. fields.pid,
    buffer = "log", text = "", nanoseconds = self.now}
  self.count = (self.count or 0) + 1
  packet.order = self.count
  for name, value in pairs(fields) do
    packet[name] = value
  end
  if packet.type == "text" and not packet.sequence then
    local counter = self.system_wide and "all" or packet.pid
    packet.sequence = self.counters[counter] or 0
    self.counters[counter] = (packet.sequence + 1) % 65536
  end
  local key = packet.pid .. packet.file .. "/" .. packet.buffer
  local ring = self.rings[key] or {}
  self.rings[key] = ring
  ring[#ring + 1] = packet
  while #ring > self.capacity do
    table.remove(ring, 1)
  end
  self.now = self.now + 1000000
end

-- Logs a message of a process.
function slog2:log(pid, text, fields)
  local all = {pid = pid, text = text}
  for name, value in pairs(fields or {}) do
    all[name] = value
  end
  self:put(all)
  self:refill()
end

-- From now on the logs cannot be read.
function slog2.fail()
  fake.fail()
end

return slog2
