-- Unwinds stacks by frame pointers, as the calling conventions of aarch64 and x86_64 lay them
-- out, and where code need not keep them, also by addresses on the stack that follow a call.
-- Continues across interrupts and exceptions, with the registers that the kernel saved. A
-- guest's stack cannot be trusted: the numbers of frames and of stacks are limited.

local FRAMES_MAX, CONTEXTS_MAX = 256, 32
local STACK, PAGE = 16384, 4096 -- bytes of a kernel's stack

-- A walk: space, names (see qvm.guest.backtrace), found (an array of frames), and the functions
-- of the machine.
local Walk = {}
Walk.__index = Walk

function Walk:add(address, how)
  if #self.found < FRAMES_MAX then
    self.found[#self.found + 1] = {address = address, how = how}
  end
end

function Walk:is_full()
  return #self.found == FRAMES_MAX
end

function Walk:is_executable(address)
  local _, _, rights = self.space:translate(address)
  return rights ~= nil and (rights:sub(3, 3) == "x" or rights:sub(7, 7) == "x")
end

-- Is this a return address? Freed code is recognised by its name alone.
function Walk:is_return(address)
  if self:is_executable(address) then
    return self.follows_call(self.space, address)
  end
  return self.names.is_init(address)
end

-- Follows frames, the innermost first: [frame] is the caller's frame, [frame + 8] the return
-- address, and `slot` the address of that. Ends before a frame for which stops(frame, its two
-- words) is true, and at a frame that was visited before.
function Walk:chain(frame, stops)
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
  return calls
end

-- Returns the end of the stack that contains an address, and whether a page that is not a stack
-- ends it. Stacks of tasks are aligned to their size; stacks of interrupts are aligned to pages
-- and followed by an unmapped page.
function Walk:stack_end(address)
  local at = (address | PAGE - 1) + 1
  while at ~= 0 and at - address <= STACK do
    local _, _, rights = self.space:translate(at)
    if not rights or rights:sub(2, 3) ~= "w-" then
      return at, true
    end
    at = at + PAGE
  end
  return (address | STACK - 1) + 1, false
end

-- The words between two addresses, by address; ends at the first that cannot be read.
function Walk:words(from, to)
  local words, at = {}, from
  while at < to do
    local stop = math.min((at | PAGE - 1) + 1, to)
    local list = self.space:array(at, "u64", (stop - at) // 8)
    if not list then
      break
    end
    for i, word in ipairs(list) do
      words[at + 8 * (i - 1)] = word
    end
    at = stop
  end
  return words
end

local function new(space, cpu, names, machine)
  local walk = setmetatable({space = space, names = names, seen = {}, found = {},
    follows_call = machine.follows_call, plain = machine.plain}, Walk)
  walk:add(cpu.pc, "registers")
  return walk
end

-- x86_64 -------------------------------------------------------------------------------------

local x86 = {}

-- Direct calls are E8 and 4 bytes; indirect ones are FF /2 in several lengths.
function x86.follows_call(space, address)
  local bytes = space:read(address - 7, 7)
  if not bytes then
    return false
  end
  local function at(n) -- the byte n before the end
    return bytes:byte(8 - n)
  end
  return at(5) == 0xe8 or at(2) == 0xff and at(1) & 0xf8 == 0xd0
    or at(3) == 0xff and at(2) & 0xf8 == 0x50 or at(6) == 0xff and at(5) & 0xf8 == 0x90
    or at(6) == 0xff and at(5) == 0x15
end

function x86.plain(_, address)
  return address
end

-- The processor pushes rip, cs, rflags, rsp and ss at an interrupt. Linux saves the other
-- registers below: struct pt_regs has 16 words before rip, and rbp is its fifth.
local IP, BP = 16 * 8, 4 * 8

-- Is an interrupt frame at an address? "kernel" or "user": what was interrupted.
local function interrupted(walk, words, at)
  local ip, cs, flags, sp, ss = words[at], words[at + 8], words[at + 16], words[at + 24],
    words[at + 32]
  if not ss or flags & 2 == 0 or flags >> 22 ~= 0 or cs & 0xfffc == 0 or cs & 3 ~= ss & 3 then
    return nil
  elseif cs & 3 == 3 then
    return ip >= 0 and cs < 0x100 and ss < 0x100 and "user" or nil
  end
  return cs & 3 == 0 and ip < 0 and sp < 0 and sp & 7 == 0 and walk:is_executable(ip)
    and walk.space:translate(sp) and "kernel" or nil
end

-- Returns sp and bp of the stack to continue with after an interrupt, whose frame is at an
-- address; nil at the end.
local function leave_interrupt(walk, words, at, bp)
  if interrupted(walk, words, at) == "user" then
    return nil
  end
  walk:add(words[at], "exception")
  return words[at + 24], bp
end

-- Not all functions keep a frame: the stack is searched between those that do, and after the
-- last one. Returns sp and bp of the stack to continue with; nil at the end.
local function scan_stack(walk, sp, bp)
  local to, is_guarded = walk:stack_end(sp)
  local words, by_slot, last = walk:words(sp, to), {}, nil
  for _, call in ipairs(walk:chain(bp)) do
    by_slot[call.slot], last = call, last or (call.slot < sp or call.slot >= to) and call or nil
  end
  -- Interrupted at the first instruction of a handler; some exceptions push an error code.
  for at = sp, sp + 8, 8 do
    if interrupted(walk, words, at) then
      return leave_interrupt(walk, words, at, bp)
    end
  end
  for at = sp, to - 8, 8 do
    local word = words[at]
    if not word or walk:is_full() then
      break
    end
    if by_slot[at] or walk:is_return(word) then
      walk:add(word, by_slot[at] and "frame" or "scan")
      if interrupted(walk, words, at + 8 + IP) then
        return leave_interrupt(walk, words, at + 8 + IP, words[at + 8 + BP])
      end
    end
  end
  if is_guarded and interrupted(walk, words, to - 40) then
    return leave_interrupt(walk, words, to - 40, 0)
  end
  -- A stack of interrupts ends with the rsp of the interrupted stack.
  local outer = words[to - 8]
  if is_guarded and outer and outer < 0 and outer & 7 == 0 and (outer < to - STACK or outer >= to)
      and walk.space:translate(outer) then
    return outer, last and last.slot - 8 or 0
  elseif last then
    return last.slot, last.slot - 8
  end
end

function x86.unwind(space, cpu, names)
  local walk, sp, bp = new(space, cpu, names, x86), cpu.sp & ~7, cpu.regs.rbp
  local stacks = {}
  for _ = 1, CONTEXTS_MAX do
    if not sp or stacks[sp] or walk:is_full() then
      break
    end
    stacks[sp], walk.seen = true, {}
    sp, bp = scan_stack(walk, sp, bp)
  end
  return walk.found
end

-- aarch64 ------------------------------------------------------------------------------------

local arm = {}

-- BL, or BLR with any register.
function arm.follows_call(space, address)
  local word = address & 3 == 0 and space:u32(address - 4)
  return word and (word & 0xfc000000 == 0x94000000 or word & 0xfffffc1f == 0xd63f0000)
end

-- Clears the bits of a return address that pointer authentication may use.
function arm.plain(space, address)
  local half = address >> 55 & 1 == 1 and space.upper or space.lower
  if not half then
    return address
  end
  local mask = -1 << half.va_bits
  return address >> 55 & 1 == 1 and address | mask or address & ~mask
end

-- Linux keeps a frame record in struct pt_regs: {x29, ELR}; from about 6.13 on {0, 0} and a
-- type, of which 2 means that the registers were saved.
local RECORD, NEW_RECORD, REGISTERS = 304, 296, 2

-- The registers that contain a frame record: x0 to x30, sp, pc; nil if none do.
local function saved_registers(walk, frame, pair)
  if pair[1] == 0 and pair[2] == 0 then
    if walk.space:u64(frame + 16) ~= REGISTERS then
      return nil
    end
    local list = walk.space:array(frame - NEW_RECORD, "u64", 33)
    return list and list[33] < 0 and walk:is_executable(list[33]) and list or nil
  end
  local list = walk.space:array(frame - RECORD, "u64", 33)
  return list and list[33] == pair[2] and list[30] == pair[1] and walk:is_executable(list[33])
    and list or nil
end

-- All functions keep a frame, except leaf functions and those that have just begun: these
-- return to the link register. In other functions it holds the last call's return address.
-- Returns the registers to continue with; nil at the end.
local function follow_frames(walk, pc, sp, frame, link)
  local saved
  local calls = walk:chain(frame, function(at, pair)
    saved = saved_registers(walk, at, pair)
    return saved
  end)
  link = walk.plain(walk.space, link)
  if (not calls[1] or calls[1].address ~= link) and walk:is_return(link) then
    local own = walk.names.at(pc)
    if not own or own ~= walk.names.at(link - 1) then
      walk:add(link, "scan")
    end
  end
  for _, call in ipairs(calls) do
    walk:add(call.address, "frame")
  end
  if not calls[1] and not saved then
    sp = sp & ~7
    local to = walk:stack_end(sp)
    local words = walk:words(sp, to)
    for at = sp, to - 8, 8 do
      local word = words[at] and walk.plain(walk.space, words[at])
      if not word or walk:is_full() then
        break
      elseif walk:is_return(word) then
        walk:add(word, "scan")
      end
    end
  end
  return saved
end

function arm.unwind(space, cpu, names)
  local walk, r = new(space, cpu, names, arm), cpu.regs
  local saved = follow_frames(walk, cpu.pc, cpu.sp, r.x29, r.x30)
  for _ = 2, CONTEXTS_MAX do
    if not saved or walk:is_full() then
      break
    end
    walk:add(saved[33], "exception")
    saved = follow_frames(walk, saved[33], saved[32], saved[30], saved[31])
  end
  return walk.found
end

return {x86_64 = x86.unwind, aarch64 = arm.unwind}
