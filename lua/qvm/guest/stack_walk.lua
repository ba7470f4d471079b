-- What the unwinders of all machines use: the frames that were found, chains of frame records,
-- the extent and the words of a stack.

local StackWalk = {}
StackWalk.__index = StackWalk

StackWalk.CONTEXTS_MAX = 32 -- interrupts and stacks

local FRAMES_MAX = 256
local STACK, PAGE = 16384, 4096 -- bytes of a kernel's stack

StackWalk.STACK = STACK

-- space: of the stack. names: at(address), the symbol that contains it; is_init(address): is it
-- in init code, which the kernel frees? machine: follows_call(space, address), plain(space,
-- address): the address that a return address stands for.
function StackWalk.new(space, names, machine)
  return setmetatable({space = space, names = names, seen = {}, found = {},
    follows_call = machine.follows_call, plain = machine.plain}, StackWalk)
end

function StackWalk:add(address, how)
  if #self.found < FRAMES_MAX then
    self.found[#self.found + 1] = {address = address, how = how}
  end
end

function StackWalk:is_full()
  return #self.found >= FRAMES_MAX
end

-- Is there code at an address? Also returns whether it is mapped.
function StackWalk:is_executable(address)
  local physical, _, rights = self.space:translate(address)
  if not physical then
    return false, false
  end
  return rights:sub(3, 3) == "x" or rights:sub(7, 7) == "x", true
end

-- Notes in `found` that frames may be missing, if the dump lacks the memory at an address, or one
-- of the page tables that would map it.
function StackWalk:note_missing(at)
  if self.found.missing then
    return
  end
  local bytes, message = self.space:read(at, 8)
  local steps, lacks_table = self.space:walk(at)
  if not bytes and steps and (lacks_table or self.space:translate(at)) then
    self.found.missing = message
  end
end

-- Is this a return address? The code before it says so. Freed code is recognised by its name
-- alone.
function StackWalk:is_return(address)
  local is_code, is_mapped = self:is_executable(address)
  local follows = is_code and self.follows_call(self.space, address)
  if is_code and not follows or not is_mapped and address < 0 then
    self:note_missing(address - 8)
  end
  if is_code then
    return follows
  end
  return self.names.is_init(address)
end

-- Follows frames, the innermost first: [frame] is the caller's frame, [frame + 8] the return
-- address, and `slot` the address of that. Ends before a frame for which stops(frame, its two
-- words) is true, and at a frame that was visited before. Also returns the frame it ended at.
function StackWalk:chain(frame, stops)
  local calls = {}
  while #calls < FRAMES_MAX and frame ~= 0 and frame & 7 == 0 and not self.seen[frame] do
    local pair = self.space:array(frame, "u64", 2)
    self.seen[frame] = true
    if not pair or stops and stops(frame, pair) then
      break
    end
    local address = self.plain(self.space, pair[2])
    if not self:is_return(address) then
      break
    end
    calls[#calls + 1] = {address = address, slot = frame + 8}
    frame = pair[1]
  end
  return calls, frame
end

-- Adds the frames of a program that has entered the kernel at an address, with its frame.
function StackWalk:enter_program(address, frame)
  self:add(address, "exception")
  self.seen = {}
  for _, call in ipairs((self:chain(frame or 0))) do
    self:add(call.address, "frame")
  end
end

-- Returns the end of the stack that contains an address, and whether a page that is not a stack
-- ends it. Stacks of tasks are aligned to their size; stacks of interrupts are aligned to pages
-- and followed by an unmapped page.
function StackWalk:stack_end(address)
  local at = (address | PAGE - 1) + 1
  while at ~= 0 and at - address <= STACK do
    local physical, _, rights = self.space:translate(at)
    if not physical or rights:sub(2, 3) ~= "w-" then
      return at, true
    end
    at = at + PAGE
  end
  return (address | STACK - 1) + 1, false
end

-- The words between two addresses, by address; ends at the first that cannot be read.
function StackWalk:words(from, to)
  local words, at = {}, from
  while at < to do
    local stop = math.min((at | PAGE - 1) + 1, to)
    local list = self.space:array(at, "u64", (stop - at) // 8)
    if not list then
      self:note_missing(at)
      break
    end
    for i, word in ipairs(list) do
      words[at + 8 * (i - 1)] = word
    end
    at = stop
  end
  return words
end

return StackWalk
