-- The command line of qvm-diag: its help, and the checks of what goes together.

local command = require "qvm.cli.command"
local qvm = require "qvm"

local USAGE = "(<vm>... | --list | --all | --read FILE | --prometheus) [option]"

local NOTES = [[
Examples:
   qvm-diag --list
   qvm-diag linux1 --status /var/log/linux1.log --dump /dumps
   qvm-diag --all --html report.html
   qvm-diag --read linux1-20261122-101500.gcore --dmesg
   qvm-diag linux1 --save-baseline linux1.json
   qvm-diag linux1 qnx1 --baseline errata.json --watch 5
   qvm-diag linux1 --conf linux1.qvmconf --record linux1.record

Exit status:
   0  every step worked; --prometheus: metrics were written; --watch: q or Ctrl-C
   1  a VM does not exist, or a step failed
   2  an argument is wrong
   3  every step worked, and errata differ from the baseline, or the VM from
      its configuration]]

local function add_subjects(parser)
  parser:group("What to report on",
    parser:argument("vm", "VMs, by their system names."):args("*"),
    parser:flag("--list", "All VMs, one line each."),
    parser:flag("--all", "All VMs in full."),
    parser:option("--read", "An existing dump; no VM is needed."):argname("FILE"))
end

local LEVELS = {"emerg", "alert", "crit", "err", "warn", "notice", "info", "debug",
  "0", "1", "2", "3", "4", "5", "6", "7"}

local function add_requests(parser)
  parser:group("What to add to the report",
    parser:option("--status", "Request the VM's status text; LOG is the file that its logger "
      .. "writes to, or `slog`: the system log of QNX."):argname("LOG"),
    parser:option("--dump", "Request a guest dump; DIR is the directory of the VM's `dump` "
      .. "option."):argname("DIR"),
    parser:option("--keep", "With --dump: keep the N newest dumps of the VM in DIR, and delete "
      .. "older ones."):argname("N"),
    parser:option("--timeout", "Seconds to wait for the status text (default: 5) or the dump "
      .. "(default: 60)."):argname("SECONDS"),
    parser:option("--baseline", "Compare the errata with a baseline, a file that "
      .. "qvm.errata.save wrote."):argname("FILE"),
    parser:option("--save-baseline", "Save the errata of the VM as a baseline; an existing file is "
      .. "replaced."):argname("FILE"),
    parser:option("--conf", "Compare the VM with its configuration, a .qvmconf file.")
      :argname("FILE"),
    parser:option("--variables", "With --conf: check its `set` options against FILE, the output of "
      .. "`qvm set ?` on the board."):argname("FILE"),
    parser:option("--record", "Save what the VM reports in a new directory, for a bug report; "
      .. "with --conf also its configuration."):argname("DIR"),
    parser:flag("--dmesg", "With --read: print only the kernel log of a Linux guest."),
    parser:flag("--full", "With --read or --dump: whole stacks, reports of crashes and memory "
      .. "maps, not only what fits a screen; with --conf: all that was compared."),
    parser:option("-l --level", "With --dmesg: only messages of LEVEL or more severe: emerg, "
      .. "alert, crit, err, warn, notice, info, debug, or 0 to 7."):argname("LEVEL")
      :choices(LEVELS))
end

local function add_formats(parser)
  parser:group("Form of the report",
    parser:flag("--json", "Write JSON; addresses are strings \"0x...\"."),
    parser:option("--html", "Write the whole report to FILE, as one HTML page."):argname("FILE"),
    parser:flag("--prometheus", "Write metrics for the textfile collector of node_exporter; "
      .. "of all VMs unless some are named."),
    parser:option("--watch", "Refresh the report every SECONDS (default: 2), mark changes, "
      .. "and show since when; arrows, PgUp and PgDn scroll, q quits.")
      :argname("SECONDS"):args("?"))
end

local function new_parser()
  local parser = command.parser("qvm-diag",
    "Reports what the host knows about its virtual machines, or what a dump contains.", USAGE,
    NOTES)
  add_subjects(parser)
  add_requests(parser)
  add_formats(parser)
  command.add_root(parser)
  return parser
