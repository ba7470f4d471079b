-- The arguments of qvm-diag.

local argparse = require "argparse"
local command = require "qvm.cli.command"
local qvm = require "qvm"

local EPILOG = [[
Exit status: 0 found and every step worked; 1 a VM is absent or a step failed;
2 a mistake in the arguments; 3 every step worked, and errata differ from the
baseline. --prometheus: 0 where metrics were written. --watch: 0 after Ctrl-C.]]

local function new_parser()
  local parser = argparse("qvm-diag", "What the host knows of its virtual machines.", EPILOG)
    :help_max_width(80)
  parser:argument("vm", "System name of the VM."):args("?")
  parser:flag("--list", "All VMs, one line each.")
  parser:flag("--all", "All VMs in full, one after the other.")
  parser:option("--read", "Summarise a dump that there is. Needs no VM."):argname("FILE")
  parser:flag("--dmesg", "With --read: only the kernel log of a Linux guest in it.")
  parser:option("--status", "Ask for the status text; the file its logger writes to.")
    :argname("LOG")
  parser:option("--dump", "Ask for a dump; the directory of the VM's dump option.")
    :argname("DIR")
  parser:option("--timeout", "Seconds to wait for a status text (5) or a dump (60).")
    :argname("S")
  parser:option("--baseline", "Hold the errata against a baseline (qvm.errata.save).")
    :argname("FILE")
  parser:flag("--json", "Write JSON; addresses as \"0x...\" strings.")
  parser:option("--html", "Write a page that holds everything to FILE, not the text.")
    :argname("FILE")
  parser:flag("--prometheus", "Write metrics for node_exporter's textfile collector, of all "
    .. "VMs where none is named.")
  parser:option("--watch", "Show it again every S seconds (2), with marks at changes.")
    :argname("S"):args("?")
  parser:option("--root", "Where the VMs are (default: $QVM_ROOT or /dev/qvm).")
    :argname("DIR")
  return parser
end

local function seconds_of(word, least)
  local seconds = word:find("^[0-9.]+$") and tonumber(word) -- "0,5" is a number in some locales
  return seconds and seconds > 0 and seconds >= (least or 0) and seconds < 2^31 and seconds
end

-- How many of these options are given.
local function count(options, names)
  local n = 0
  for _, name in ipairs(names) do
    n = n + (options[name] and 1 or 0)
  end
  return n
end

local ALONE = {
  {"prometheus", {"list", "read", "status", "dump", "baseline", "json", "html", "watch"},
    "--prometheus goes with a VM's name, --all and --root only"},
  {"watch", {"read", "status", "dump", "json", "html"},
    "--watch goes with a VM's name, --list, --all, --baseline and --root only"},
}

-- What is wrong with the choice of options.
local function misfit_in(options)
  local tasks = count(options, {"vm", "list", "all", "read"})
  for _, rule in ipairs(ALONE) do
    if options[rule[1]] and count(options, rule[2]) > 0 then
      return rule[3]
    end
  end
  if tasks > 1 or tasks == 0 and not options.prometheus then
    return (tasks == 0 and "" or "only ")
      .. "one of a VM's name, --list, --all or --read FILE is needed (--help shows how)"
  elseif options.dmesg and (not options.read or options.html) then
    return "--dmesg goes with --read and --json only"
  elseif count(options, {"vm", "all"}) == 0
    and count(options, {"status", "dump", "baseline"}) > 0 then
    return "--status, --dump and --baseline need a VM's name or --all"
  end
end

-- What is wrong with an option's value.
local function mistake_in(options)
  if options.timeout and not seconds_of(options.timeout) then
    return "--timeout: a number of seconds is needed"
  elseif options.watch and not seconds_of(options.watch, 0.1) then
    return "--watch: a number of seconds from 0.1 on is needed"
  elseif options.vm and not pcall(qvm.vm, options.vm) then
    return ("%q is no system name"):format(options.vm)
  end
end

-- The number behind --watch may be left out: then a word there is the VM's name.
local function settle_watch(options)
  if options.watch then
    local word = options.watch[1]
    if word and not tonumber(word) and not options.vm then
      options.vm, word = word, nil
    end
    options.watch = word or "2"
  end
end

-- The options of a command line, or nil and the mistake in it.
local function parse(words)
  local options, mistake = command.parse(new_parser(), words)
  if not options then
    return nil, mistake
  end
  settle_watch(options)
  mistake = misfit_in(options) or mistake_in(options)
  if mistake then
    return nil, mistake
  end
  options.timeout = options.timeout and seconds_of(options.timeout)
  options.watch = options.watch and seconds_of(options.watch)
  return options
end

return {parse = parse}
