-- Unwinds stacks of x86_64: a kernel's by its ORC tables, in the C core; others by frame
-- pointers. Where code keeps neither, the stack is searched for addresses that follow a call.

local core = require "qvm.core"
local errors = require "qvm.util.errors"
local StackWalk = require "qvm.guest.stack_walk"

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

-- Saved registers --------------------------------------------------------------------------

-- The words of struct pt_regs (arch/x86/include/asm/ptrace.h). The processor pushes the last
-- five at an interrupt; the kernel saves the others below.
local SAVED = {"r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx",
  "rdx", "rsi", "rdi", "orig_rax", "rip", "cs", "rflags", "rsp", "ss"}
local SIZE, PUSHED = 8 * #SAVED, 16 * 8 -- bytes; bytes below what the processor pushes

-- Is what the processor pushes at an address? "kernel" or "user": what was interrupted.
local function interrupted(walk, words, at)
  local ip, cs, flags, sp, ss = words[at], words[at + 8], words[at + 16], words[at + 24],
    words[at + 32]
  if not ip or not ss or flags & 2 == 0 or flags >> 22 ~= 0 or cs & 0xfffc == 0
      or cs & 3 ~= ss & 3 then
    return nil
  elseif cs & 3 == 3 then
    return ip >= 0 and cs < 0x100 and ss < 0x100 and "user" or nil
  end
  return cs & 3 == 0 and ip < 0 and sp < 0 and sp & 7 == 0 and walk:is_executable(ip)
    and walk.space:translate(sp) and "kernel" or nil
end

-- The registers that are saved at an address; before `from` they were not saved.
local function saved_at(words, at, from)
  local saved = {}
  for i, name in ipairs(SAVED) do
    local place = at + 8 * (i - 1)
    saved[name] = place >= from and words[place] or nil
  end
  return saved
end

-- Goes on with saved registers: they, and true if they are a user's.
local function resume(walk, saved)
  if saved.cs & 3 == 3 then
    return saved, true
  end
  walk:add(saved.rip, "exception")
  return saved
end

-- Goes on with what the processor pushed at an address.
local function resume_pushed(walk, words, at, bp)
  local saved = saved_at(words, at - PUSHED, at)
  saved.rbp = bp
  return resume(walk, saved)
end

-- Searching --------------------------------------------------------------------------------

-- Not all functions keep a frame: the stack is searched between those that do, and after the
-- last one. Returns the registers to continue with, and whether they are a user's; nil at the
-- end.
local function scan_stack(walk, sp, bp)
  local to, is_guarded = walk:stack_end(sp)
  local words, by_slot, last = walk:words(sp, to), {}, nil
  for _, call in ipairs((walk:chain(bp))) do
    by_slot[call.slot], last = call, last or (call.slot < sp or call.slot >= to) and call or nil
  end
  -- Interrupted at the first instruction of a handler; some exceptions push an error code.
  for at = sp, sp + 8, 8 do
    if interrupted(walk, words, at) then
      return resume_pushed(walk, words, at, bp)
    end
  end
  for at = sp, to - 8, 8 do
    local word = words[at]
    if not word or walk:is_full() then
      break
    end
    if by_slot[at] or walk:is_return(word) then
      walk:add(word, by_slot[at] and "frame" or "scan")
      if interrupted(walk, words, at + 8 + PUSHED) then
        return resume(walk, saved_at(words, at + 8, at + 8))
      end
    end
  end
  if is_guarded and interrupted(walk, words, to - 40) then
    return resume_pushed(walk, words, to - 40, 0)
  end
  -- A stack of interrupts ends with the rsp of the interrupted stack.
  local outer = words[to - 8]
  if is_guarded and outer and outer < 0 and outer & 7 == 0
      and (outer < to - StackWalk.STACK or outer >= to) and walk.space:translate(outer) then
    return {rsp = outer, rbp = last and last.slot - 8 or 0}
  elseif last then
    return {rsp = last.slot, rbp = last.slot - 8}
  end
end

-- Frame pointers ---------------------------------------------------------------------------

-- Kernels that keep frame pointers point rbp at saved registers with bit 0 set
-- (ENCODE_FRAME_POINTER, arch/x86/include/asm/frame.h). A chain that leads to such, or to the
-- end of its stack, is of such a kernel, and complete. Returns as scan_stack, or false: it is
-- not.
local END = 512 -- bytes at the end of a stack, where the outermost functions are