end

local function seconds_of(word, least)
  local seconds = word:find("^[0-9.]+$") and tonumber(word) -- "0,5" is a number in some locales
  return seconds and seconds > 0 and seconds >= (least or 0) and seconds < 2^31 and seconds
end

-- The number of these options that are given.
local function count(options, names)
  local n = 0
  for _, name in ipairs(names) do
    n = n + (options[name] and 1 or 0)
  end
  return n
end

-- Options that do not go together with others: the option, those others, the message.
local ALONE = {
  {"prometheus", {"list", "read", "status", "dump", "baseline", "json", "html", "watch",
    "save_baseline", "conf", "record"}, "--prometheus goes with VMs' names, --all and --root only"},
  {"watch", {"read", "status", "dump", "json", "html", "save_baseline", "conf", "record"},
    "--watch goes with VMs' names, --list, --all, --baseline and --root only"},
}

-- The mistake in a combination of options; nil if there is none.
local function misfit_in(options)
  local tasks = count(options, {"vms", "list", "all", "read"})
  for _, rule in ipairs(ALONE) do
    if options[rule[1]] and count(options, rule[2]) > 0 then
      return rule[3]
    end
  end
  if tasks > 1 or tasks == 0 and not options.prometheus then
    return (tasks == 0 and "" or "only ")
      .. "one of VMs' names, --list, --all or --read FILE "
      .. (tasks == 0 and "is needed" or "can be given") .. " (--help shows how)"
  elseif options.dmesg and (not options.read or options.html) then
    return "--dmesg needs --read FILE, and goes with --level and --json only"
  elseif options.level and not options.dmesg then
    return "--level goes with --dmesg only"
  elseif options.keep and not options.dump then
    return "--keep goes with --dump only"
  elseif count(options, {"vms", "all"}) == 0
    and count(options, {"status", "dump", "baseline"}) > 0 then
    return "--status, --dump and --baseline need a VM's name or --all"
  elseif not options.vm and count(options, {"save_baseline", "conf", "record"}) > 0 then
    return "--save-baseline, --conf and --record need the name of one VM"
  elseif options.variables and not options.conf then
    return "--variables goes with --conf only"
  end
end

-- The mistake in the value of an option; nil if there is none.
local function mistake_in(options)
  if options.timeout and not seconds_of(options.timeout) then
    return "--timeout: not a number of seconds"
  elseif options.keep and not options.keep:find("^0*[1-9]%d?%d?%d?%d?%d?$") then
    return "--keep: not a number from 1 on"
  elseif options.watch and not seconds_of(options.watch, 0.1) then
    return "--watch: not a number of seconds from 0.1 on"
  end
  for _, name in ipairs(options.vms or {}) do
    if not pcall(qvm.vm, name) then
      return ("%q is no system name"):format(name)
    end
  end
end

-- The number after --watch may be missing: then a word there is a VM's name.
local function settle_watch(options)
  if options.watch then
    local word = options.watch[1]
    if word and not word:find("^[0-9.-]") then
      table.insert(options.vm, 1, word)
      word = nil
    end
    options.watch = word or "2"
  end
end

-- Makes `vms` of the names, nil if there are none, and `vm` of a single one.
local function settle_vms(options)
  options.vms = options.vm[1] and options.vm or nil
  options.vm = #options.vm == 1 and options.vm[1] or nil
end

-- Returns the options of a command line, or nil and the mistake in it. Names of VMs are in `vms`;
-- if there is one, it is also in `vm`.
local function parse(words)
  local options, mistake = command.parse(new_parser(), words)
  if not options then
    return nil, mistake
  end
  settle_watch(options)
  settle_vms(options)
  mistake = misfit_in(options) or mistake_in(options)
  if mistake then
    return nil, mistake
  end
  options.timeout = options.timeout and seconds_of(options.timeout)
  options.keep = math.tointeger(options.keep)
  options.watch = options.watch and seconds_of(options.watch)
  options.level = math.tointeger(options.level) or options.level
  return options
end

return {parse = parse, parser = new_parser}
