-- The command line of qvmlua: commands, the options of `lua`, and where modules come from.

local files = require "support.files"
local lfs = require "lfs"
local process = require "support.process"
local qvmlua = require "support.qvmlua"
local terminal = require "support.terminal"

local MIB = 1 << 20

-- Runs it; fails unless it succeeds without messages. Returns its output.
local function output(arguments, options)
  local status, out, errors = qvmlua.run(arguments, options)
  assert.are.equal("0 ", status .. " " .. errors)
  return out
end

-- Runs it; fails unless it fails. Returns its messages.
local function message(arguments, options)
  local status, out, errors = qvmlua.run(arguments, options)
  assert.are.equal("1 ", status .. " " .. out)
  return errors
end

describe("qvmlua", function()
  before_each(function() files.dir() end)
  after_each(function()
    terminal.clean()
    process.clean()
    files.clean()
  end)

  it("is one static file of less than 2.5 MiB", function()
    local size = assert(lfs.attributes(qvmlua.path, "size"), "run make qvmlua first")
    assert.is_true(size < 2.5 * MIB, ("%.2f MiB"):format(size / MIB))
    local _, headers = process.run {"readelf", "-dlW", qvmlua.path}
    assert.matches("LOAD", headers)
    assert.is_nil(headers:match("NEEDED[^\n]*") or headers:match("INTERP"))
  end)

  it("names the versions and the licences of what it contains", function()
    local version = "^qvmlua " .. require("qvm").version:gsub("%p", "%%%0")
      .. ": Lua 5%.4%.%d+, lua%-cjson %d[%d.]+, argparse %d[%d.]+, zlib %d[%d.]+\n$"
    assert.matches(version, output {"--version"})
    assert.matches(version, output {"-v"})
    local licences = output {"--licences"}
    for _, owner in ipairs {"qvm authors", "PUC%-Rio", "Mark Pulford", "Peter Melnichenko",
      "Mark Adler", "GNU C Library"} do
      assert.matches(owner, licences)
    end
    assert.matches("Permission is hereby granted", licences)
    assert.matches("from any source distribution%.\n$", licences)
  end)

  it("runs the commands by the names of their scripts", function()
    for _, name in ipairs {"diag", "dumpdiff", "explore", "gdbserve"} do
      assert.matches("^Usage: qvm%-" .. name, output {name, "--help"})
      assert.matches("COMMAND:[^\n]* " .. name, output {"--help"})
    end
    assert.matches("^qvm%-diag: .*/none: No such file",
      message {"diag", "--read", files.path("none")})
    local status, _, errors = qvmlua.run {"dumpdiff", "--none"}
    assert.are.equal(2, status)
    assert.matches("^qvm%-dumpdiff: ", errors)
  end)

  it("runs a script with its arguments", function()
    files.write("args.lua",
      "#!/usr/bin/env qvmlua\nprint(#arg, arg[0], arg[1], arg[-1], ...) os.exit(7)")
    local status, out = qvmlua.run {"-W", "args.lua", "one", "-e"}
    assert.are.equal(7, status)
    assert.are.equal("2\targs.lua\tone\t-W\tone\t-e\n", out)
    files.write("diag", "print 'a script'")
    assert.are.equal("a script\n", output {"./diag"})
  end)

  it("has the options of lua, done in their order", function()
    assert.are.equal("1\n2\n", output {"-e", "x = 1 print(x)", "-eprint(x + 1)"})
    assert.matches("^qvm 0.*\n0", output {"-l", "qvm", "-e", "print(qvm)", "-lq=qvm", "-e",
      "print(q.version)"})
    assert.are.equal("from input\ta\n", output({"-", "a"}, {input = "print('from input', ...)"}))
    assert.are.equal("3\n", output({}, {input = "print(3)"}))
    files.write("-e", "print(arg[0])")
    assert.are.equal("-e\n", output {"--", "-e"})
    local _, _, warnings = qvmlua.run {"-W", "-e", "warn 'take care'"}
    assert.are.equal("Lua warning: take care\n", warnings)
    local init = {LUA_INIT = "print 'init'"}
    assert.are.equal("init\nrun\n", output({"-e", "print 'run'"}, {env = init}))
    assert.are.equal("run\n", output({"-E", "-e", "print 'run'"}, {env = init}))
  end)

  it("says what is wrong with its arguments", function()
    assert.are.equal("qvmlua: unrecognized option '-x' (--help shows how)\n", message {"-x"})
    assert.are.equal("qvmlua: '-e' needs an argument (--help shows how)\n", message {"-e"})
    assert.matches("^qvmlua: cannot open daig: .*; the commands are: [a-z ]*diag", message {"daig"})
    assert.matches("^qvmlua: .command line.:1: .*near", message {"-e", "print("})
  end)

  it("reports errors with the user's part of the stack", function()
    local text = message {"-e", "local function f() error 'bad' end f()"}
    assert.matches("^qvmlua: .command line.:1: bad\nstack traceback:\n", text)
    assert.matches("in local 'f'", text)
    assert.is_nil(text:find("main.lua", 1, true))
    assert.matches("^qvmlua: .error object is a table value.", message {"-e", "error {}"})
    assert.are.equal("qvmlua: special\n",
      message {"-e", "error(setmetatable({}, {__tostring = function() return 'special' end}))"})
  end)

  it("reports programming errors at the position of the script", function()
    files.write("wrong.lua", "local qvm = require 'qvm'\nqvm.hex('x')\n")
    assert.matches("^qvmlua: wrong%.lua:2: bad argument #1 to 'hex'", message {"wrong.lua"})
  end)

  it("ends a loop at Ctrl-C", function()
    local loop = "print 'begun' io.stdout:flush() while true do end"
    local running = process.start(qvmlua.words {"-e", loop}, {log = files.path("log")})
    assert.are.equal("begun", running:line())
    running:kill("INT")
    assert.are.same({"exit", 1}, {running:wait()})
    assert.matches("interrupted!", files.read(files.path("log")))
  end)

  it("has the help", function()
    assert.matches("^VM:dump%(", output {"-l", "qvm", "-e", "print(qvm.help 'VM:dump')"})
  end)

  describe("with -i", function()
    it("runs lines from a pipe, after the script", function()
      files.write("first.lua", "x = 20")
      assert.matches("^qvmlua [^\n]*\n21\n$", output({"-i", "first.lua"}, {input = "x + 1\n"}))
    end)

    it("is a prompt on a terminal without readline", function()
      local screen = terminal.open(24, {})
      screen:enter(table.concat(qvmlua.words({"-l", "qvm", "-i"}, {TERM = "screen"}), " "), "Enter")
      assert(screen:shows("Ctrl%-D leaves\n>"))
      screen:enter("for i = 6, 7 do", "Enter")
      screen:enter("print(i, '\\27[2J') end", "Enter")
      screen:has("\n6       \\x1b[2J\n")
      screen:enter("y = qvm.hex(10)", "Enter")
      screen:enter("y", "Enter")
      screen:has("\n0x000000000000000a\n")
      screen:enter("while true do end", "Enter")
      process.sleep(0.3)
      screen:type("C-c")
      screen:has("interrupted!")
      screen:enter("", "C-d")
      assert(screen:shows("\n%$%s*$"))
    end)
  end)
end)

