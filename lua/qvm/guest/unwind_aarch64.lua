-- Unwinds stacks of aarch64 by frame records, which all functions keep but leaf functions, and
-- by the registers that the kernel saves at exceptions. Without any record the stack is
-- searched for addresses that follow a call.

local StackWalk = require "qvm.guest.stack_walk"

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

-- Saved registers --------------------------------------------------------------------------

-- Linux keeps a frame record in struct pt_regs (arch/arm64/include/asm/ptrace.h): {x29, ELR};
-- from about 6.13 on {0, 0} and a type (asm/stacktrace/frame.h), of which 2 means that the
-- registers were saved, and 1 that this is the outermost record. At the entry from user mode
-- it is {0, 0} in all.
local RECORD, NEW_RECORD = 304, 296 -- bytes from the registers to the record
local FINAL, REGISTERS = 1, 2
local COUNT = 34 -- x0 to x30, sp, pc, pstate
local X29, LINK, SP, PC, PSTATE = 30, 31, 32, 33, 34 -- their indices

-- The registers that contain a frame record of {0, 0}, by their distance; nil if they are not a
-- user's. PSTATE.M, bits 3:0, is 0 in EL0 of AArch64.
local function user_registers(walk, frame, distance)
  local list = walk.space:array(frame - distance, "u64", COUNT)
  return list and list[PSTATE] & 0x1f == 0 and list[PC] > 0 and list or nil
end

-- The registers that contain a frame record, and whether they are a user's; nil if none do.
local function saved_registers(walk, frame, pair)
  if pair[1] == 0 and pair[2] == 0 then
    local kind = walk.space:u64(frame + 16)
    local user = kind == FINAL and user_registers(walk, frame, NEW_RECORD)
      or user_registers(walk, frame, RECORD)
    if user then
      return user, true
    elseif kind ~= REGISTERS then
      return nil
    end
    local list = walk.space:array(frame - NEW_RECORD, "u64", COUNT)
    return list and list[PC] < 0 and walk:is_executable(list[PC]) and list or nil
  end
  local list = walk.space:array(frame - RECORD, "u64", COUNT)
  return list and list[PC] == pair[2] and list[X29] == pair[1] and walk:is_executable(list[PC])
    and list or nil
end

-- Searching --------------------------------------------------------------------------------

local function scan_stack(walk, sp)
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

-- The link register ------------------------------------------------------------------------

local CODE_MAX = 4096 -- instructions of a function that are looked at

-- Has the function at pc a frame record there? It has from `add x29, sp, #n` (or `mov x29, sp`,
-- the same with 0) to `ldp x29, x30`; after `ret` or a jump comes code that has it again. nil: not
-- known, as in the entry code of exceptions, where the link register is the interrupted code's. It
-- calls functions in C that are named after it: el1h_64_irq calls el1h_64_irq_handler.
local function has_record(walk, pc)
  local name, offset = walk.names.at(pc)
  local is_entry = name and (name == "vectors" or name:find "^el[012][ht]_")
    and not name:find "_handler$"
  local count = name and not is_entry and offset // 4
  local code = count and count <= CODE_MAX and walk.space:array(pc - offset, "u32", count)
  if not code then
    return nil
  end
  local is_made, is_there = false, false
  for _, word in ipairs(code) do
    if word & 0xff8003ff == 0x910003fd then
      is_made, is_there = true, true
    elseif word & 0xfe407fff == 0xa8407bfd then
      is_there = false
    elseif word & 0xfffffc1f == 0xd65f0000 or word & 0xfffff3ff == 0xd65f03ff -- ret, retaa
        or word & 0xfc000000 == 0x14000000 or word & 0xfffffc1f == 0xd61f0000 then -- b, br
      is_there = is_made
    end
  end
  return is_there
end

-- A function without a record returns to the link register. In other functions it holds the
-- last call's return address.
local function add_link(walk, pc, link, first)
  link = walk.plain(walk.space, link)
  if first and first.address == link or not walk:is_return(link) then
    return
  end
  local has, own = has_record(walk, pc), walk.names.at(pc)
  if has == false then
    walk:add(link, "frame")
  elseif has == nil and (not own or own ~= walk.names.at(link - 1)) then
    walk:add(link, "scan")
  end
end

-- Frame records ----------------------------------------------------------------------------

-- Returns the registers to continue with, and whether they are a user's; nil at the end. link:
-- nil if pc is a return address.
local function follow_records(walk, pc, sp, frame, link)
  local saved, is_user
  local calls, last = walk:chain(frame, function(at, pair)
    saved, is_user = saved_registers(walk, at, pair)
    return saved
  end)
  if not saved and last ~= 0 and last & 7 == 0 then
    walk:note_missing(last)
  end
  if link then
    add_link(walk, pc, link, calls[1])
  end
  for _, call in ipairs(calls) do
    walk:add(call.address, "frame")
  end
  if not calls[1] and not saved then
    scan_stack(walk, sp & ~7)
  end
  return saved, is_user
end

-- The registers by name, as of a vCPU.
local function named(list)
  local registers = {sp = list[SP], pc = list[PC], pstate = list[PSTATE]}
  for i = 0, 30 do
    registers["x" .. i] = list[i + 1]
  end
  return registers
end

-- registers: as of a vCPU, by name, and pc, sp, fp; is_return: pc is a return address. Returns
-- the user's registers, if it comes to the entry from user mode.
function arm.unwind(walk, registers)
  local saved, is_user = follow_records(walk, registers.pc, registers.sp, registers.fp or 0,
    not registers.is_return and registers.x30 or nil)
  for _ = 2, StackWalk.CONTEXTS_MAX do
    if not saved or is_user or walk:is_full() then
      break
    end
    walk:add(saved[PC], "exception")
    saved, is_user = follow_records(walk, saved[PC], saved[SP], saved[X29], saved[LINK])
  end
  return is_user and named(saved) or nil
end

-- The names of the registers with the next instruction and the frame.
arm.pc, arm.fp = "pc", "x29"

return arm
