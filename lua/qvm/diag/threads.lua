-- The threads of the host that run vCPUs, as reports have them; and which of them are starved.

local threads = {}

local THREADS_MAX = 1024 -- that are asked about; a hostile env can list 65536 vCPUs

-- Nanoseconds as seconds, exactly: "12.000345678".
local function in_seconds(nanoseconds)
  return ("%d.%09d"):format(nanoseconds // 1000000000, nanoseconds % 1000000000)
end

-- Failures that concern one vCPU. After any other there is no use in asking about the next.
local OF_ONE = {not_found = true}

-- Adds `thread`, or `thread_unknown` and why, to the vCPUs of a report. The list has those of
-- env:vcpus(), in the same order.
function threads.add(list, env)
  local why
  for i, about in ipairs(list) do
    local thread, message, code
    why = why or i > THREADS_MAX
      and ("only the first %d vCPUs are asked about"):format(THREADS_MAX)
    if not why then
      thread, message, code = env:vcpu(about.index):thread()
    end
    if thread then
      about.thread = {cpu_time = in_seconds(thread.cpu_time), priority = thread.priority,
        name = thread.name, state = thread.state}
    else
      about.thread_unknown = why or message
      why = why or not OF_ONE[code] and message or nil
    end
  end
end

-- Can the thread run, as far as it is concerned? Linux calls it running either way.
local IS_READY = {running = true, ready = true}

local function is_starved(before, now)
  return before and now and IS_READY[before.state] and IS_READY[now.state]
    and before.cpu_time == now.cpu_time or false
end

-- Marks the threads in the report of a VM that are starved: ready, but without any time on a
-- processor since the last report. A thread that was ready then cannot have waited for anything
-- since, as it would have had to run for that. `known` is a table for the use of this function;
-- it keeps the threads of each VM. One that restarted since has other threads.
function threads.mark_starved(known, about)
  local before, now = known[about.name] or {}, {}
  for _, cpu in ipairs(about.vcpus or {}) do
    if about.pid and cpu.thread then
      local id = ("%d %d"):format(about.pid, cpu.tid)
      cpu.thread.is_starved = is_starved(before[id], cpu.thread)
      now[id] = cpu.thread
    end
  end
  known[about.name] = now
end

-- The number of starved threads in the report of a VM.
function threads.count_starved(about)
  local count = 0
  for _, cpu in ipairs(about.vcpus or {}) do
    count = count + (cpu.thread and cpu.thread.is_starved and 1 or 0)
  end
  return count
end

-- The names of the states in which a thread can run.
threads.IS_READY = IS_READY

return threads
