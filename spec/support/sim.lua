-- Simulated VMs for the specs.

local files = require "support.files"
local process = require "support.process"

local sim = {}
sim.__index = sim

local function absolute(path)
  return path:sub(1, 1) == "/" and path or require("lfs").currentdir() .. "/" .. path
end

sim.build = absolute(os.getenv("QVM_BUILD") or "build")
sim.program = sim.build .. "/sim/qvm"

-- valgrind lacks pidfd_send_signal: tests that send signals are then pending.
sim.can_signal = not os.getenv("QVM_VALGRIND")

-- The root of this test's VMs, made on first use.
function sim.root()
  return files.exists(files.path("vms")) and files.path("vms") or files.mkdir("vms")
end

-- Starts a simulated VM and waits until its env file exists. options: program, cwd, fuse = true
-- (its directory is served), wait = false (do not wait).
function sim.start(name, config, options)
  options = options or {}
  local file = files.write(name .. ".qvmconf",
    ("system %s\n%s%s\n"):format(name:find(" ", 1, true) and '"' .. name .. '"' or name,
      options.fuse and "set sim-env fuse\n" or "", config or "ram 1M\ncpu\ncpu"))
  local self = setmetatable({name = name, log = files.path(name .. ".log"),
    path = sim.root() .. "/" .. name}, sim)
  self.env_path = self.path .. "/env"
  self.process = process.start({options.program or sim.program, "@" .. file},
    {log = self.log, cwd = options.cwd, env = {QVM_ROOT = sim.root()}})
  self.pid = self.process.pid
  if options.wait ~= false then
    process.eventually(function()
      return files.exists(self.env_path) or not self.process:is_alive()
    end)
    assert(files.exists(self.env_path), "the simulator did not start: " .. self:log_text())
  end
  return self
end

-- Sends a command and waits until it has taken effect.
function sim:tell(command)
  self.process:write(command .. "\n")
  local answer = self.process:line()
  assert(answer == "ok " .. command, "no ok for " .. command .. ": " .. tostring(answer))
end

-- What the simulator recorded since the last call, as "NODE PID COMMAND".
function sim:opens()
  local list = {}
  self.process:write("opens\n")
  for line in function() return assert(self.process:line(), "no answer to opens") end do
    if line == "ok opens" then
      return list
    end
    list[#list + 1] = assert(line:match "^open (.*)$", line)
  end
end

-- Why no directory can be served here: nil if it can.
function sim.lacks_fuse()
  local probe = sim.start("probe", nil, {fuse = true, wait = false})
  local ready = process.eventually(function()
    return files.exists(probe.env_path) or not probe.process:is_alive()
  end) and files.exists(probe.env_path)
  local reason = not ready and probe:log_text():match "set sim%-env fuse: ([^\n]+)"
  sim.clean()
  return not ready and (reason or "FUSE does not work") or nil
end

function sim:signal(name)
  self.process:kill(name)
end

-- Ends it by a signal. Returns "exit" or "signal", and the status.
function sim:stop(name)
  self.process:kill(name or "TERM")
  return self.process:wait()
end

function sim:log_text()
  return files.read(self.log)
end

-- Unmounts the directories of VMs that were killed.
local function unmount()
  local unmounts = {}
  for line in io.lines("/proc/self/mounts") do
    local path = line:match "^%S+ (%S+) fuse%.qvm "
    path = path and path:gsub("\\(%d%d%d)", function(code)
      return string.char(tonumber(code, 8))
    end)
    if path and path:sub(1, #files.dir() + 1) == files.dir() .. "/" then
      unmounts[#unmounts + 1] = ("umount -l %s 2>/dev/null || fusermount3 -u -z -- %s"):format(
        process.quote(path), process.quote(path))
    end
  end
  if unmounts[1] then
    os.execute(table.concat(unmounts, "; "))
  end
end

-- Ends all VMs and removes all files of a test.
function sim.clean()
  process.clean()
  unmount()
  files.clean()
end

return sim
