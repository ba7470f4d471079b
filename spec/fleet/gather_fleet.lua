-- examples/fleet end to end: Ansible queries several boards, and the report lists them. All
-- boards are on this machine, each with its own simulated VMs; one board is unreachable,
-- and on one the command is missing.

local cjson = require "cjson"
local files = require "support.files"
local lfs = require "lfs"
local process = require "support.process"
local sim = require "support.sim"

local lua = os.getenv("LUA") or "lua5.4"
local here = lfs.currentdir()

local inventory = [=[
[boards]
board[1:4]
board5 qvm_diag="/no such/qvm-diag"
board6 ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1
board7 qvm_root="%s/a root's name"

[boards:vars]
ansible_connection=local
qvm_diag=%s/examples/diag.lua
qvm_root=%s/{{ inventory_hostname }}
]=]

local config =
  "set sim-erratum-843419 %s\nset sim-erratum-9 9223372036854775809\nram 1M\ncpu\ncpu"

describe("a fleet", function()
  after_each(sim.clean)

  local function start(root, name, text)
    local path = files.exists(files.path(root)) and files.path(root) or files.mkdir(root)
    local file = files.write("sim.conf", ("system %s\n%s\n"):format(name, text))
    process.start({sim.program, "@" .. file}, {env = {QVM_ROOT = path}})
    assert(process.eventually(function() return files.exists(path .. "/" .. name .. "/env") end))
  end

  local function environment()
    return {QVM_BUILD = sim.build, LD_PRELOAD = os.getenv("LD_PRELOAD"), HOME = files.dir(),
      LC_ALL = "C.UTF-8", ANSIBLE_LOCALHOST_WARNING = "False", ANSIBLE_NOCOLOR = "1",
      ANSIBLE_HOST_KEY_CHECKING = "False"}
  end

  local function gather()
    local env = environment()
    env.LD_PRELOAD = nil
    local variables = cjson.encode {gathered = files.path("all boards")}
    local status, out, errors = process.run({"ansible-playbook", "-i", files.path("inventory.ini"),
      here .. "/examples/fleet/gather.yml", "-e", variables}, {env = env})
    assert.are.equal(0, status, out .. errors)
    return out
  end

  local function report()
    return process.run({lua, here .. "/examples/fleet/report.lua", files.path("all boards"),
      files.path("baselines")}, {env = environment()})
  end

  local function record(root)
    files.mkdir("baselines")
    local script = [[qvm = require "qvm"
      qvm.errata.save(arg[2], assert(qvm.errata.snapshot(qvm.root(arg[1]) and qvm.vm(arg[3]))))]]
    for _, name in ipairs {"linux1", "linux2"} do
      assert.are.equal(0, (process.run({lua, files.write("record.lua", script), files.path(root),
        files.path("baselines") .. "/" .. name .. ".json", name},
        {env = {LUA_PATH = package.path, LUA_CPATH = package.cpath,
          LD_PRELOAD = os.getenv("LD_PRELOAD")}})))
    end
  end

  it("is gathered, compared with its baselines, and gathered again", function()
    for _, root in ipairs {"board1", "board2", "board3", "board4", "a root's name"} do
      start(root, "linux1", config:format(root == "board2" and "off" or "on"))
      if root ~= "board3" then
        start(root, "linux2", config:format("auto"))
      end
    end
    files.write("inventory.ini", inventory:format(files.dir(), here, files.dir()))
    gather()
    record("board1")
    local names = {"board1.json", "board2.json", "board3.json", "board4.json", "board5.json",
      "board6.json", "board7.json", "boards"}
    assert.are.same(names, files.list(files.path("all boards")))
    local direct, listing = process.run({here .. "/examples/diag.lua", "--list", "--json",
      "--root", files.path("a root's name")}, {env = environment()})
    assert.are.equal(0, direct)
    assert.are.equal(listing, files.read(files.path("all boards/board7.json")) .. "\n")
    local away = cjson.decode(files.read(files.path("all boards/board6.json")))
    assert.is_true(away.unreachable)

    local status, out = report()
    assert.are.equal(1, status)
    assert.matches("^7 boards: 3 equal, 2 differ, 2 failed\n", out)
    assert.matches("\nlinux1  843419   all   on        off\n    on 1 board: board2\n", out, 1, true)
    assert.matches("\nlinux2  -        -     a VM      missing\n    on 1 board: board3\n", out, 1,
      true)
    assert.matches("\n  board5: no report, status 127: ", out, 1, true)
    assert.matches("\n  board6: unreachable: ", out, 1, true)
    assert.matches("\nequal: board1, board4, board7\n", out, 1, true)

    -- Nothing has changed, so nothing is written.
    for board in gather():gmatch("\n(%w+) +: ok=[^\n]*changed=[^0]") do
      error(board .. " was changed")
    end

    -- Unreachable boards are omitted; deviations are corrected.
    files.write("inventory.ini", (inventory:gsub("board[56] [^\n]*\n", ""):gsub("board%[1:4%]",
      "board1\nboard4")):format(files.dir(), here, files.dir()))
    gather()
    status, out = report()
    assert.are.equal("3 boards: 3 equal, 0 differ, 0 failed\n\nequal: board1, board4, board7\n",
      out)
    assert.are.equal(0, status)
  end)

  it("treats values from the boards as text", function()
    files.write("env", [[{"errata": {"{{ 7 * 7 }}": "{{ lookup('pipe', 'id') }}"},
      "vcpus": [{"tid": 1, "last_known_ip": 5}]}]])
    start("board1", "linux1", "ram 1M\ncpu\nset sim-env-template " .. files.path("env"))
    local script = files.write("says", "#!/bin/sh\necho \"{{ 7 * 7 }}\"; exit 5\n")
    os.execute("chmod 755 " .. script)
    files.write("inventory.ini", inventory:gsub("board%[1:4%]", "board1"):gsub("/no such/qvm%-diag",
      (script:gsub("%%", "%%%%"))):format(files.dir(), here, files.dir()))
    gather()
    local first = cjson.decode(files.read(files.path("all boards/board1.json")))
    assert.are.same({{id = "{{ 7 * 7 }}", value = "{{ lookup('pipe', 'id') }}"}},
      first.vms[1].errata)
    local second = cjson.decode(files.read(files.path("all boards/board5.json")))
    assert.are.same({"no report, status 5: {{ 7 * 7 }}"}, second.errors)
  end)
end)
