-- Gets Debian's cloud kernel and busybox for any architecture without changing the machine:
-- apt uses the machine's keys, and its sources or those of another suite in the same
-- archive, but a separate state in which the other architecture is the only one.

local files = require "support.files"
local lfs = require "lfs"
local process = require "support.process"

local packages = {}

-- Modules for the guest: the first gives VMCOREINFO to QEMU, the others handle the power button.
packages.modules = {"qemu_fw_cfg", "button", "evdev"}

-- Read after the machine's own configuration. Omits the machine's hooks after an update,
-- which would change its state.
local configuration = [[
Dir::State "%s";
Dir::State::status "%s/status";
Dir::Cache "%s";
APT::Architecture "%s";
#clear APT::Architectures;
APT::Architectures { "%s"; };
#clear APT::Update;
APT::Sandbox::User "root";
Acquire::Languages "none";
]]

-- Runs a shell command in a directory and returns its output; raises if it fails.
function packages.shell(dir, command, ...)
  local words = {...}
  for i, word in ipairs(words) do
    words[i] = process.quote(word)
  end
  command = command:format(table.unpack(words))
  local status, output, errors = process.run({"sh", "-c", command}, {cwd = dir})
  if status ~= 0 then
    error(("%s: status %s\n%s%s"):format(command, status, output, errors), 0)
  end
  return output
end

local shell = packages.shell

-- A source list with one suite of the archive in the machine's own sources.
local function write_sources(dir, suite)
  for site, component in shell(dir, "apt-get indextargets --format %s", "$(SITE) $(COMPONENT)")
    :gmatch("(%S+) (%S+)\n") do
    if component == "main" and site:find("/debian$") then
      files.write(dir .. "/sources", ("deb [signed-by=%s] %s %s main\n"):format(
        "/usr/share/keyrings/debian-archive-keyring.gpg", site, suite))
      files.append(dir .. "/apt.conf",
        ('Dir::Etc::sourcelist "%s/sources";\nDir::Etc::sourceparts "-";\n'):format(dir))
      return
    end
  end
  error("apt's sources have no Debian archive", 0)
end

local function prepare(dir, architecture, suite)
  shell(".", "rm -rf %s; mkdir -p %s %s", dir, dir .. "/lists/partial", dir .. "/archives/partial")
  files.write(dir .. "/status", "")
  files.write(dir .. "/apt.conf",
    configuration:format(dir, dir, dir, architecture, architecture))
  if suite then
    write_sources(dir, suite)
  end
end

-- The packages that contain the kernel: the one that the package with the stable name
-- depends on, and those that later releases split from it.
local function kernel_packages(dir, name)
  local output = shell(dir, "apt-cache -c apt.conf depends %s", name)
  local kernel = output:match("Depends: (linux%-image%-%S+)")
    or error("no package below " .. name, 0)
  local list = {kernel}
  for part in shell(dir, "apt-cache -c apt.conf depends %s", kernel)
    :gmatch("Depends: (linux%-%l+%-%S+)") do
    if part:find("^linux%-binary%-") or part:find("^linux%-modules%-") then
      list[#list + 1] = part
    end
  end
  return list
end

-- The only file below "root" that matches a pattern of find's -path, or nil.
local function find(dir, pattern)
  return shell(dir, "find root -type f -path %s | sort | head -n 1", pattern):match("[^\n]+")
end

local function keep(dir, pattern, name)
  local path = find(dir, pattern) or error("no " .. pattern .. " in the packages", 0)
  shell(dir, "mv %s %s", path, name)
end

local function unpack_all(dir)
  shell(dir, 'for deb in *.deb; do dpkg-deb -x "$deb" root || exit; done')
  keep(dir, "*/vmlinuz*", "kernel")
  keep(dir, "*bin/busybox", "busybox")
  if find(dir, "*/config-*") then
    keep(dir, "*/config-*", "config")
  end
  for _, name in ipairs(packages.modules) do
    local module = find(dir, ("*/%s.ko*"):format(name)) -- absent: it is built into the kernel
    if module then
      shell(dir, module:find("%.xz$") and "xz -dc %s >%s" or "mv %s %s", module, name .. ".ko")
    end
  end
end

-- Fills a directory (an absolute path) with kernel, busybox, config, the modules that the
-- packages have, and "name": the kernel's package, on which the package `image` depends.
-- suite: a suite other than the machine's own, or nil. A complete directory is left
-- unchanged.
function packages.get(dir, architecture, image, suite, progress)
  if lfs.attributes(dir .. "/name") and lfs.attributes(dir .. "/evdev.ko") then
    return
  end
  progress(("fetching %s (%s)"):format(image, architecture))
  prepare(dir, architecture, suite)
  -- A failing source, such as one without this architecture, may be unneeded; if it is
  -- needed, the next step fails.
  pcall(shell, dir, "apt-get -c apt.conf update")
  local kernel = kernel_packages(dir, image)
  shell(dir, "apt-get -c apt.conf download busybox-static" .. (" %s"):rep(#kernel),
    table.unpack(kernel))
  unpack_all(dir)
  shell(dir, "rm -rf root lists archives *.deb *.bin status sources apt.conf")
  files.write(dir .. "/name", kernel[1] .. "\n")
end

return packages
