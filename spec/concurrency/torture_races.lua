-- Sends signals while VMs die and their process IDs are reused, as fast as the machine can:
-- see churn.c and caller.lua.

local files = require "support.files"
local namespace = require "concurrency.namespace"

local COUNT = math.tointeger(os.getenv("QVM_TRIGGERS") or 10000)

local options = "--pid --fork --mount-proc"
local can = namespace.can(options, "echo 300 >/proc/sys/kernel/ns_last_pid")

-- Four VMs with one caller each. Two callers pause between finding the process and
-- signalling it; the last VM is the simulator.
local script = [[
  each=$1
  mkdir "$QVM_ROOT"
  mkfifo "$work/end"
  cp "$build/concurrency/churn" "$work/qvm"
  "$work/qvm" "$QVM_ROOT" "$work/board" 4 "$build/sim/qvm" <"$work/end" 2>"$work/log" &
  churn=$!
  exec 3>"$work/end"
  until [ -s "$work/board" ]; do sleep 0.01; done
  call() { "$lua" "$specs/concurrency/caller.lua" "$work/board" "$@"; }
  callers=
  cp "$build/concurrency/delay.so" "$work" # LD_PRELOAD is split at spaces
  LD_PRELOAD="$work/delay.so" call 0 "$each" & callers="$callers $!"
  LD_PRELOAD="$work/delay.so" call 1 "$each" & callers="$callers $!"
  call 2 "$each" & callers="$callers $!"
  call 3 "$each" simulated & callers="$callers $!"
  status=0
  for caller in $callers; do wait "$caller" || status=1; done
  exec 3>&-
  wait "$churn" || echo "churn: status $?" >&2
  grep -v "^d " "$work/log" >&2 || true
  exit $status
]]

local function read_board()
  local board = files.read(files.path("board"))
  local names = {"bystanders", "reused", "misdelivered", "deaths"}
  local result = {}
  for i, name in ipairs(names) do
    result[name] = ("i8"):unpack(board, i * 8 - 7)
  end
  for vm = 1, 4 do
    local received, ending, ended = ("i8i8i8"):unpack(board, 9 + vm * 24)
    assert.are.equal(ending, ended)
    result[vm] = {received = received, lives = ended}
  end
  return result
end

-- The callers' figures, in the order of their VMs.
local function read_figures(out)
  local result = {}
  for line in out:gmatch("[^\n]+") do
    local figures = assert(load("return " .. line, line, "t"))()
    result[figures.vm + 1] = figures
  end
  return result
end

local function report(board, figures)
  local sum = {}
  for _, one in ipairs(figures) do
    for name, value in pairs(one) do
      sum[name] = (sum[name] or 0) + value
    end
  end
  local lives = 0
  for _, vm in ipairs(board) do
    lives = lives + vm.lives
  end
  print(("%d triggers: %d sent (%d while dying), %d not sent because the process died; "
    .. "%d lives, %d ids given to bystanders"):format(sum.sent + sum.late, sum.sent, sum.dying,
    sum.late, lives, board.reused))
end

describe("signals to VMs that die continuously", function()
  after_each(files.clean)

  local test = can and it or pending

  test("reach the VM or no process, and every reported success arrives", function()
    files.dir()
    local out = namespace.run(options, script, {COUNT // 4})
    local board, figures = read_board(), read_figures(out)
    assert.are.equal(4, #figures)
    report(board, figures)
    assert.are.same({misdelivered = 0, deaths = 0},
      {misdelivered = board.misdelivered, deaths = board.deaths},
      "bystanders caught signals or died of them")
    for vm = 1, 4 do
      assert.are.equal(0, figures[vm].other, files.read(files.path("errors")))
    end
    for vm = 1, 3 do
      -- The signals received equal those reported, less those sent to dying processes.
      assert.are.equal(figures[vm].sent - figures[vm].dying, board[vm].received)
      assert.is_true(figures[vm].dying < figures[vm].sent / 4)
    end
    -- The simulator's log has an entry for every status that it answered.
    local _, statuses = files.read(files.path("log")):gsub("d info: status %d+ ", "")
    assert.is_true(statuses > 0 and statuses <= figures[4].status)
    -- Checks that the VMs did die as often as intended.
    assert.is_true(board.reused > board.bystanders / 2)
    for vm = 1, 4 do
      assert.is_true(board[vm].lives > COUNT / 1000, "VM " .. vm .. " lived too long")
    end
  end)
end)
