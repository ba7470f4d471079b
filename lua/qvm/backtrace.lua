--- The calls that a vCPU was in.
-- @classmod qvm.backtrace

-- By frame pointers where code keeps them, as the calling conventions of aarch64 and
-- x86_64 lay them out; where it need not, also whatever on the stack is an address behind
-- a call. What the stack says is a guest's, and may be anything.

local line = require "qvm.line"

local Frame = {__name = "Frame"}

--- A call in a vCPU's backtrace.
-- @table Frame
-- @tfield integer index from 0, where the vCPU is
-- @tfield integer pc where it is, or returns to
-- @tfield string how `"pc"`: the register; `"frame"`: by a frame pointer; `"scan"`: found
-- on the stack, or in the link register, behind what may be a call: it need not be one
-- that is still open
-- @tfield ?string symbol as `Dump:symbol` has it; of a call the function that called,
-- also where it was the last that this one did
-- @usage for frame in cpu:backtrace() do print(frame) end

Frame.__tostring = line.tostring("frame", function(frame)
  return ("#%-3d0x%016x %s%s"):format(frame.index, frame.pc,
    frame.how == "scan" and "? " or "", frame.symbol and line.cut(frame.symbol) or "(no symbol)")
end)

local FRAMES_MAX = 256
local STACK = 16384 -- bytes that are searched at most, and what stacks are aligned to

-- Is there a call right before an address? x86_64: the direct call is E8 and 4 bytes;
-- the indirect one FF /2, in the lengths that it has.
local function behind_call_x86(space, address)
  local bytes = space:read(address - 7, 7)
  if not bytes then
    return false
  end
  local function at(n) -- bytes before the end
    return bytes:byte(8 - n)
  end
  return at(5) == 0xe8 or at(2) == 0xff and at(1) & 0xf8 == 0xd0
    or at(3) == 0xff and at(2) & 0xf8 == 0x50 or at(6) == 0xff and at(5) & 0xf8 == 0x90
    or at(6) == 0xff and at(5) == 0x15
end

-- aarch64: BL, or BLR with whatever register.
local function behind_call_arm(space, address)
  local word = address & 3 == 0 and space:u32(address - 4)
  return word and (word & 0xfc000000 == 0x94000000 or word & 0xfffffc1f == 0xd63f0000)
end

-- The bits of a return address that pointer authentication may have taken.
local function without_signature(space, address)
  local half = address >> 55 & 1 == 1 and space.upper or space.lower
  if not half then
    return address
  end
  local mask = -1 << half.va_bits
  return address >> 55 & 1 == 1 and address | mask or address & ~mask
end

local function unchanged(_, address)
  return address
end

local function is_code(machine, space, address)
  local _, _, rights = space:translate(address)
  return rights and (rights:sub(3, 3) == "x" or rights:sub(7, 7) == "x")
    and machine.behind_call(space, address)
end

-- The return address and the next frame of a frame: [frame] is the caller's frame,
-- [frame + 8] where to return to. nil where it is none.
local function unwind(machine, space, frame, seen)
  if frame == 0 or frame & 7 ~= 0 or seen[frame] then
    return nil
  end
  seen[frame] = true
  local pair = space:array(frame, "u64", 2)
  local address = pair and machine.plain(space, pair[2])
  if address and is_code(machine, space, address) then
    return address, pair[1]
  end
end

-- The calls that frames lead to, the innermost first; `slot` is where a stack has them.
local function by_frames(machine, space, cpu)
  local calls, seen, frame = {}, {}, cpu.regs[machine.frame]
  while #calls < FRAMES_MAX do
    local address, outer = unwind(machine, space, frame, seen)
    if not address then
      break
    end
    calls[#calls + 1] = {pc = address, how = "frame", slot = frame + 8}
    frame = outer
  end
  return calls
end

local function add(found, pc, how)
  if #found < FRAMES_MAX then
    found[#found + 1] = {pc = pc, how = how}
  end
end

-- What looks like a call between two addresses on a stack.
local function by_stack(machine, space, from, to, found)
  for address = from, to - 8, 8 do
    local word = space:u64(address)
    if not word or #found == FRAMES_MAX then
      return
    end
    word = machine.plain(space, word)
    if is_code(machine, space, word) then
      add(found, word, "scan")
    end
  end
end

-- Of x86_64 functions some may keep a frame, and others not: between those that frames
-- lead to, and behind the last, the stack is searched.
local function of_x86(machine, space, cpu, found)
  local from = cpu.sp & ~7
  local to = (from | STACK - 1) + 1
  for _, call in ipairs(by_frames(machine, space, cpu)) do
    if call.slot >= from and call.slot < to then
      by_stack(machine, space, from, call.slot, found)
      from = call.slot + 8
    end
    add(found, call.pc, call.how)
  end
  by_stack(machine, space, from, to, found)
end

-- Of aarch64 all do, but for those that call none, or have just begun: the link register
-- says who called them. In the others it is where what was called last returned to.
local function of_arm(machine, space, cpu, found, name_of)
  local calls, link = by_frames(machine, space, cpu), machine.plain(space, cpu.regs.x30)
  if (not calls[1] or calls[1].pc ~= link) and is_code(machine, space, link) then
    local own = name_of(cpu.pc)
    if not own or own ~= name_of(link - 1) then
      add(found, link, "scan")
    end
  end
  for _, call in ipairs(calls) do
    add(found, call.pc, call.how)
  end
  if not calls[1] then
    local from = cpu.sp & ~7
    by_stack(machine, space, from, (from | STACK - 1) + 1, found)
  end
end

local machines = {
  x86_64 = {frame = "rbp", behind_call = behind_call_x86, plain = unchanged, calls = of_x86},
  aarch64 = {frame = "x29", behind_call = behind_call_arm, plain = without_signature,
    calls = of_arm},
}

-- An iterator over the frames of a vCPU; nil, message, code.
return function(dump, cpu, space)
  local machine = machines[dump.machine]
  if not machine then
    return nil, ("%s: no backtraces of %s"):format(dump.path, dump.machine), "unsupported"
  end
  local message, code
  if not space then
    space, message, code = dump:space(cpu)
    if not space then
      return nil, message, code
    end
  end
  local symbols = require "qvm.guest".symbols_in_use(dump)
  local function name_of(address)
    if symbols then
      return symbols:at(address)
    end
  end
  local found = {{pc = cpu.pc, how = "pc"}}
  machine.calls(machine, space, cpu, found, name_of)
  local index = 0
  return function()
    local frame = found[index + 1]
    if frame then
      -- A call may be the last that its function does: behind it is another function.
      local back = frame.how == "pc" and 0 or 1
      local name, offset, size = name_of(frame.pc - back)
      frame.symbol = name and ("%s+0x%x/0x%x"):format(name, offset + back, size)
      frame.index = index
      index = index + 1
      return setmetatable(frame, Frame)
    end
  end
end
