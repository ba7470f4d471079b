--- The parts of a dump as a file: segments, sections and notes.
-- @classmod qvm.parts

-- Each part has its place in the file. Its fields are read when an iterator comes to it, its
-- bytes when they are requested.

local core = require "qvm.core"
local errors = require "qvm.util.errors"
local iterators = require "qvm.util.iterators"
local line = require "qvm.util.text"

local methods = core.dump

local parts = {}

--- A segment (program header) of a dump, as in the file.
-- @table Segment
-- @tfield integer index from 0
-- @tfield integer type 1 is PT_LOAD, 4 PT_NOTE
-- @tfield integer paddr physical address
-- @tfield integer vaddr virtual address
-- @tfield integer offset of its bytes in the file
-- @tfield integer filesz bytes in the file
-- @tfield integer memsz bytes in memory
-- @tfield integer flags
-- @usage for segment in dump:segments() do print(segment.paddr) end

local segment_types = {
  [0] = "NULL", "LOAD", "DYNAMIC", "INTERP", "NOTE", "SHLIB", "PHDR", "TLS",
}

local Segment = {__name = "Segment", __tostring = line.tostring("segment", function(segment)
  return ("segment %d: %s 0x%016x memsz 0x%x filesz 0x%x at 0x%x"):format(
    segment.index, segment_types[segment.type] or ("type 0x%x"):format(segment.type),
    segment.paddr, segment.memsz, segment.filesz, segment.offset)
end)}

-- Iterates over the segments.
function parts.segments(dump)
  local index = -1
  return iterators.steps(function()
    index = index + 1
    local segment, message, code = methods.segment(dump, index)
    return segment and setmetatable(segment, Segment), message, code
  end)
end

-- Makes the type of a part of the file, whose bytes are read on request. Each dump has a
-- metatable of its own, which keeps the dump from being collected while a part is in use.
local function part_type(dump, name, to_text)
  return {
    __name = name,
    __index = {
      read = function(part)
        return methods.bytes(dump, part.offset, part.filesz)
      end,
    },
    __tostring = to_text,
  }
end

--- A section of a dump. QNX tools store text in sections.
-- @table Section
-- @tfield integer index from 0
-- @tfield string name
-- @tfield integer type
-- @tfield integer flags
-- @tfield integer addr address
-- @tfield integer offset of its bytes in the file
-- @tfield integer size bytes in memory
-- @tfield integer filesz bytes in the file
-- @usage for section in dump:sections() do print(section.name, section.filesz) end

--- The section's bytes.
-- @function Section:read
-- @treturn[1] string bytes
-- @return[2] nil, message, code: `too_large` above 64 MiB, `truncated` `gone`
-- @usage for section in dump:sections() do print(#section:read()) end

local section_text = line.tostring("section", function(section)
  return ("section %d %s: type %d, %d bytes at offset %d"):format(section.index,
    line.cut(section.name), section.type, section.filesz, section.offset)
end)

-- Iterates over the sections; raises if they cannot be read.
function parts.sections(dump)
  local count, message = methods.section_count(dump)
  if not count then
    errors.raise(message)
  end
  local meta, index = part_type(dump, "Section", section_text), -1
  return iterators.steps(function()
    index = index + 1
    if index >= count then
      return nil
    end
    local section, why, what = methods.section(dump, index)
    return section and setmetatable(section, meta), why, what
  end)
end

--- An ELF note of a dump.
-- @table Note
-- @tfield integer segment index of its segment
-- @tfield string name empty if it has none
-- @tfield integer type its meaning depends on the name
-- @tfield integer offset of its data in the file
-- @tfield integer filesz bytes of data
-- @usage for note in dump:notes() do print(note.name, note.type) end

--- The note's data.
-- @function Note:read
-- @treturn[1] string bytes
-- @return[2] nil, message, code: `too_large` above 64 MiB, `truncated` `gone`
-- @usage for note in dump:notes() do print(#note:read()) end

local note_text = line.tostring("note", function(note)
  return ('note "%s" type %d: %d bytes'):format(line.cut(note.name), note.type, note.filesz)
end)

local NOTES_MAX = 1 << 18 -- four for each of 65536 vCPUs

-- Iterates over the notes.
function parts.notes(dump)
  local meta, segment, at, count = part_type(dump, "Note", note_text), 0, 0, 0
  return iterators.steps(function()
    count = count + 1
    if count > NOTES_MAX then
      return nil, ("%s: more than %d notes"):format(dump.path, NOTES_MAX), "too_large"
    end
    local note, next_segment, next_at = methods.note(dump, segment, at)
    if not note then
      return nil, next_segment, next_at -- a message and its code, or the end
    end
    segment, at = next_segment, next_at
    note.name = note.name:match("^(.*[^%z])") or ""
    return setmetatable(note, meta)
  end)
end

return parts