local function follow_pointers(walk, bp)
  local calls, last = walk:chain(bp)
  local words = last & 1 == 1 and walk:words(last & ~1, (last & ~1) + SIZE)
  local saved = words and words[(last & ~1) + SIZE - 8] and saved_at(words, last & ~1, last & ~1)
  local top = #calls > 0 and calls[#calls].slot
  if not saved and not (last == 0 and top and (top | StackWalk.STACK - 1) - top < END) then
    return false
  end
  for _, call in ipairs(calls) do
    walk:add(call.address, "frame")
  end
  if saved and interrupted(walk, words, (last & ~1) + PUSHED) then
    return resume(walk, saved)
  end
end

-- Retpolines -------------------------------------------------------------------------------

-- An indirect call or jump may go through a thunk for its register (arch/x86/lib/retpoline.S),
-- which ORC tables do not describe. It calls an instruction of its own, which writes the target
-- over the return address and returns to it: after that call the caller's return address is the
-- second word of the stack. A thunk that needs no call jumps, and the stack is the caller's.
local CALL = 0xe8

local function thunk_at(walk, address)
  local name, offset = walk.names.at(address)
  if name and name:find "x86_indirect_[%l_]*thunk_" then
    return name, offset
  end
end

-- The registers in the caller of a thunk, which is a new frame; nil: this is no thunk.
local function leave_thunk(walk, registers)
  local name, offset = thunk_at(walk, registers.rip)
  local has_called = name and offset > 0 and walk.space:u8(registers.rip - offset) == CALL
  local at = registers.rsp + (has_called and 8 or 0)
  local caller = name and walk.space:u64(at)
  if not caller or walk.names.at(caller) == name or not walk:is_return(caller) then
    return nil
  end
  walk:add(caller, "orc")
  local result = {}
  for register, value in pairs(registers) do
    result[register] = value
  end
  result.rip, result.rsp = caller, at + 8
  return result
end

-- ORC --------------------------------------------------------------------------------------

-- Returns the registers where the tables do not lead on, and whether they are a user's; nil at
-- the outermost function. An interrupt may have come in a thunk.
local function follow_orc(walk, registers, is_exact)
  local frames, ended
  repeat
    local caller = is_exact and leave_thunk(walk, registers)
    frames, ended, registers = core.orc_walk(walk.space, walk.orc, caller or registers,
      is_exact and not caller)
    if not frames then
      errors.fail(ended, registers)
    end
    for _, frame in ipairs(frames) do
      walk:add(frame.address, frame.how)
    end
    is_exact = #frames > 0 and frames[#frames].how == "exception"
  until ended == "user" or not is_exact or walk:is_full() or not thunk_at(walk, registers.rip)
  if ended == "lost" or ended == "user" then
    return registers, ended == "user"
  end
end

-- Walks a kernel's stacks. Returns the user's registers, if it comes to the entry from user
-- mode.
local function unwind_kernel(walk, registers, is_exact)
  local stacks, is_user = {}, false
  for _ = 1, StackWalk.CONTEXTS_MAX do
    if walk.orc and registers.rip then
      registers, is_user = follow_orc(walk, registers, is_exact)
    end
    if not registers or is_user or walk:is_full() or stacks[registers.rsp] then
      break
    end
    stacks[registers.rsp], walk.seen = true, {}
    local sp, bp = registers.rsp & ~7, registers.rbp or 0
    local found, of_user = false, nil
    if not walk.orc and registers.rip then
      found, of_user = follow_pointers(walk, bp)
      walk.seen = {}
    end
    if found == false then
      found, of_user = scan_stack(walk, sp, bp)
    end
    registers, is_user, is_exact = found, of_user, true
    if not registers or is_user then
      break
    end
  end
  return is_user and registers or nil
end

-- registers: of a vCPU, by name, and pc, sp, fp; is_return: pc is a return address.
function x86.unwind(walk, registers)
  local state = {}
  for _, name in ipairs(SAVED) do
    state[name] = registers[name]
  end
  state.rip, state.rsp, state.rbp = registers.pc, registers.sp, registers.fp
  return unwind_kernel(walk, state, not registers.is_return)
end

-- The names of the registers with the next instruction and the frame.
x86.pc, x86.fp = "rip", "rbp"

return x86
