-- Files that the library and its commands write: what happens to an existing file, and who
-- can read the new one.

local files = require "support.files"
local lfs = require "lfs"
local process = require "support.process"
local qvm = require "qvm"
local sim = require "support.sim"

local lua = os.getenv("LUA") or "lua5.4"

local SNAPSHOT = {{id = "1", value = true}}

local function clean()
  sim.clean()
  files.clean()
end

local function shell(text, ...)
  local status, out, errors = process.run({"sh", "-c", text, "sh", ...})
  assert.are.equal(0, status, errors)
  return out
end

local function mode_of(path)
  return shell('stat -c "%a" "$1"', path):match("%d+")
end

local function owner_of(path)
  return shell('stat -c "%u:%g" "$1"', path):match("%S+")
end

local is_root = shell("id -u"):match("%d+") == "0"
files.clean()
local as_root = is_root and it or pending

-- Runs a Lua program with the library; `...` is the path.
local function run(program, path, prefix)
  local words = {"env", "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath}
  if os.getenv("LD_PRELOAD") then
    words[#words + 1] = "LD_PRELOAD=" .. os.getenv("LD_PRELOAD")
  end
  for i, word in ipairs(prefix or {}) do
    table.insert(words, i, word)
  end
  table.move({lua, "-", path}, 1, 3, #words + 1, words)
  words[#words - 1] = files.write("program.lua",
    'local qvm, path = require "qvm", ...\n' .. program)
  return process.run(words, {cwd = lfs.currentdir()})
end

local SAVE = 'print(qvm.errata.save(path, {{id = "1", value = true}}))'

describe("a file that is replaced", function()
  after_each(clean)

  it("keeps its mode", function()
    for _, mode in ipairs {"600", "640", "664", "444"} do
      local path = files.write("baseline.json", "old")
      shell('chmod "$1" "$2"', mode, path)
      assert(qvm.errata.save(path, SNAPSHOT))
      assert.are.equal(mode, mode_of(path))
      assert.are.same(SNAPSHOT, qvm.errata.load(path))
      os.remove(path)
    end
  end)

  as_root("keeps its owner and group if permitted", function()
    local path = files.write("baseline.json", "old")
    shell('chown 1234:4321 "$1"; chmod 640 "$1"', path)
    assert(qvm.errata.save(path, SNAPSHOT))
    assert.are.equal("1234:4321", owner_of(path))
    assert.are.equal("640", mode_of(path))
  end)

  it("may have a name of any length, and a leftover temporary file beside it", function()
    local name = ("n"):rep(255)
    local path = files.path(name)
    files.write(name:sub(1, 215) .. ".new-1-0", "left")
    assert(qvm.errata.save(path, SNAPSHOT))
    assert(qvm.errata.save(path, SNAPSHOT))
    assert.are.same(SNAPSHOT, qvm.errata.load(path))
  end)

  as_root("grants no one more access if its owner or group cannot be kept", function()
    local directory = files.mkdir("shared")
    shell('chmod 755 "$1"; chown 1234 "$1"', directory)
    for before, after in pairs {["640"] = "600", ["664"] = "644", ["604"] = "600",
      ["644"] = "644", ["620"] = "600"} do
      local path = files.write("shared/baseline.json", "old")
      shell('chown 1234:4321 "$1"; chmod "$2" "$1"', path, before)
      local status, out, errors = run(SAVE, path, {"setpriv", "--reuid=1234", "--regid=1234",
        "--clear-groups"})
      assert.are.equal("0true\n", status .. out, errors)
      assert.are.equal("1234:1234", owner_of(path))
      assert.are.equal(after, mode_of(path), before)
      os.remove(path)
    end
  end)

  it("keeps its access list, and gains none", function()
    local path = files.write("baseline.json", "old")
    local acl = "import os,sys,struct;e=lambda t,p,i:struct.pack('<HHI',t,p,i);"
      .. "a=struct.pack('<I',2)+e(1,6,2**32-1)+e(2,4,1234)+e(4,0,2**32-1)+e(16,4,2**32-1)"
      .. "+e(32,0,2**32-1);"
    local status = process.run({"/usr/bin/python3", "-c", acl
      .. "os.setxattr(sys.argv[1],'system.posix_acl_access',a)", path})
    if status ~= 0 then
      return pending("needs python3 and access lists on this file system")
    end
    local show = "import os,sys;print(os.getxattr(sys.argv[1],'system.posix_acl_access').hex())"
    local before = shell("/usr/bin/python3 -c \"$1\" \"$2\"", show, path)
    assert(qvm.errata.save(path, SNAPSHOT))
    assert.are.equal(before, shell("/usr/bin/python3 -c \"$1\" \"$2\"", show, path))

    local directory = files.mkdir("inheriting") -- new files in it inherit a list
    assert.are.equal(0, (process.run({"/usr/bin/python3", "-c", acl
      .. "os.setxattr(sys.argv[1],'system.posix_acl_default',a)", directory})))
    path = files.write("inheriting/baseline.json", "old")
    shell("/usr/bin/python3 -c \"$1\" \"$2\"",
      "import os,sys;os.removexattr(sys.argv[1],'system.posix_acl_access')", path)
    shell('chmod 644 "$1"', path)
    assert(qvm.errata.save(path, SNAPSHOT))
    assert.are_not.equal(0, (process.run({"/usr/bin/python3", "-c", show, path})))
    assert.are.equal("644", mode_of(path))
  end)

  it("is the target of a link that only its owner can change", function()
    local target = files.write("target.json", "old")
    shell('chmod 640 "$1"', target)
    local path = files.symlink("target.json", "baseline.json")
    assert(qvm.errata.save(path, SNAPSHOT))
    assert.are.equal("link", lfs.symlinkattributes(path, "mode"))
    assert.are.same(SNAPSHOT, qvm.errata.load(target))
    assert.are.equal("640", mode_of(target))
    assert(qvm.errata.save(files.symlink("new.json", "dangling"), SNAPSHOT))
    assert.are.same(SNAPSHOT, qvm.errata.load(files.path("new.json")))
    assert.are.equal("not_found",
      select(3, qvm.errata.save(files.symlink("loop", "loop"), SNAPSHOT)))
  end)

  it("is not the target of a link in a directory that others can change", function()
    local directory = files.mkdir("shared")
    shell('chmod 1777 "$1"', directory)
    local target = files.write("target.json", "precious")
    local path = files.symlink(target, "shared/baseline.json")
    local saved, message, code = qvm.errata.save(path, SNAPSHOT)
    assert.is_nil(saved)
    assert.are.equal("permission", code)
    assert.are.equal(path .. ": a symbolic link in a directory that others can change is not "
      .. "followed: name the file it leads to", message)
    assert.are.equal("precious", files.read(target))
    assert.are.same({"baseline.json"}, files.list(directory))
  end)

  as_root("is not another user's file in a directory that others can change", function()
    local directory = files.mkdir("shared")
    shell('chmod 1777 "$1"', directory)
    local path = files.write("shared/baseline.json", "planted")
    shell('chmod 666 "$1"; chown 1234 "$1"', path)
    local saved, message, code = qvm.errata.save(path, SNAPSHOT)
    assert.is_nil(saved)
    assert.are.equal("permission", code)
    assert.matches("belongs to another user", message, 1, true)
    assert.are.equal("planted", files.read(path))
    shell('rm "$1"; mkfifo "$1"; chmod 666 "$1"; chown 1234 "$1"', path)
    assert.are.equal("permission", select(3, qvm.errata.save(path, SNAPSHOT)))
    shell('chown 0 "$1"', path)
    assert.are.equal("busy", select(3, qvm.errata.save(path, SNAPSHOT)))
  end)

  as_root("can be in a directory that is writable but not readable", function()
    local directory = files.mkdir("box")
    shell('chmod 733 "$1"', directory)
    local path = directory .. "/baseline.json"
    local status, out, errors = run(SAVE, path, {"setpriv", "--reuid=1234", "--regid=1234",
      "--clear-groups"})
    assert.are.equal("0true\n", status .. out, errors)
    assert.are.equal("1234:1234", owner_of(path))
  end)
end)

describe("a file that is not a regular one", function()
  after_each(clean)

  it("is written to if it is a FIFO", function()
    local fifo = files.path("fifo")
    shell('mkfifo "$1"', fifo)
    local saved, message, code = qvm.errata.save(fifo, SNAPSHOT)
    assert.are.same({nil, fifo .. ": nobody reads from it: start its reader first", "busy"},
      {saved, message, code})
    local reader = process.start({"sh", "-c", 'exec cat "$1"', "sh", fifo})
    assert(process.eventually(function() return qvm.errata.save(fifo, SNAPSHOT) end))
    reader:wait()
    assert.are.same(SNAPSHOT, qvm.errata.load(files.write("copy", files.read(reader.output))))
    assert.are.equal("named pipe", lfs.attributes(fifo, "mode"))
  end)

  it("causes an error, but no signal, if it is a FIFO whose reader leaves", function()
    local fifo = files.path("fifo")
    shell('mkfifo "$1"', fifo)
    local large = {{id = "1", value = ("x"):rep(4 << 20)}}
    local reader = process.start({"sh", "-c", 'exec head -c 100000 "$1"', "sh", fifo})
    local saved, message, code
    process.eventually(function()
      saved, message, code = qvm.errata.save(fifo, large)
      return code ~= "busy"
    end)
    reader:wait()
    assert.are.same({nil, fifo .. ": Broken pipe", "io"}, {saved, message, code})
  end)

  it("is written to if it is a character device", function()
    local path = files.symlink("/dev/null", "null")
    assert(qvm.errata.save("/dev/null", SNAPSHOT))
    assert(qvm.errata.save(path, SNAPSHOT))
    assert.are.equal("char device", lfs.attributes("/dev/null", "mode"))
    assert.are.equal("link", lfs.symlinkattributes(path, "mode"))
  end)

  it("is written to if it is standard output of any kind, in order", function()
    local program = 'io.write("before\\n") assert(qvm.errata.save(path, {})) io.write("after\\n")'
    local expected = '^before\n{\n.*\n}\nafter\n$'
    local status, out, errors = run(program, "/dev/stdout") -- a file
    assert.are.equal(0, status, errors)
    assert.matches(expected, out)
    local command = ('%s "$1" /dev/stdout'):format(lua)
    local env = {"env", "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath,
      "LD_PRELOAD=" .. (os.getenv("LD_PRELOAD") or ""), "sh", "-c"}
    for _, text in ipairs {command .. " | cat",
      "echo kept >>$2; " .. command .. ' >>"$2"; cat "$2"', command .. " >/dev/null"} do
      local words = table.move(env, 1, #env, 1, {})
      table.move({text, "sh", files.path("program.lua"), files.path("log")}, 1, 4, #words + 1,
        words)
      status, out, errors = process.run(words)
      assert.are.equal(0, status, errors)
      assert.matches(text:find("null", 1, true) and "^$"
        or text:find("kept", 1, true) and expected:gsub("^%^", "^kept\n") or expected, out)
    end
    assert.is_true(files.exists("/dev/stdout"))
  end)

  as_root("is refused if a link leads to another user's FIFO", function()
    local open, own = files.mkdir("open"), files.mkdir("own")
    shell('chmod 755 "$1"; chmod 1777 "$2"; chmod 700 "$3"', files.dir(), open, own)
    shell('setpriv --reuid=1234 --clear-groups mkfifo -m 600 "$1"/fifo', open)
    shell('ln -s "$1"/fifo "$2"/link', open, own)
    local program = 'exec 3<>"$1"; echo open; read line <&3; echo "$line"'
    local reader = process.start {"sh", "-c", program, "sh", open .. "/fifo"}
    assert.are.equal("open", reader:line())
    assert.are.equal("permission", select(3, qvm.errata.save(own .. "/link", SNAPSHOT)))
    reader:kill()
    reader:wait()
    assert.are.equal("open\n", files.read(reader.output))
  end)

  it("is refused if it was removed but is still open", function()
    local out = shell([[exec 3>"$1/gone"; rm "$1/gone"
      LUA_PATH="$3" LUA_CPATH="$4" LD_PRELOAD="$5" "$2" -e \
        'print(select(3, require "qvm".errata.save("/dev/fd/3", {})))'; ls "$1"]], files.dir(), lua,
      package.path, package.cpath, os.getenv("LD_PRELOAD") or "")
    assert.matches("^not_found\n", out)
    assert.is_nil(out:find("gone", 1, true))
  end)

  it("is refused if it is a directory or a socket", function()
    local directory = files.mkdir("directory")
    for _, path in ipairs {directory, directory .. "/"} do
      local saved, message, code = qvm.errata.save(path, SNAPSHOT)
      assert.is_nil(saved)
      assert.are.equal("unsupported", code)
      assert.matches("directory", message, 1, true)
    end
    local socket = require "socket.unix"()
    local path = files.path("socket")
    assert(socket:bind(path))
    assert.are.same({nil, path .. ": is a socket: a regular file, a FIFO or a character device "
      .. "is needed", "unsupported"}, {qvm.errata.save(path, SNAPSHOT)})
    socket:close()
    assert.are.equal("socket", lfs.attributes(path, "mode"))
  end)
end)

describe("private by its mode", function()
  after_each(clean)

  local function diag(...)
    local status, _, errors = process.run({"env", "QVM_ROOT=" .. sim.root(), lua,
      lfs.currentdir() .. "/examples/diag.lua", "linux1", ...},
      {env = {LUA_PATH = package.path, LUA_CPATH = package.cpath,
        LD_PRELOAD = os.getenv("LD_PRELOAD"), QVM_BUILD = sim.build}})
    assert.are.equal(0, status, errors)
  end

  it("is a page, which has registers and the log's text", function()
    sim.start("linux1", "ram 1M\ncpu\ncpu")
    local page = files.path("page.html")
    diag("--html", page)
    assert.are.equal("600", mode_of(page))
    shell('chmod 640 "$1"', page)
    diag("--html", page)
    assert.are.equal("640", mode_of(page))
  end)

  it("is a record", function()
    sim.start("linux1", "ram 1M\ncpu\ncpu")
    qvm.root(sim.root())
    local record = files.path("record")
    assert(qvm.record(assert(qvm.vm("linux1")), record, {conf = files.path("linux1.qvmconf")}))
    assert.are.equal("700", mode_of(record))
    assert.are.same({"env.json", "errata.json", "manifest.json", "vm.qvmconf"},
      files.list(record))
    for _, name in ipairs(files.list(record)) do
      assert.are.equal("600", mode_of(record .. "/" .. name))
    end
  end)
end)

describe("a record", function()
  after_each(clean)

  -- What happens between the creation of the directory and the first file in it: the
  -- preloaded exchange.c does it.
  local function exchanged(text)
    files.mkdir("v")
    files.write("v/env", '{"vcpus": [{"last_known_ip": 1}, {"last_known_ip": 2}]}')
    local parent = files.mkdir("shared")
    shell('chmod 1777 "$1"', parent)
    local path = parent .. "/record"
    local preload = (os.getenv("QVM_PRELOAD") or "") .. " " .. sim.build .. "/helpers/exchange.so"
    local status, out, errors = process.run({"env", "LD_PRELOAD=" .. preload,
      "QVM_EXCHANGE=" .. text, "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath, lua,
      "-e", ("local qvm = require 'qvm' qvm.root(%q) print(qvm.record(qvm.vm('v'), %q))"):format(
        files.dir(), path)})
    assert.are.equal(0, status, errors)
    return out, path
  end

  it("does not follow a link that takes the place of its directory", function()
    local victim = files.mkdir("victim")
    local out, path = exchanged(("cd %s/shared && mv record away && ln -s %s record"):format(
      files.dir(), victim))
    assert.are.same({}, files.list(victim))
    assert.matches("^nil\t" .. path:gsub("%p", "%%%0") .. ": .*\n$", out)
    assert.are.equal("link", lfs.symlinkattributes(path, "mode"))
  end)

  as_root("is not written into another user's directory", function()
    local out, path = exchanged(("cd %s/shared && mv record away && mkdir record && "
      .. "chmod 777 record && chown 1234 record"):format(files.dir()))
    assert.are.same({}, files.exists(path) and files.list(path) or {})
    assert.matches("record: was exchanged for another directory\tbusy\n$", out)
  end)
end)

describe("a dump that is awaited", function()
  after_each(clean)

  local run_it = sim.can_signal and it or pending

  run_it("is the file that was found complete, even if its name is reused", function()
    local dumps = files.mkdir("dumps")
    sim.start("linux1", "ram 1M\ncpu\ndump " .. dumps)
    sim.start("other", "ram 1M\ncpu\ndump " .. files.mkdir("others"))
    qvm.root(sim.root())
    local planted = assert(qvm.vm("other"):dump {dir = files.path("others")})
    planted:close()
    local vm, exchanged = assert(qvm.vm("linux1")), 0
    -- progress is called between the check of a file and its opening.
    local function exchange(bytes, total)
      for _, name in ipairs(files.list(dumps)) do
        local path = dumps .. "/" .. name
        if bytes == total and lfs.symlinkattributes(path, "mode") == "file" then
          exchanged = exchanged + 1
          shell('ln -s "$1" "$2.new"; mv -T "$2.new" "$2"', planted.path, path)
        end
      end
    end
    -- Exchanged before it was closed, it is refused, and the call times out.
    local dump
    for _ = 1, 20 do
      dump = vm:dump {dir = dumps, timeout = 1, progress = exchange}
      if dump then
        assert.are.equal("simulated guest linux1", dump:cstring(0x80000000))
        assert.are.equal("link", lfs.symlinkattributes(dump.path, "mode"))
        dump:close()
        break
      end
    end
    assert(dump and exchanged > 0, exchanged)
  end)
end)
