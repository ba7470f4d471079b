-- Makes the completion of a command in bash: argparse's, with two changes.
--
-- argparse completes the values of options by `compgen -f`, which breaks names at blanks. Without
-- candidates readline completes a file's name itself (`complete -o default`), with blanks, "~" and
-- the "/" of directories.
--
-- Where a VM is expected, the names of the VMs are candidates. Anyone who may add a VM chooses its
-- name, so it is not passed to `compgen -W`, which would run the commands in it.

local bash = {}

local FILES = 'COMPREPLY=($(compgen -f -- "$cur"))'

local OPTIONS = '    if [[ "$cur" = -* ]]; then\n'

local VMS = [=[
    if [[ "$cur" != -* ]]; then
        local root="${QVM_ROOT:-/dev/qvm}" i name
        for ((i = 1; i < COMP_CWORD; i++)); do
            [[ "${args[i]}" = --root ]] && root="${args[i + 1]}"
        done
        for name in "$root"/*/env; do
            [[ -e "$name" ]] || continue
            name="${name%/env}"
            name="${name##*/}"
            [[ "$name" = "$cur"* ]] && COMPREPLY+=("$(printf %q "$name")")
        done
        return 0
    fi

]=]

-- Replaces a text that occurs; raises if argparse no longer writes it.
local function replace(script, old, new)
  local from, to = script:find(old, 1, true)
  assert(from, "argparse's completion has changed")
  return script:sub(1, from - 1) .. new .. script:sub(to + 1)
end

local function takes_vm(parser)
  return parser._arguments[1]._name == "vm"
end

-- Returns the script.
function bash.completion(parser)
  local script = parser:get_bash_complete()
  while script:find(FILES, 1, true) do
    script = replace(script, FILES, "COMPREPLY=()")
  end
  if takes_vm(parser) then
    script = replace(script, OPTIONS, VMS .. OPTIONS)
  end
  return script
end

return bash
