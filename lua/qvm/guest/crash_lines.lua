-- What the lines of crash reports look like that Linux kernels 3.11 to 7.2 print on x86_64 and
-- aarch64: kernel/panic.c (panic, WARN), arch/x86/kernel/dumpstack.c and arch/x86/mm/fault.c,
-- arch/arm64/kernel/traps.c and arch/arm64/mm/fault.c (oops, BUG), kernel/watchdog.c,
-- kernel/rcu/tree_stall.h, kernel/hung_task.c, mm/oom_kill.c, lib/dump_stack.c ("CPU: ...").
-- Patterns match the beginning of a line, so that a line that quotes another is not taken for
-- it. Some take time in proportion to the square of a line's length, so they see only the
-- beginning of a long one.

local lines = {}

-- Lines that say what a report is about: kind, pattern, names of the captures (from: where the
-- message begins). They are ordered by their first character, as most messages are none of
-- these. The first pattern that matches counts.
local HEADS = {
  K = {
    {"panic", "^Kernel panic %- not syncing: ()", "from"},
    {"bug", "^Kernel BUG at "}},
  B = {
    {"oops", "^BUG: kernel NULL pointer dereference"},
    {"oops", "^BUG: unable to handle "},
    {"lockup", "^BUG: soft lockup %- CPU#(%d+) stuck for %d+s! %[(.*):(%d+)%]", "cpu", "name",
      "pid"},
    {"lockup", "^BUG: workqueue lockup"},
    {"lockup", "^BUG: spinlock lockup suspected on CPU#(%d+), (.*)/(%d+)", "cpu", "name", "pid"},
    {"bug", "^BUG: "}},
  U = {{"oops", "^Unable to handle kernel "}, {"warning", "^UBSAN: "}},
  I = {
    {"oops", "^Internal error: .* %[#%d+%]"},
    {"hung", "^INFO: task (.*):(%d+) blocked .-for more than %d+ seconds", "name", "pid"},
    {"stall", "^INFO: rcu[%w_]* self%-detected stall on CPU"},
    {"stall", "^INFO: rcu[%w_]* detected .-stalls on "}},
  k = {{"bug", "^kernel BUG at "}},
  w = {
    {"lockup", "^watchdog: BUG: soft lockup %- CPU#(%d+) stuck for %d+s! %[(.*):(%d+)%]", "cpu",
      "name", "pid"},
    {"lockup", "^watchdog: .-Watchdog detected hard LOCKUP on cpu (%d+)", "cpu"}},
  N = {
    {"lockup", "^NMI watchdog: BUG: soft lockup %- CPU#(%d+) stuck for %d+s! %[(.*):(%d+)%]",
      "cpu", "name", "pid"},
    {"lockup", "^NMI watchdog: Watchdog detected hard LOCKUP on cpu (%d+)", "cpu"}},
  r = {
    {"stall", "^rcu: INFO: rcu[%w_]* self%-detected stall on CPU"},
    {"stall", "^rcu: INFO: rcu[%w_]* detected .-stalls on CPUs/tasks: { (%d+)%-", "cpu"},
    {"stall", "^rcu: INFO: rcu[%w_]* detected .-stalls on "}},
  O = {
    {"oom", "^Out of memory.-: Kill%a* process (%d+) %((.*)%)", "pid", "name"}},
  M = {
    {"oom", "^Memory cgroup out of memory: Kill%a* process (%d+) %((.*)%)", "pid", "name"}},
  W = {
    {"warning", "^WARNING: CPU: (%d+) PID: %d+ at ", "cpu"},
    {"warning", "^WARNING: .-at [^,]*, CPU#(%d+): (.*)/(%d+)$", "cpu", "name", "pid"},
    {"warning", "^WARNING: possible .* detected"},
    {"warning", "^WARNING: inconsistent lock state"},
    {"warning", "^WARNING: bad unlock balance detected"},
    {"warning", "^WARNING: suspicious RCU usage"},
    {"lockup", "^Watchdog detected hard LOCKUP on cpu (%d+)", "cpu"}},
}

-- The first line of an exception on x86: "general protection fault, ...: 0000 [#1] SMP".
local EXCEPTION = "^%a.*: %x%x%x%x+ %[#%d+%]"

-- Lines that begin a report, before the line that says what it is about.
lines.CUT_HERE = "^%-+%[ cut here %]%-+"
local OPENINGS = {
  lines.CUT_HERE, "^=====+$", " invoked oom%-killer: ", "^SError Interrupt on CPU",
  "^Insufficient stack space to handle exception", "^Bad mode in .* detected on CPU",
  "^Unhandled .- exception on CPU", "^sysrq: .*Trigger a crash", "^traps: PANIC: double fault",
  "^Uhhuh%. NMI received", "^NMI: .* error"}

-- The reports of KASAN and its relatives end with the line of "=" that begins them.
lines.FRAMED = "^BUG: K%u+: "

-- Lines that may follow the call trace in a report without such an end: the trace's entries
-- and registers.
local AFTER_TRACE = {"^%s", "^%u[%u%d_]*:", "^Code: ", "^x%d+ ?: "}

local function matches_one(text, patterns)
  for _, pattern in ipairs(patterns) do
    if text:find(pattern) then
      return true
    end
  end
  return false
end

-- Does a line begin a report?
function lines.is_opening(text)
  return matches_one(text, OPENINGS)
end

-- May a line follow the call trace in a report?
function lines.is_after_trace(text)
  return matches_one(text, AFTER_TRACE)
end

local HEAD_MAX = 512 -- bytes of a line in which a head is found

-- The head in a line: kind, message, and cpu, name, pid if the line has them; or nil.
function lines.head_of(text)
  local beginning = text:sub(1, HEAD_MAX)
  for _, entry in ipairs(HEADS[text:sub(1, 1)] or {}) do
    local found = {beginning:match(entry[2])}
    if found[1] then
      local head = {kind = entry[1]}
      for i = 3, #entry do
        head[entry[i]] = found[i - 2]
      end
      head.message = text:sub(head.from or 1)
      return head
    end
  end
  return beginning:find(" [#", 1, true) and beginning:find(EXCEPTION)
    and {kind = "oops", message = text}
end

-- The kernel's line about who runs: "CPU: 1 PID: 7 Comm: name Not tainted ...", since 6.11
-- with the user's id. A name may contain blanks.
function lines.runner_of(text)
  local cpu, pid, rest = text:match("^CPU: (%d+) PID: (%d+) Comm: (.*)")
  if not cpu then
    cpu, pid, rest = text:match("^CPU: (%d+) UID: %d+ PID: (%d+) Comm: (.*)")
  end
  if not cpu then
    return nil
  end
  local last = #rest
  for _, after in ipairs {" Kdump: loaded ", " Not tainted", " Tainted: "} do
    last = math.min(last, (rest:find(after, 1, true) or #rest + 1) - 1)
  end
  return {cpu = cpu, pid = pid, name = rest:sub(1, last)}
end

return lines
