-- Which packets of a log are new, and how many messages are lost before them.
--
-- Packets are new that follow the last known one in their ring. A packet is known by its time
-- and its number together, so this does not depend on the clock, which can be set back.
--
-- By the documentation of 7.1 and 8.0 the messages of a process have increasing numbers, modulo
-- 2^16, over all of its rings. So those missing between two numbers of a process are lost.
-- Threads may write messages in another order than they took numbers: numbers are sorted before
-- gaps are counted. By the documentation of 7.0 the numbers are those of the whole system. Then
-- gaps say nothing, and only a ring in which the last known packet is gone has a loss.

local losses = {}

-- What is known of earlier logs: for each process its newest number, unwrapped (without the
-- modulo), and for each ring its last packet.
function losses.new()
  return {newest = {}, rings = {}}
end

-- The rings of a log, with what is known of each. Rings and processes that are gone are
-- forgotten.
local function rings_of(log, state)
  local rings, known_rings, newest = {}, {}, {}
  while true do
    local pid, file, name = log:buffer(#rings + 1)
    if not pid then
      state.rings, state.newest = known_rings, newest
      return rings
    end
    local key = ("%d\0%s\0%s"):format(pid, file, name)
    local known = state.rings[key] or {pid = pid, name = name, losses = 0}
    known_rings[key], newest[pid] = known, state.newest[pid]
    rings[#rings + 1] = {known = known, last = 0, losses = 0}
  end
end

-- Finds the last known packet of each ring, and counts the losses after it.
local function find_last(log, rings)
  for i = 1, #log do
    local buffer, nanoseconds, sequence, is_loss = log:place(i)
    local ring = rings[buffer]
    local known = ring.known
    if is_loss then
      ring.losses = ring.losses + 1
    elseif known.nanoseconds == nanoseconds and known.sequence == sequence then
      ring.last, ring.losses = i, 0
    end
  end
  for _, ring in ipairs(rings) do
    local known = ring.known
    ring.is_overwritten = known.sequence ~= nil and ring.last == 0
    -- Losses at the end of a ring were taken before, unless there are more by now.
    ring.taken = ring.is_overwritten and 0 or math.min(known.losses, ring.losses)
    known.losses = 0
  end
end

-- The number nearest to `newest` that is `sequence` modulo 2^16.
local function unwrap(newest, sequence)
  local ahead = (sequence - newest) & 0xffff
  return newest + (ahead < 0x8000 and ahead or ahead - 0x10000)
end

-- The new messages of each process: their unwrapped numbers, and the packets that have them.
local function numbers_by_process(log, rings, state)
  local processes = {}
  for i = 1, #log do
    local buffer, _, sequence, is_loss = log:place(i)
    local ring = rings[buffer]
    if i > ring.last and not is_loss then
      local pid = ring.known.pid
      local numbers = processes[pid] or {packets = {}}
      processes[pid] = numbers
      local newest = numbers.newest or state.newest[pid]
      local number = newest and unwrap(newest, sequence) or sequence
      numbers.newest = math.max(newest or number, number)
      numbers[#numbers + 1] = number
      numbers.packets[number] = numbers.packets[number] or i
    end
  end
  return processes
end

-- Returns the number of messages missing before a packet, by the packet's index.
local function find_gaps(log, rings, state)
  local lost = {}
  for pid, numbers in pairs(numbers_by_process(log, rings, state)) do
    local before = state.newest[pid]
    table.sort(numbers)
    for _, number in ipairs(numbers) do
      if before and number > before + 1 then
        lost[numbers.packets[number]] = number - before - 1
      end
      before = math.max(before or number, number)
    end
    state.newest[pid] = before
  end
  return lost
end

-- Returns a function that takes in the packets of a log, each once and in order. It returns nil
-- for a known packet; else what is known of its ring (`pid`, `name`), how many messages were
-- lost before it (nil: none; false: an unknown number), and whether it is itself a loss.
function losses.find(log, state)
  local rings = rings_of(log, state)
  find_last(log, rings)
  local is_numbered = not log:is_numbered_system_wide()
  local lost = find_gaps(log, rings, state)
  return function(i)
    local buffer, nanoseconds, sequence, is_loss = log:place(i)
    local ring = rings[buffer]
    local known = ring.known
    if i <= ring.last then
      return nil
    elseif is_loss then
      known.losses = known.losses + 1
      if known.losses <= ring.taken then
        return nil
      end
      return known, false, true
    end
    local missing = is_numbered and lost[i] or nil
    if not is_numbered and ring.is_overwritten then
      missing, ring.is_overwritten = false, false
    end
    known.nanoseconds, known.sequence, known.losses, ring.taken = nanoseconds, sequence, 0, 0
    return known, missing, false
  end
end

return losses
