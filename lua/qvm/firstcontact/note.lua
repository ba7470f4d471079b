-- The PT_NOTE segment of a dump as QNX's public header sys/kdump.h lays it out, read here once more
-- and without the library's checks: a first contact wants to know what is there. docs/dumps.md
-- describes the layout.

local note = {}

local HEAD, CPU_HEAD = 40, 128 -- bytes of struct kdump_note, struct kdump_note_cpu

local NAMES = {"note_version", "sig_num", "sig_code", "fault_num", "num_cpus", "faulting_cpu",
  "regset_size", "cpu_info", "procnto_segnum", "syspage_segnum", "dumpinfo_segnum", "cpu_info_hi",
  "extra_reg_value_size", "extra_reg_name_size"}

-- Bytes of the CPU registers, by the machine.
note.REGISTERS = {aarch64 = 272, x86_64 = 168, x86 = 52, arm = 68}

-- The fields of struct kdump_note by name, and `size`: the bytes of head, names and records as they
-- say; nil if it is too short.
function note.parse(bytes, byteorder)
  if #bytes < HEAD then
    return nil
  end
  local values = {string.unpack((byteorder == "big" and ">" or "<")
    .. "I1I1I1I1I2I2I4I4I4I4I4I4I4I4", bytes)}
  local fields = {}
  for i, name in ipairs(NAMES) do
    fields[name] = values[i]
  end
  fields.size = HEAD + fields.extra_reg_name_size
    + fields.num_cpus * (CPU_HEAD + fields.regset_size)
  return fields
end

-- The fields of a head in one line.
function note.describe(fields)
  local parts = {}
  for i, name in ipairs(NAMES) do
    local value = fields[name]
    parts[i] = ("%s %s"):format(name, value == 0xffffffff and "-1" or ("%d"):format(value))
  end
  return table.concat(parts, ", ")
end

return note
