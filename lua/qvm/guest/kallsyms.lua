-- The symbol table in the memory of a Linux kernel (kallsyms). VMCOREINFO locates it (Linux
-- 6.0 and later). The C core reads it and looks symbols up in it.

local core = require "qvm.core"
local Symbols = require "qvm.guest.symbols"

local kallsyms = {}

local NEEDED = {"kallsyms_names", "kallsyms_num_syms", "kallsyms_token_table",
  "kallsyms_token_index", "_stext"}

-- The kernel's symbols; nil, what is wrong, code. info: VMCOREINFO.
function kallsyms.read(space, info)
  local symbols = info.symbols
  for _, name in ipairs(NEEDED) do
    if not symbols[name] then
      return nil, "VMCOREINFO has no SYMBOL(" .. name .. ")", "not_found"
    end
  end
  if not symbols.kallsyms_offsets and not symbols.kallsyms_addresses then
    return nil, "VMCOREINFO has no SYMBOL(kallsyms_offsets)", "not_found"
  end
  local found, count, code = core.kallsyms(space, symbols)
  if not found then
    return nil, count, code
  end
  return Symbols.new(found, {from = "kallsyms", verified = "memory", count = count})
end

return kallsyms
