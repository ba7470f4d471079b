-- Documents with errors that spec/docs/docs_spec.lua must find.

local files = require "support.files"
local process = require "support.process"
local sandbox = require "docs.sandbox"
local sim = require "support.sim"
local suite = require "docs.suite"

describe("the blocks of a document", function()
  after_each(sim.clean)

  -- The problems in a document with these blocks, without the file name.
  local function problems(...)
    local path = os.tmpname()
    files.write(path, table.concat({...}, "\n"))
    local found = suite.problems(path)
    os.remove(path)
    for i, problem in ipairs(found) do
      found[i] = problem:gsub(path:gsub("%p", "%%%0") .. ":", "")
    end
    return found
  end

  local VM = '<!-- given\n$ simulate linux1\n> vm = qvm.vm "linux1"\n-->'

  local it = sim.can_signal and it or pending

  it("leave no process running", function()
    local box = sandbox.open()
    assert.are.equal(0, (box:run("simulate linux1; sleep 1000 &")))
    assert.is_true(box:type {"x = 1"})
    local _, printed = box:run("ps -o pid= -s $$")
    assert.is_true(#printed >= 4) -- the shell, a VM, sleep, an interpreter
    box:close()
    for _, line in ipairs(printed) do
      assert.is_true(process.eventually(function()
        local file <close> = io.open(("/proc/%d/stat"):format(line))
        return (file and file:read("a") or ""):match("%) ([^Z])") == nil
      end, 5), line)
    end
  end)

  it("pass if they are true", function()
    assert.are.same({}, problems(VM,
      "```", "> vm", "VM linux1 (/tmp/vms/linux1)", "> for i = 1, 2 do", ">> print(i)", ">> end",
      "1", "2", "> for cpu in vm:env():vcpus() do print(cpu) end",
      "vCPU 0: tid 1, last known ip 0xffff800010081234", "...", "```",
      "```lua", "local state <const> = vm:state()", "print(vm.name, state)", "```",
      "<!-- output -->", "```", "linux1\trunning", "```",
      "```", "$ echo 1; echo 2; \\", "  echo three four", "1", "...", "three ...", "$ true", "```",
      "```sh", "mkdir /tmp/x    # a directory", "test -d /tmp/x", "```",
      "<!-- not run: no such program -->", "```", "$ pidin", "```"))
  end)

  it("fail if a word of the output differs", function()
    local found = problems(VM, "```", "> vm:state()", "suspended", "```",
      "```", "$ echo one", "one", "$ echo two", "too", "```")
    assert.are.equal(2, #found)
    assert.are.equal(
      "7: this line was not printed:\nsuspended\nwas printed:\n> vm:state()\nrunning", found[1])
    assert.matches("^13: this line was not printed:\ntoo\n", found[2])
  end)

  it("fail if they show less or more than is printed", function()
    local found = problems("```", "$ echo one; echo two", "one", "```",
      "```", "$ echo one", "one", "two", "```", "```", "$ echo one", "```",
      "```", "$ echo one; echo two; echo three", "...", "two", "```")
    assert.are.equal(4, #found)
    assert.matches("^4: more was printed than is shown", found[1])
    assert.matches("^8: this line was not printed:\ntwo", found[2])
    assert.matches("^12: more was printed than is shown", found[3])
    assert.matches("this line was not printed:\ntwo", found[4])
  end)

  it("fail if a function does not exist", function()
    local found = problems(VM, "```lua", "print(vm:name_that_is_not())", "```",
      "```lua", "print(", "```")
    assert.are.equal(2, #found)
    assert.matches("^6: attempt to call a nil value %(method 'name_that_is_not'%)", found[1])
    assert.matches("^9: unexpected symbol near <eof>", found[2])
  end)

  it("fail if a loop that prints has no iterations", function()
    local found = problems(VM, "```lua", "for name in vm:nodes() do", "  print(name)", "end",
      "for name in pairs {} do", "  print(name)", "end", "```")
    assert.are.equal(1, #found)
    assert.matches("^10: the block did not get to this line", found[1])
  end)

  it("fail if a command fails", function()
    local found = problems("```sh", "true", "cat /tmp/nothing", "true", "```",
      "```", "$ true", "```", "## Another chapter", "```", "$ false", "```")
    assert.are.equal(3, #found)
    assert.matches("^1: a command failed:\ncat: /tmp/nothing: No such file", found[1])
    assert.matches("the shell of this chapter has ended", found[2])
    assert.matches("^11: this failed", found[3])
  end)

  it("fail if they are neither run nor marked, or no reason is given", function()
    local found = problems("```", "pidin", "```", "```python", "print(1)", "```",
      "<!-- not run: -->", "```", "pidin", "```")
    assert.are.equal(3, #found)
    assert.matches("^1: neither run nor marked", found[1])
    assert.matches("^4: neither run nor marked", found[2])
    assert.matches("why a block is not run", found[3])
    assert.has_error(function() problems("<!-- givven", "$ true", "-->") end)
  end)
end)