describe("modules of qvmlua", function()
  after_each(files.clean)

  -- A directory with a file for each of these modules, which says that it was loaded.
  local function directory_of(name, ...)
    local path = files.mkdir(name)
    for _, module in ipairs {...} do
      local text = ("print 'loaded %s of %s' return {}"):format(module, name)
      local parent = module:match("^(.*)/")
      if parent and not files.exists(path .. "/" .. parent) then
        files.mkdir(name .. "/" .. parent)
      end
      files.write(("%s/%s.lua"):format(name, module), text)
    end
    return path
  end

  it("come from the executable first", function()
    local path = directory_of("mine", "qvm", "cjson", "argparse", "qvm/core", "qvm/util/text")
    local loads = "for _, name in ipairs {'qvm', 'cjson', 'argparse', 'qvm.util.text'} do "
      .. "require(name) end print 'ok'"
    files.write("mine/script.lua", loads)
    local env = {LUA_PATH = path .. "/?.lua;;"}
    assert.are.equal("ok\n", output({"-e", loads}, {env = env, cwd = path}))
    assert.are.equal("ok\n", output({path .. "/script.lua"}, {env = env, cwd = path}))
  end)

  it("are all of the library, but for the start of its commands", function()
    local names, pipe <close> = {}, assert(io.popen "find lua -name '*.lua'")
    for path in pipe:lines() do
      local name = path:match("^lua/(.*)%.lua$"):gsub("/", "."):gsub("%.init$", "")
      names[#names + 1] = ("%q,"):format(name)
    end
    local code = "for _, name in ipairs {%s} do "
      .. "if not package.preload[name] then print(name) end end"
    assert.is_true(#names > 80)
    assert.are.equal("qvm.start\n", output {"-e", code:format(table.concat(names))})
  end)

  it("never come from the current directory", function()
    local path = directory_of("here", "other", "readline", "lfs")
    files.write("away.lua", "require 'other'")
    local try = {"-e", "require 'other'"}
    for _, lua_path in ipairs {";;", "./?.lua;?.lua;;", "../here/?.lua", ""} do
      assert.matches("module 'other' not found",
        message(try, {cwd = path, env = {LUA_PATH = lua_path}}))
    end
    assert.matches("module 'other' not found", message({files.path("away.lua")}, {cwd = path}))
    assert.matches("^qvmlua [^\n]*\n1\n$", output({"-i"}, {cwd = path, input = "1\n"}))
    local _, out = qvmlua.run({"explore", "--root=."}, {cwd = path})
    assert.is_nil(out:find("loaded", 1, true))
  end)

  it("come from LUA_PATH and from beside the script", function()
    local path = directory_of("library", "own")
    directory_of("tool", "own", "parts/init")
    files.write("tool/script.lua", "require 'own' require 'parts'")
    local env = {LUA_PATH = path .. "/?.lua;;"}
    assert.are.equal("loaded own of library\n", output({"-l", "own"}, {env = env}))
    local beside = "loaded own of tool\nloaded parts/init of tool\n"
    assert.are.equal(beside, output({"tool/script.lua"}, {env = env}))
    assert.are.equal(beside, output({"script.lua"}, {cwd = files.path("tool")}))
    assert.matches("module 'own' not found", message({"-E", "-l", "own"}, {env = env}))
  end)

  it("beside a script are not used where others can write", function()
    local path = directory_of("shared", "own")
    files.write("shared/script.lua", "require 'own'")
    assert(os.execute("chmod o+w " .. path))
    assert.matches("no modules beside the script: others can write to its directory",
      message {path .. "/script.lua"})
    directory_of("a;b", "own")
    files.write("a;b/script.lua", "require 'own'")
    assert.matches("no modules beside the script: the directory has ';' or '%?' in its name",
      message {"a;b/script.lua"})
  end)

  it("are not written in C", function()
    files.write("other.so", "not a library")
    local load = ("package.cpath = %q require 'other'"):format(files.path("?.so"))
    local env = {LUA_CPATH = files.path("?.so")}
    assert.matches("qvmlua loads no C modules", message({"-l", "other"}, {env = env}))
    assert.matches("qvmlua loads no C modules", message {"-e", load})
    assert.matches("^nil\t[^\n]+\t%a+\n$", output {"-e",
      ("print(package.loadlib(%q, '*'))"):format(files.path("other.so"))})
  end)
end)
