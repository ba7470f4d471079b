-- vm:dump reports early what prevents a dump: the configuration, the directory, the disk.

local core = require "qvm.core"
local files = require "support.files"
local qvm = require "qvm"
local sim = require "support.sim"
local clock = require("system").monotime

local it = sim.can_signal and it or pending

describe("vm:dump", function()
  local dumps, free_space = nil, core.free_space

  before_each(function()
    qvm.root(sim.root())
    dumps = files.mkdir("dumps")
  end)

  after_each(function()
    core.free_space = free_space
    sim.clean()
  end)

  -- A VM whose configuration has these lines.
  local function start(lines)
    local vm = sim.start("linux1", "ram 1M\ncpu\ncpu\n" .. (lines or "dump " .. dumps))
    return qvm.vm("linux1"), files.path("linux1.qvmconf"), vm
  end

  local function assert_nothing_sent(vm)
    assert.is_nil(vm:log_text():find("dump", 1, true))
    assert.are.same({}, files.list(dumps))
  end

  it("takes the directory from the configuration", function()
    local vm, path = start()
    for _, conf in ipairs {path, assert(qvm.conf.load(path))} do
      local dump <close> = assert(vm:dump {conf = conf})
      assert.are.equal(dumps, dump.path:match("^(.*)/"))
    end
    files.symlink(dumps, "link")
    local dump <close> = assert(vm:dump {conf = path, dir = files.path("link") .. "/"})
    assert.is_true(dump.complete)
  end)

  it("sends nothing if the configuration has no dump option", function()
    local vm, path, process = start("logger info stderr")
    local dump, message, code = vm:dump {dir = dumps, conf = path}
    assert.is_nil(dump)
    assert.are.equal("unsupported", code)
    assert.are.equal(("linux1: %s has no `dump` option: this VM writes no dumps"):format(path),
      message)
    assert_nothing_sent(process)
  end)

  it("sends nothing if dumps go to a command or to another directory", function()
    local vm, _, process = start()
    local function try(option, dir)
      local path = files.write("other.qvmconf", "system linux1\nram 1M\n" .. option .. "\n")
      return vm:dump {dir = dir, conf = path}
    end
    local dump, message, code = try('dump "|gzip >dump.gz"', dumps)
    assert.is_nil(dump)
    assert.are.equal("unsupported", code)
    assert.matches("go to a command, not to a file .*other.qvmconf:3%)", message)
    dump, message, code = try("dump " .. files.mkdir("elsewhere"), dumps)
    assert.is_nil(dump)
    assert.are.equal("not_found", code)
    assert.matches("go to .*/elsewhere %(.*other.qvmconf:3%), not to .*/dumps$", message)
    dump, message, code = try("dump relative")
    assert.is_nil(dump)
    assert.are.equal("not_found", code)
    assert.matches('"relative", is relative .*pass it as `dir`', message)
    assert_nothing_sent(process)
  end)

  it("sends nothing if the configuration is another VM's, or cannot be read", function()
    local vm, _, process = start()
    local path = files.write("other.qvmconf", "system linux2\ndump " .. dumps .. "\n")
    local dump, message, code = vm:dump {conf = path}
    assert.is_nil(dump)
    assert.are.equal("not_found", code)
    assert.matches('other.qvmconf is the configuration of another VM, "linux2"$', message)
    assert.are.equal("not_found", select(3, vm:dump {dir = dumps, conf = files.path("none")}))
    assert.are.equal("malformed", select(3, vm:dump {dir = dumps,
      conf = files.write("bad.qvmconf", 'system "linux1')}))
    assert_nothing_sent(process)
  end)

  it("does not judge a directory that this process cannot see", function()
    local vm = start()
    local path = files.write("other.qvmconf", "system linux1\ndump /nowhere/on/this/host\n")
    local dump <close> = assert(vm:dump {dir = dumps, conf = path})
    assert.is_true(dump.complete)
  end)

  it("begins the progress at once, and says after 5 s what to check", function()
    local vm = start()
    local elsewhere, notes, began = files.mkdir("elsewhere"), {}, clock()
    local dump, message, code = vm:dump {dir = elsewhere, timeout = 6,
      progress = function(bytes, total, note)
        notes[#notes + 1] = {clock() - began, bytes, total, note}
      end}
    assert.is_nil(dump)
    assert.are.equal("timeout", code)
    assert.is_true(notes[1][1] < 1)
    assert.are.same({0, nil, nil}, table.move(notes[1], 2, 4, 1, {}))
    assert.is_true(notes[2][1] >= 5)
    local advice = ("its dumps go to %s (%s:5), not to %s"):format(dumps,
      files.path("linux1.qvmconf"), elsewhere)
    assert.are.equal(("linux1: no dump in %s so far: %s"):format(elsewhere, advice), notes[2][4])
    assert.are.equal(2, #notes)
    assert.are.equal(("linux1: no dump in %s within 6 s: %s"):format(elsewhere, advice), message)
  end)

  it("says that the running VM has no dump option", function()
    local vm, path = start("logger info stderr")
    local _, message = vm:dump {dir = dumps, timeout = 0.3}
    assert.matches(path .. " has no `dump` option: this VM writes no dumps", message, 1, true)
  end)

  it("gives general advice if the running configuration cannot be read", function()
    local vm, path = start()
    os.remove(path)
    local _, message = vm:dump {dir = files.mkdir("elsewhere"), timeout = 0.3}
    assert.matches("within 0.3 s: does the VM's configuration have a `dump` option, and does it "
      .. "name this directory?", message, 1, true)
  end)

  it("says that the VM is stuck, where that is why no dump came", function()
    local vm, _, process = start()
    process:tell("hang")
    local none, message, code = vm:dump {dir = dumps, timeout = 0.3}
    assert.is_nil(none)
    assert.matches("^linux1: no dump in .* the VM's process does not answer %(it is stuck%)$",
      message)
    assert.are.equal("timeout", code)
  end)

  it("says that the process ended, where another one serves the VM or none does", function()
    local vm, _, process = start("logger info stderr")
    local notes = {}
    local function after_request(event)
      local is_done
      return vm:dump {dir = dumps, timeout = 6, progress = function(_, _, note)
        notes[#notes + 1] = note
        if not is_done then
          is_done = true
          event()
        end
      end}
    end
    local none, message, code = after_request(function()
      process:stop("KILL")
      process = sim.start("linux1", "ram 1M\ncpu\nlogger info stderr")
    end)
    assert.are.same({nil, "linux1: its process ended before the dump was complete", "gone"},
      {none, message, code})
    repeat until vm:pid() == process.pid
    none, message, code = vm:dump {dir = dumps, timeout = 0.3, progress = function()
      process:stop("TERM")
    end}
    assert.are.same({nil, "gone"}, {none, code})
    assert.matches("within 0.3 s: the VM is rebooting or off: it has no env$", message)
    assert.are.same({}, notes)
  end)

  it("does not take an older dump for its answer that was removed while it was written", function()
    local vm, _, process = start()
    local path = dumps .. os.date "/linux1-%Y%m%d-%H%M%S.gcore"
    local older = assert(io.open(path, "w"))
    assert(os.remove(path))
    process:tell("hang")
    local _, _, code = vm:dump {dir = dumps, timeout = 0.3, progress = function()
      if io.type(older) == "file" then
        older:close()
      end
    end}
    assert.are.equal("timeout", code)
  end)

  it("sends nothing if the disk is full", function()
    local vm, _, process = start()
    core.free_space = function() return 0 end
    local dump, message, code = vm:dump {dir = dumps}
    assert.are.same({dumps .. ": its disk is full", "io"}, {message, code})
    assert.is_nil(dump)
    assert_nothing_sent(process)
  end)

  it("notes that the disk is too small for the memory or the dump", function()
    local vm, path = start("set sim-dump-seconds 1\ndump " .. dumps)
    local notes = {}
    local function progress(_, _, note)
      notes[#notes + 1] = note
    end
    core.free_space = function() return 1000 end
    local dump <close> = assert(vm:dump {conf = path, progress = progress})
    assert.are.same({dumps .. ": its disk is full: 1000 bytes free"}, notes)
    assert.is_true(dump.complete)
    core.free_space = function() return 1 << 20 end
    path = files.write("large.qvmconf", "system linux1\nram 2G\ndump " .. dumps .. "\n")
    local other <close> = assert(vm:dump {conf = path, progress = progress})
    assert.are.equal(dumps .. ": its disk has 1 MiB free for 2 GiB: too little, unless the dump "
      .. "has large holes", notes[2])
    assert.is_true(other.complete)
    core.free_space = function() return 500 end
    local third <close> = assert(vm:dump {dir = dumps, progress = progress})
    assert.are.equal(dumps .. ": its disk is full: 500 bytes free", notes[3])
    assert.is_true(third.complete)
  end)

  it("says on a timeout that the disk is full", function()
    local vm = start("set sim-dump-seconds 20\ndump " .. dumps)
    core.free_space = function() return 4096 end
    local _, message = vm:dump {dir = dumps, timeout = 3}
    assert.matches("of %d+ bytes; its disk is full: 4 KiB free$", message)
  end)

  it("knows how much space is free", function()
    assert.is_true(core.free_space(dumps) > 0)
    assert.are.equal("unsupported", select(3, core.free_space("/proc")))
    assert.are.equal("not_found", select(3, core.free_space(files.path("none"))))
  end)
end)
