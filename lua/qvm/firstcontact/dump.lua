-- Checks a dump: its note, its segments, and what the library makes of its registers, page tables
-- and guest.

local list_of = require "qvm.firstcontact.checklist"
local note = require "qvm.firstcontact.note"
local qvm = require "qvm"
local system = require "qvm.util.system"
local text = require "qvm.cli.text"

local DOCUMENTED, SEEN, OURS = list_of.DOCUMENTED, list_of.SEEN, list_of.OURS

local HEAD_MAX = 1 << 16 -- bytes of the file in the archive
local NOTE_MAX = 1 << 20 -- bytes of its PT_NOTE segment there

local TRANSLATED_MAX = 64 -- vCPUs whose pc is translated

local PT_LOAD, PT_NOTE = 1, 4

local dump_checks = {}

local function segments_of(dump)
  local segments = {}
  for segment in dump:segments() do
    segments[#segments + 1] = segment
  end
  return segments
end

local function first_note(segments)
  for _, segment in ipairs(segments) do
    if segment.type == PT_NOTE then
      return segment
    end
  end
end

-- Bytes of the dump's file; nil and why, such as that it is compressed: then offsets are those of
-- what it unpacks to.
local function file_bytes(dump, offset, size)
  local file <close>, message = system.dump_file(dump)
  if not file then
    return nil, message
  elseif file:read(4) ~= "\x7fELF" then
    return nil, "the file is compressed: unpack it, and pass it with --read"
  end
  return file:seek("set", offset) and file:read(size) or nil, "the file ends before"
end

-- The beginning of the file up to the first of the guest's memory, or to 64 KiB if memory may be in
-- it; nil and why.
function dump_checks.head(dump, with_memory)
  local size = HEAD_MAX
  for segment in dump:segments() do
    if segment.type == PT_LOAD and segment.filesz > 0 and not with_memory then
      size = math.min(size, math.max(0, segment.offset))
    end
  end
  return file_bytes(dump, 0, size)
end

-- The bytes of the PT_NOTE segment; nil and why.
function dump_checks.note(dump)
  local segment = first_note(segments_of(dump))
  if not segment then
    return nil, "it has no PT_NOTE segment"
  end
  return file_bytes(dump, segment.offset, math.min(segment.filesz, NOTE_MAX))
end

local function check_file(list, dump)
  list:add {"form of the dump", DOCUMENTED, "ELF64 with the note of sys/kdump.h", did = "qvm.open",
    saw = ("%s, %d bits, %s, %s endian"):format(dump.format, dump.bits, dump.machine,
      dump.byteorder), as_expected = dump.format == "qnx" and dump.bits == 64,
    why = dump.format ~= "qnx" and "the library does not recognise its note" or nil}
  list:add {"completeness", DOCUMENTED, "every segment is inside the file", did = "qvm.open",
    saw = ("%s, %s"):format(text.count(dump.size, "byte"), dump.complete and "complete"
      or "incomplete"), as_expected = dump.complete}
  if dump.warnings and dump.warnings[1] then
    list:add {"warnings", OURS, "none", did = "qvm.open", saw = table.concat(dump.warnings, "; "),
      as_expected = false}
  end
end

local function check_sizes(list, dump, fields, size)
  list:add {"note: size", DOCUMENTED, "head, names and records are the whole segment",
    did = "added up the sizes in the head", saw = ("%d of %s"):format(fields.size,
      text.count(size, "byte")), as_expected = fields.size == size}
  local registers = note.REGISTERS[dump.machine]
  local seen = fields.regset_size - fields.extra_reg_value_size
  list:add {"note: registers", DOCUMENTED, registers and ("%d bytes for %s, before the extra ones")
    :format(registers, dump.machine) or "the register set of the machine",
    did = "regset_size less extra_reg_value_size", saw = text.count(seen, "byte"),
    as_expected = registers and seen == registers, why = not registers
      and "no document gives the registers of this machine" or nil}
end

local function check_extra(list, dump, fields)
  local cpu, names = list:call("dump:vcpu(0)", dump.vcpu, dump, 0), {}
  for name in cpu and cpu:extra_registers() or function() end do
    names[#names + 1] = name
  end
  local all = (" " .. table.concat(names, " ") .. " "):lower()
  local known = all:find(" cr3 ", 1, true) or all:find(" ttbr1_el1 ", 1, true)
    or all:find(" ttbr1 ", 1, true)
  list:add {"note: extra registers", OURS, "8.0: control registers under the names cr3, cr4, or "
    .. "ttbr0, ttbr1, tcr with or without _el1, 8 bytes each",
    did = "read the names in the note", saw = ("%s in names, %d in values: %s"):format(
      text.count(fields.extra_reg_name_size, "byte"), fields.extra_reg_value_size,
      names[1] and table.concat(names, " ") or "none"), as_expected = known and true or false,
    why = fields.extra_reg_name_size == 0 and "a note as before SDP 8"
      or not known and "page tables are not found by these names" or nil}
end

local function check_note(list, dump)
  local bytes, message = dump_checks.note(dump)
  local fields = bytes and note.parse(bytes, dump.byteorder)
  local verdict
  if bytes then
    verdict = fields ~= nil and fields.note_version == 0
  end
  list:add {"note: head", DOCUMENTED, "struct kdump_note, note_version 0",
    did = "read the first 40 bytes of PT_NOTE", as_expected = verdict,
    saw = fields and note.describe(fields) or message or "it is too short",
    why = verdict == nil and "it cannot be read" or nil}
  if fields then
    check_sizes(list, dump, fields, first_note(segments_of(dump)).filesz)
    check_extra(list, dump, fields)
  end
end

local function check_segments(list, dump, conf)
  local loads, virtual, bytes, order = 0, 0, 0, {}
  for _, segment in ipairs(segments_of(dump)) do
    if segment.type == PT_LOAD then
      loads, bytes = loads + 1, bytes + segment.memsz
      virtual = virtual + (segment.vaddr ~= 0 and 1 or 0)
    end
    order[#order + 1] = segment.type == PT_LOAD and "LOAD" or segment.type == PT_NOTE and "NOTE"
      or ("%d"):format(segment.type)
  end
  list:add {"segments", SEEN, "p_paddr is the address in PT_LOAD, p_vaddr is 0",
    did = "dump:segments()", saw = ("%s (%s), %d with p_vaddr"):format(text.count(loads,
      "PT_LOAD"), text.cut(table.concat(order, " "), 80), virtual),
    as_expected = loads > 0 and virtual == 0}
  local ram = 0
  for _, block in ipairs(conf and conf.ram or {}) do
    ram = ram + block.size
  end
  local verdict
  if conf and ram > 0 then
    verdict = bytes == ram
  end
  list:add {"memory in the dump", DOCUMENTED, conf and "the ram of the configuration: "
    .. text.in_units(ram) or "the guest's memory", did = "added up memsz of PT_LOAD",
    saw = text.in_units(bytes), as_expected = verdict,
    why = verdict == nil and "pass --conf to compare" or nil}
end

local function check_vcpus(list, dump, env)
  local count, tables, in_env = 0, 0, 0
  for cpu in dump:vcpus() do
    count, tables = count + 1, tables + (cpu.pgtbl ~= 0 and 1 or 0)
  end
  for _ in env and env:vcpus() or function() end do
    in_env = in_env + 1
  end
  local verdict
  if in_env > 0 then
    verdict = count == in_env
  end
  list:add {"vCPUs in the dump", DOCUMENTED, "the registers of each vCPU", did = "dump:vcpus()",
    saw = ("%s; env has %d"):format(text.count(count, "vCPU"), in_env), as_expected = verdict,
    why = verdict == nil and "no vCPUs of an env to compare with" or nil}
  list:add {"page tables in the records", OURS, "pgtbl of each vCPU, physical",
    did = "dump:vcpus()", saw = ("%d of %d are not 0"):format(tables, count),
    as_expected = count > 0 and tables == count}
end

-- Translates the program counter of each vCPU that runs.
local function check_translation(list, dump)
  local done, wrong, tried = 0, nil, 0
  for cpu in dump:vcpus() do
    if tried == TRANSLATED_MAX then
      break
    elseif cpu.pc ~= 0 then
      tried = tried + 1
      local space, message = list:call(("dump:space(vCPU %d)"):format(cpu.index), dump.space, dump,
        cpu)
      local physical
      if space then
        physical, message = list:call(("space:translate(%s)"):format(qvm.hex(cpu.pc)),
          space.translate, space, cpu.pc)
      end
      done, wrong = done + (physical and 1 or 0), wrong or not physical and message or nil
    end
  end
  local verdict
  if tried > 0 then
    verdict = done == tried
  end
  list:add {"translation of the pc", OURS, "the page tables of a vCPU are found and map its pc",
    did = "dump:space(cpu), space:translate(cpu.pc)", saw = ("%d of %d%s"):format(done, tried,
      wrong and ": " .. wrong or ""), as_expected = verdict,
    why = verdict == nil and "no vCPU has a pc" or nil}
end

local function check_guest(list, dump)
  local log, message = list:call("dump:log()", dump.log, dump)
  list:add {"text in the dump", OURS, "the report of qvm and its vdevs, at dumpinfo_segnum",
    did = "dump:log()", saw = log and text.count(#log, "byte") or message or "none",
    as_expected = log ~= nil and #log > 0}
  local sections = {}
  for section in list:call("dump:sections()", dump.sections, dump) or function() end do
    sections[#sections + 1] = section.name
    if #sections == 32 then
      break
    end
  end
  list:add {"sections", OURS, "`use -i` prints text of the dump: an ELF section has it",
    did = "dump:sections()", saw = sections[1] and table.concat(sections, " ") or "none",
    as_expected = sections[1] ~= nil}
  local guest, why = list:call("dump:guest()", dump.guest, dump)
  list:add {"identity of the guest", OURS, "a Linux kernel is found by its VMCOREINFO",
    did = "dump:guest()", saw = guest and guest.os and ("%s %s"):format(guest.os,
      guest.release or "of unknown release") or why or "no Linux kernel",
    as_expected = guest and guest.os and true or nil,
    why = not (guest and guest.os) and "the guest may be another system" or nil}
end

-- Checks a dump against an Env and a configuration, where there are such.
function dump_checks.check(list, dump, env, conf)
  check_file(list, dump)
  check_note(list, dump)
  check_segments(list, dump, conf)
  check_vcpus(list, dump, env)
  check_translation(list, dump)
  check_guest(list, dump)
end

return dump_checks
