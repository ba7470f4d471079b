-- The arguments of qvm-diag.

local argparse = require "argparse"
local qvm = require "qvm"

local function new_parser()
  local parser = argparse("qvm-diag", "What the host knows of a virtual machine.",
    "Exit status: 0 found and every step worked, 1 not, 2 a mistake in the arguments.")
  parser:argument("vm", "System name of the VM."):args("?")
  parser:option("--status", "Ask for the status text; the file its logger writes to.")
    :argname("LOG")
  parser:option("--dump", "Ask for a dump; the directory of the VM's dump option.")
    :argname("DIR")
  parser:option("--read", "Summarise a dump that there is. Needs no VM."):argname("FILE")
  parser:option("--root", "Where the VMs are (default: $QVM_ROOT or /dev/qvm).")
    :argname("DIR")
  parser:option("--timeout", "Seconds to wait for a status text (5) or a dump (60).")
    :argname("S")
  parser:flag("--list", "All VMs, one line each.")
  parser:flag("--json", "Write JSON; addresses as \"0x...\" strings.")
  return parser
end

local function seconds_of(word)
  local seconds = tonumber(word)
  return seconds and seconds > 0 and seconds < 2^31 and seconds
end

-- What is wrong with options that are each well formed.
local function mistake_in(options)
  local tasks = (options.vm and 1 or 0) + (options.list and 1 or 0) + (options.read and 1 or 0)
  if tasks ~= 1 then
    return (tasks == 0 and "" or "only ")
      .. "one of a VM's name, --list or --read FILE is needed (--help shows how)"
  elseif not options.vm and (options.status or options.dump) then
    return "--status and --dump need a VM's name"
  elseif options.timeout and not seconds_of(options.timeout) then
    return "--timeout: a number of seconds is needed"
  elseif options.vm and not pcall(qvm.vm, options.vm) then
    return ("%q is no system name"):format(options.vm)
  end
end

-- The options of a command line, or nil and the mistake in it.
local function parse(arguments)
  local ok, options = new_parser():pparse(arguments)
  if not ok then
    local message = tostring(options):gsub("%s+", " "):gsub("([^.])( Did you)", "%1.%2")
    return nil, message .. " (--help shows how)"
  end
  local mistake = mistake_in(options)
  if mistake then
    return nil, mistake
  end
  options.timeout = options.timeout and seconds_of(options.timeout)
  return options
end

return {parse = parse}
