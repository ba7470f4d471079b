-- The manual pages of the commands and their completion in bash: docs/commands.lua.

local files = require "support.files"
local process = require "support.process"
local terminal = require "support.terminal"

local lua = os.getenv("LUA") or "lua5.4"
local quote = process.quote

-- Runs make without the variables of a make that runs these specs.
local function make(...)
  local status, output, errors = process.run {"env", "-u", "MAKEFLAGS", "-u", "MFLAGS",
    "-u", "MAKEOVERRIDES", "-u", "MAKELEVEL", "make", "-s", ...}
  assert.are.equal(0, status, output .. errors)
end

local function make_man()
  make("man", "BUILD=" .. files.path("build"))
  local names = {}
  for _, file in ipairs(files.list(files.path("build/man/man1"))) do
    names[#names + 1] = assert(file:match("^qvm%-(.*)%.1$"))
  end
  assert(#names >= 4)
  return names
end

-- The manual page of a command: its source, without troff's escapes.
local function source(name)
  return (files.read(files.path("build/man/man1/qvm-" .. name .. ".1")):gsub("\\f.", "")
    :gsub("\\%-", "-"):gsub("\\%(aq", "'"):gsub("\\%(dq", '"'):gsub("\\%(ga", "`"):gsub("\\&", ""))
end

local function help(name)
  local status, output = process.run({lua, "examples/" .. name .. ".lua", "--help"},
    {env = {QVM_BUILD = os.getenv("QVM_BUILD"), LD_PRELOAD = os.getenv("LD_PRELOAD")}})
  assert.are.equal(0, status)
  return output
end

-- A text with one blank in place of each run of blanks, commas left out.
local function words(text)
  return (text:gsub("[%s,]+", " "))
end

describe("the manual page", function()
  after_each(function()
    process.clean()
    files.clean()
  end)

  it("has all that --help has", function()
    for _, name in ipairs(make_man()) do
      local page, text = words(source(name)), help(name)
      local count = 0
      for option in text:gmatch("\n +(%-%-?%w[%w-]*)") do
        count = count + 1
        assert.is_truthy(page:find(" .TP " .. option .. " ", 1, true)
          or page:find(" " .. option .. " ", 1, true), name .. ": " .. option)
      end
      assert.is_true(count >= 2, name)
      -- Texts are the same, however they are broken into lines.
      for line in text:match("\n\n(.*)$"):gmatch("[^\n]+") do
        for word in (line:find("^%u[%a ]+:$") and "" or line):gsub("[`,]", " "):gmatch("%S+") do
          assert.is_truthy(page:find(word, 1, true), name .. ": " .. word)
        end
      end
      for _, section in ipairs {"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS",
        "SEE ALSO"} do
        assert.is_truthy(source(name):find("\n.SH " .. section .. "\n", 1, true), section)
      end
    end
  end)

  it("is formatted without a warning", function()
    for _, name in ipairs(make_man()) do
      local status, page, warnings = process.run {"groff", "-man", "-Tutf8", "-ww",
        files.path("build/man/man1/qvm-" .. name .. ".1")}
      assert.are.same({0, ""}, {status, warnings}, name)
      page = page:gsub("\27%[[%d;]*m", ""):gsub(".\b", "") -- colours, or typed twice
      page = page:gsub("\u{2212}", "-") -- where groff does not know that options are copied
      assert.is_truthy(page:find("\n +qvm%-" .. name .. " +%- +%u"), page)
      assert.is_nil(page:find("\\", 1, true))
    end
  end)

  it("prints any text as it is", function()
    local parser = require "argparse" ("qvm-x", ".dot 'quoted' back\\slash ^ ~ \"x\" a-b.",
      ".begins\n'begins\n   .example --x\n\nExit status:\n   0  .fine\n      'more")
      :usage "Usage: qvm-x [--x] <file>"
    parser:flag("--x", ".x `.code` \\fB.")
    local path = files.write("x.1", dofile("docs/commands/manual.lua").page("qvm-x", parser, {"x"}))
    local status, page, warnings = process.run {"groff", "-man", "-Tascii", "-P-c", "-P-b", "-P-u",
      "-ww", path}
    assert.are.same({0, ""}, {status, warnings})
    for _, text in ipairs {".dot 'quoted' back\\slash ^ ~ \"x\" a-b.", ".begins 'begins",
      ".example --x", ".x .code \\fB.", ".fine 'more"} do
      assert.is_truthy(words(page):find(text, 1, true), text .. "\n" .. page)
    end
  end)

  it("does not need the C module, and has the day that a packager sets", function()
    local build = files.mkdir("other")
    files.mkdir("other/man")
    files.mkdir("other/man/man1")
    files.mkdir("other/completions")
    local status, _, errors = process.run({lua, "docs/commands.lua", build, "dumpdiff"},
      {env = {SOURCE_DATE_EPOCH = "86400"}})
    assert.are.same({0, ""}, {status, errors})
    assert.matches("\n%.TH QVM\\%-DUMPDIFF 1 1970%-01%-02 ",
      files.read(build .. "/man/man1/qvm-dumpdiff.1"))
  end)

  it("is installed, with the completion", function()
    make("install", "DESTDIR=" .. files.path("to"), "PREFIX=/p",
      "BUILD=" .. (os.getenv("QVM_BUILD") or "build"))
    for _, name in ipairs {"diag", "dumpdiff", "explore", "gdbserve"} do
      assert.is_true(files.exists(files.path("to/p/share/man/man1/qvm-" .. name .. ".1")))
      assert.is_true(files.exists(files.path(
        "to/p/share/bash-completion/completions/qvm-" .. name)))
    end
  end)
end)

describe("completion in bash", function()
  after_each(function()
    terminal.clean()
    process.clean()
    files.clean()
  end)

  -- The candidates for the last of some words of a command, in a bash without a terminal.
  local function candidates(environment, ...)
    local typed = {}
    for i, word in ipairs {...} do
      typed[i] = quote(word)
    end
    local script = ("source %s\nCOMP_WORDS=(%s)\nCOMP_CWORD=%d\n_%s\n"
      .. "printf '%%s\\n' \"${COMPREPLY[@]}\"\n"):format(
      quote(files.path("build/completions/" .. ...)), table.concat(typed, " "), #typed - 1, (...))
    local status, output, errors = process.run({"bash", "--norc", "-c", script},
      {env = environment, cwd = files.dir()})
    assert.are.same({0, ""}, {status, errors})
    return (output:gsub("\n$", ""):gsub("\n", " "))
  end

  it("knows each option of each command", function()
    for _, name in ipairs(make_man()) do
      local known = " " .. candidates({}, "qvm-" .. name, "-") .. " "
      for option in help(name):gmatch("\n +(%-%-?%w[%w-]*)") do
        assert.is_truthy(known:find(" " .. option .. " ", 1, true), name .. ": " .. option)
      end
    end
    assert.are.equal("--save-baseline", candidates({}, "qvm-diag", "linux1", "--sa"))
    assert.are.equal("emerg err", candidates({}, "qvm-diag", "--dmesg", "--level", "e"))
  end)

  it("knows the VMs, and runs nothing in their names", function()
    make_man()
    local touched = files.path("touched")
    files.mkdir("vms")
    for _, name in ipairs {"linux1", "linux2", "qnx 1", "$(touch touched)", "`touch touched`"} do
      files.mkdir("vms/" .. name)
      files.write("vms/" .. name .. "/env", "{}")
    end
    files.mkdir("vms/no-env")
    local root = {QVM_ROOT = files.path("vms")}
    assert.are.equal("linux1 linux2", candidates(root, "qvm-diag", "l"))
    assert.are.equal("linux1 linux2", candidates(root, "qvm-diag", "linux1", "--watch", "l"))
    assert.are.equal("qnx\\ 1", candidates({}, "qvm-diag", "--root", files.path("vms"), "q"))
    assert.are.equal("\\`touch\\ touched\\`", candidates(root, "qvm-diag", "`"))
    assert.are.equal("\\$\\(touch\\ touched\\)", candidates(root, "qvm-diag", "$"))
    assert.matches("linux1 linux2 qnx", candidates(root, "qvm-diag", ""))
    assert.are.equal("", candidates(root, "qvm-diag", "--read", "l"))
    assert.are.equal("", candidates({QVM_ROOT = files.path("nowhere")}, "qvm-diag", "l"))
    assert.is_false(files.exists(touched))
  end)

  it("works in a terminal: options, VMs, files with blanks", function()
    make_man()
    files.mkdir("vms")
    files.mkdir("vms/linux1")
    files.write("vms/linux1/env", "{}")
    files.mkdir("some dumps")
    files.write("some dumps/one.gcore", "")
    local screen = terminal.open(20, {QVM_ROOT = files.path("vms")})
    screen:enter(("cd %s; exec bash --norc"):format(files.dir()), "Enter")
    screen:enter("PS1='% '; . build/completions/qvm-diag; . build/completions/qvm-explore",
      "Enter")
    screen:has("\n%\n")
    screen:enter("qvm-diag li", "Tab", "--save-b", "Tab")
    screen:has("% qvm-diag linux1 --save-baseline\n")
    screen:enter("", "C-u")
    screen:enter("qvm-diag --read so", "Tab", "o", "Tab")
    screen:has("% qvm-diag --read some\\ dumps/one.gcore")
    screen:enter("", "C-u")
    screen:enter("qvm-explore so", "Tab", "o", "Tab")
    screen:has("% qvm-explore some\\ dumps/one.gcore")
  end)
end)
