-- The symbol table in the memory of a Linux kernel (kallsyms). VMCOREINFO locates it (Linux 6.0
-- and later), or it is searched for. The C core reads it and looks symbols up in it.

local core = require "qvm.core"
local Symbols = require "qvm.guest.symbols"

local kallsyms = {}

local NEEDED = {"kallsyms_names", "kallsyms_num_syms", "kallsyms_token_table",
  "kallsyms_token_index"}

-- The addresses of its parts, by the names of their symbols; nil, what is missing.
local function location(dump, space, info)
  local symbols = info.symbols
  local missing = not symbols._stext and "_stext"
  for _, name in ipairs(NEEDED) do
    missing = missing or not symbols[name] and name
  end
  if not missing and not symbols.kallsyms_offsets and not symbols.kallsyms_addresses then
    missing = "kallsyms_offsets"
  end
  if not missing then
    return symbols
  end
  local found = symbols._stext and require "qvm.guest.kallsyms_search".locate(space,
    dump.byteorder, symbols._stext)
  if not found then
    return nil, ("VMCOREINFO has no SYMBOL(%s), and no table was found in memory"):format(missing)
  end
  found._stext = symbols._stext
  return found
end

-- The kernel's symbols; nil, what is wrong, code. info: VMCOREINFO.
function kallsyms.read(dump, space, info)
  local places, missing = location(dump, space, info)
  if not places then
    return nil, missing, "not_found"
  end
  local found, count, code = core.kallsyms(space, places)
  if not found then
    return nil, count, code
  end
  return Symbols.new(found, {from = "kallsyms", verified = "memory", count = count})
end

return kallsyms
