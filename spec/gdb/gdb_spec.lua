-- examples/gdbserve.lua, tested by a client that speaks the GDB remote protocol.

local files = require "support.files"
local gdbdump = require "support.gdbdump"
local process = require "support.process"
local rsp = require "support.rsp"
local writer = require "support.dumpwriter"

local CODE, STACK = gdbdump.CODE, gdbdump.STACK

local function m(address, length)
  return ("m%x,%x"):format(address, length)
end

local function hex(format, ...)
  return rsp.hex(string.pack(format, ...))
end

describe("a dump served to gdb", function()
  after_each(function()
    process.clean()
    files.clean()
  end)

  it("reports what it supports", function()
    local supported, attached, resume, empty, symbols = rsp.ask(gdbdump.x86_64(),
      "qSupported:multiprocess+;swbreak+", "qAttached", "vCont?", "vMustReplyEmpty", "qSymbol::")
    assert.matches("PacketSize=4000;", supported, 1, true)
    for _, feature in ipairs {"QStartNoAckMode", "qXfer:features:read", "qXfer:threads:read"} do
      assert.matches(feature .. "+", supported, 1, true)
    end
    assert.are.same({"1", "vCont;c;C;s;S", "", "OK"}, {attached, resume, empty, symbols})
  end)

  it("has a thread for each vCPU", function()
    local path = gdbdump.x86_64()
    assert.are.same({"T05thread:1;", "m1,2", "l", "QC1", "OK", "OK", "E03", "E03"},
      {rsp.ask(path, "?", "qfThreadInfo", "qsThreadInfo", "qC", "T1", "T2", "T3", "T0x")})
    assert.are.same({"OK", "OK", "OK", "E03", "E03", "E03", "QC2"},
      {rsp.ask(path, "Hg2", "Hc1", "Hg0", "Hg3", "Hgx", "H", "qC")})
    local extra, unknown = rsp.ask(path, "qThreadExtraInfo,2", "qThreadExtraInfo,9")
    assert.matches("^vCPU 1: pc 0xffffffff81000001 .*procnto\\x1b%[2J$", rsp.bytes(extra))
    assert.are.equal("E03", unknown)
  end)

  it("reports the names of the threads", function()
    local xml = rsp.ask(gdbdump.x86_64(), "qXfer:threads:read::0,3fff")
    assert.matches('<thread id="1" core="4" name="vCPU 0">a&lt;b&gt; &amp; &quot;c&quot;</thread>',
      xml, 1, true)
    assert.matches('<thread id="2" core="5" name="vCPU 1">procnto\\x1b[2J</thread>', xml, 1, true)
  end)

  it("describes the registers and returns them in that order", function()
    local path = gdbdump.x86_64()
    local description = rsp.ask(path, "qXfer:features:read:target.xml:0,3fff")
    assert.are.equal("l", description:sub(1, 1))
    local bits, names = 0, {}
    for name, size in description:gmatch('<reg name="([^"]*)" bitsize="(%d+)"') do
      names[#names + 1] = name
      bits = bits + tonumber(size)
    end
    assert.are.same({"rax", "rbx", "rcx"}, {table.unpack(names, 1, 3)})
    assert.are.same({"CR3", "CR0", "CR4", "odd_name_1"}, {table.unpack(names, #names - 3)})
    local all, rip, last, past_end = rsp.ask(path, "g", "p10", ("p%x"):format(#names - 1),
      ("p%x"):format(#names))
    assert.are.equal(bits // 4, #all)
    assert.matches("^8877665544332211" .. ("0"):rep(16), all)
    assert.matches(hex("<i8i8i8i8", 0x100000, 0x80050033, 0x20, -2) .. "$", all)
    assert.are.equal(hex("<i8", CODE), rip)
    assert.are.equal("feffffffffffffff", last)
    assert.are.equal("E16", past_end)
  end)

  it("returns the selected thread's registers, and errors for missing ones", function()
    local before, _, after, st0, eflags, ds, all = rsp.ask(gdbdump.x86_64(), "p10", "Hg2", "p10",
      "p18", "p11", "p14", "g")
    assert.are.same({hex("<i8", CODE), hex("<i8", CODE + 1), "E01", "46020000", "E01"},
      {before, after, st0, eflags, ds})
    assert.matches("46020000" .. "08000000" .. "10000000" .. ("x"):rep(8 * 4 + 20 * 8), all, 1,
      true)
  end)

  it("reports the machine, byte order and pointer size to LLDB", function()
    local function host(path)
      local triple, rest = (rsp.ask(path, "qHostInfo")):match("^triple:(%x+);(.*)$")
      return rsp.bytes(triple) .. " " .. rest
    end
    assert.are.equal("x86_64-unknown-none endian:little;ptrsize:8;", host(gdbdump.x86_64()))
    assert.are.equal("aarch64_be-unknown-none endian:big;ptrsize:8;", host(files.write("big.gcore",
      writer.as(">", 64, function()
        return writer.small {machine = "aarch64", registers = writer.aarch64 {}}
      end))))
    assert.are.equal("arm-unknown-none endian:little;ptrsize:4;", host(files.write("arm.gcore",
      writer.as("<", 32, function()
        return writer.small {machine = "arm", registers = writer.arm {}}
      end))))
  end)

  it("sends a long description in parts", function()
    local path, requests, parts = gdbdump.x86_64(), {}, {}
    local whole = rsp.ask(path, "qXfer:features:read:target.xml:0,3fff")
    for at = 0, #whole, 100 do
      requests[#requests + 1] = ("qXfer:features:read:target.xml:%x,64"):format(at)
    end
    for _, part in ipairs {rsp.ask(path, table.unpack(requests))} do
      parts[#parts + 1] = part:sub(2)
    end
    assert.are.equal(whole:sub(2), table.concat(parts))
    assert.are.same({"l", "", "E16", "E16"}, {rsp.ask(path,
      "qXfer:features:read:target.xml:ffff,64", "qXfer:features:read:other.xml:0,64",
      "qXfer:features:read:target.xml:ffffffffffffffff,64",
      "qXfer:features:read:target.xml:0,10000000000000000")})
  end)

  it("reads memory through the vCPU's address space", function()
    local words, code, half = rsp.ask(gdbdump.x86_64(), m(STACK + 8, 16), m(CODE, 4),
      m(STACK + 13, 1))
    assert.are.same({hex("<i8i8", STACK + 8, STACK + 16), "9090f4c3", "88"}, {words, code, half})
  end)

  it("reads up to the end of mapped memory", function()
    local mapped, in_dump, unmapped, missing, top, empty = rsp.ask(gdbdump.x86_64(),
      m(CODE + 0xffe, 16), m(STACK + 0x2ffd, 16), m(CODE + 0x1000, 1), m(STACK + 0x3000, 4),
      m(-1, 16), m(CODE, 0))
    assert.are.same({"0000", "88ffff", "E0e", "E0e", "E0e", ""},
      {mapped, in_dump, unmapped, missing, top, empty})
  end)

  it("returns at most one packet of memory", function()
    local most = rsp.ask(gdbdump.x86_64(), m(STACK, 0x7fffffffffffffff))
    assert.is_true(#most <= 0x4000 - 4)
    assert.is_true(#most > 0x3f00)
    assert.are.equal(hex("<i8i8", STACK, STACK + 8), most:sub(1, 32))
  end)

  it("returns memory in binary, with escapes", function()
    local output = rsp.serve(gdbdump.x86_64(), rsp.packet(("x%x,8"):format(CODE)))
    assert.are.equal("+" .. rsp.packet("b\x90\x90\xf4\xc3}\3}\4}]}\10"), output)
  end)

  it("reads physical memory on request", function()
    local at = gdbdump.CODE_AT
    local before, _, _, _, after, virtual = rsp.ask(gdbdump.x86_64(), m(at, 2),
      "qRcmd," .. rsp.hex("phys on"), m(at, 2), m(CODE, 2))
    assert.are.same({"E0e", "9090", "E0e"}, {before, after, virtual})
  end)

  it("refuses to change or run the guest", function()
    for _, request in ipairs {"G00", "P0=00", m(CODE, 1):gsub("m", "M") .. ":00",
      ("X%x,1:a"):format(CODE), "X0,0:"} do
      assert.are.equal("E.a dump can be read, not changed", (rsp.ask(gdbdump.x86_64(), request)))
    end
    for _, request in ipairs {"c", "C05", "s", "S05", "vCont;c", "vCont;s:1;c"} do
      assert.are.equal("E.a dump does not run", (rsp.ask(gdbdump.x86_64(), request)))
    end
    assert.are.same({"", "", "", ""}, {rsp.ask(gdbdump.x86_64(), "Z0,1000,1", "z0,1000,1", "R00",
      "vRun;x")})
  end)

  it("searches memory", function()
    local function search(from, length, pattern)
      return ("qSearch:memory:%x;%x;%s"):format(from, length, pattern)
    end
    local path = gdbdump.x86_64()
    local word = string.pack("<i8", STACK + 0x2ff8)
    local found, short, none, all = rsp.ask(path, search(STACK, 0x3000, word),
      search(STACK, 0x2fff, word), search(STACK, 0x3000, "no such bytes"),
      search(0, -1, "\x90\x90\xf4\xc3}\3"))
    assert.are.same({("1,%x"):format(STACK + 0x2ff8), "0", "0", ("1,%x"):format(CODE)},
      {found, short, none, all})
    -- Lengths are unsigned: nothing, the lower half (where nothing is mapped), the upper half.
    local code = "\x90\x90\xf4\xc3}\3"
    assert.are.same({"0", "E0e", ("1,%x"):format(CODE)}, {rsp.ask(path,
      search(STACK + 0x2ff8, 0, word), search(0, math.mininteger, code),
      search(math.mininteger, math.mininteger, code))})
    assert.are.equal("E0e", (rsp.ask(path, search(0x400000, 0x1000, "x"))))
    assert.are.same({"E16", "E16", "E16"}, {rsp.ask(path, search(STACK, 1, ""),
      "qSearch:memory:1", "qSearch:memory:x;1;a")})
  end)

  it("ends the session at detach and kill", function()
    for request, answer in pairs {D = rsp.packet "OK", k = "", ["vKill;1"] = rsp.packet "OK"} do
      local output, _, status = rsp.serve(gdbdump.x86_64(), rsp.packet(request) .. rsp.packet "?")
      assert.are.same({"+" .. answer, 0}, {output, status})
    end
  end)
end)

describe("gdb's monitor command", function()
  after_each(files.clean)

  it("lists its commands", function()
    local text = rsp.monitor(gdbdump.x86_64(), "help")
    for _, name in ipairs {"vcpus", "backtrace", "translate", "phys", "log", "dmesg"} do
      assert.matches("\nmonitor " .. name, "\n" .. text, 1, true)
    end
    assert.are.equal(text, rsp.monitor(gdbdump.x86_64(), ""))
    assert.are.equal("no such command: x\\x1b; monitor help lists them\n",
      rsp.monitor(gdbdump.x86_64(), " x\27 "))
    for line in text:gmatch("[^\n]+") do
      assert.is_true(#line <= 80, line)
    end
  end)

  it("lists the vCPUs and their address spaces", function()
    assert.are.equal([[
  vCPU  program counter     stack pointer
     0  0xffffffff81000000  0xffff888000000010  a<b> & "c"
        x86_64, page table 0x100000, 48 bits, from its control registers
     1  0xffffffff81000001  0xffff888000000010  procnto\x1b[2J
        x86_64, page table 0x100000, 48 bits, from its control registers
]], rsp.monitor(gdbdump.x86_64(), "vcpus"))
  end)

  it("prints the text of the dump with control characters escaped", function()
    assert.are.equal("first\nsecond \\x1b[2J\n",
      rsp.monitor(gdbdump.x86_64("first\nsecond \27[2J\n"), "log"))
    assert.matches("contains no text", rsp.monitor(gdbdump.x86_64(), "log"))
  end)

  it("prints a long text in many packets", function()
    local text = ("one line of the log\n"):rep(5000)
    assert.are.equal(text, rsp.monitor(gdbdump.x86_64(text), "log"))
  end)

  it("translates addresses", function()
    local path = gdbdump.x86_64()
    local answer = "0xffffffff81000004 is physical 0x0000000000010004, 4 KiB page, rwx/---\n"
    assert.are.equal("vCPU 0:\n" .. answer, rsp.monitor(path, "translate 0xffffffff81000004"))
    assert.matches("not mapped: level 1, entry 1 of",
      rsp.monitor(path, "translate 0xffffffff81001000"))
    assert.matches("VMCOREINFO", rsp.monitor(path, "translate main"))
    assert.matches("^usage: monitor translate ADDRESS", rsp.monitor(path, "translate"))
    assert.matches("0x1ffffffffffffffff has more than 64 bits",
      rsp.monitor(path, "translate 0x1ffffffffffffffff"))
    for _, number in ipairs {"9223372036854775808", "99999999999999999999"} do
      assert.are.equal(("vCPU 0:\n%s is too large: write it with 0x\n"):format(number),
        rsp.monitor(path, "translate " .. number))
    end
  end)

  it("names the vCPU that it describes: the one given, or gdb's current thread", function()
    local path = gdbdump.x86_64()
    assert.matches("^vCPU 1:\n#0  0xffffffff81000001 ", rsp.monitor(path, "backtrace 1"))
    local parts = {rsp.ask(path, "Hg2", "qRcmd," .. rsp.hex "translate 0")}
    assert.matches("^vCPU 1:\n", rsp.bytes(parts[2]:sub(2)))
    assert.matches("^vCPU 0:\n", rsp.monitor(path, "translate 0 0"))
    assert.are.equal("no vCPU 2; monitor vcpus lists them\n", rsp.monitor(path, "backtrace 2"))
    assert.are.equal("no vCPU x; monitor vcpus lists them\n", rsp.monitor(path, "translate 0 x"))
  end)

  it("reports whether addresses are physical", function()
    assert.matches("address space of each thread.*are physical\n.*are physical\n.*on|off",
      rsp.monitor(gdbdump.x86_64(), "phys", "phys on", "phys", "phys maybe"))
  end)

  it("reports why it has no kernel log and no symbols", function()
    assert.matches("no VMCOREINFO", rsp.monitor(gdbdump.x86_64(), "dmesg"))
    assert.matches("^vCPU 0:\n#0  0xffffffff81000000 %(no symbol%)",
      rsp.monitor(gdbdump.x86_64(), "backtrace"))
  end)
end)

describe("a client other than gdb", function()
  after_each(function()
    process.clean()
    files.clean()
  end)

  it("gets acknowledgements, and replies again on request", function()
    local output = rsp.serve(gdbdump.x86_64(), "+$qC#b4-+$qC#00$qC#b4")
    local reply = rsp.packet "QC1"
    assert.are.equal("+" .. reply .. reply .. "-" .. "+" .. reply, output)
  end)

  it("may disconnect in the middle of a packet", function()
    for _, input in ipairs {"", "+", "$", "$qC", "$qC#", "$qC#b", "$m0,#", "\3\3"} do
      local output, _, status = rsp.serve(gdbdump.x86_64(), input)
      assert.are.same({"", 0}, {output, status}, input)
    end
  end)

  it("gets an error for a packet that is too long, and can continue", function()
    local path = gdbdump.x86_64()
    local output = rsp.serve(path, rsp.packet(("m"):rep(0x100000)) .. rsp.packet "qC")
    assert.are.equal("+" .. rsp.packet("E.a packet is too long") .. "+" .. rsp.packet "QC1", output)
  end)

  it("may restart a packet", function()
    assert.are.equal("+" .. rsp.packet "QC1", (rsp.serve(gdbdump.x86_64(), "$m12$qC#b4")))
  end)

  it("gets an error or an empty reply for invalid requests", function()
    for request, answer in pairs {m = "E16", ["m1"] = "E16", ["m,"] = "E16", ["mx,1"] = "E16",
      ["m1,2,3"] = "E16", ["m10000000000000000,1"] = "E16", p = "E16", ["p-1"] = "E16",
      ["pffffffffffffffff"] = "E16", ["qRcmd,abc"] = "E16", ["qRcmd,zz"] = "E16",
      T = "E03", [""] = "", ["q"] = "", ["qX"] = "", ["qXfer:"] = "", ["v"] = "", ["Q"] = "",
      ["vContinue"] = "", ["\0\255"] = ""} do
      assert.are.equal(answer, (rsp.ask(gdbdump.x86_64(), request)), request)
    end
  end)

  it("gets replies to random packets, and the server keeps running", function()
    math.randomseed(5)
    local letters = "?HTgpmxGPMXcCsSkDqQvC:;,#$}*0123456789abcdefSupportedXferRcmd\0\255"
    local path, parts = gdbdump.x86_64(), {rsp.packet "QStartNoAckMode"}
    for _ = 1, 3000 do
      local text = {}
      for i = 1, math.random(0, 24) do
        local at = math.random(#letters)
        text[i] = letters:sub(at, at)
      end
      text = table.concat(text):gsub("[#$]", "")
      -- Requests that end the session are left out.
      if not text:find("^[kD}]") and not text:find("^vKill") then
        parts[#parts + 1] = rsp.packet(text)
      end
    end
    parts[#parts + 1] = rsp.packet "qC"
    local output, errors, status = rsp.serve(path, table.concat(parts))
    assert.are.equal(0, status, errors)
    local texts = rsp.texts(output:sub(2))
    assert.are.equal("QC", texts[#texts]:sub(1, 2))
    assert.are.equal(#parts, #texts)
  end)
end)

describe("gdbserve", function()
  after_each(function()
    process.clean()
    files.clean()
  end)

  -- A vCPU's note, and 1 MiB of memory.
  local NOTE = {type = 4, bytes = writer.note {cpus = {{registers = writer.x86_64 {}}}, names = {}}}
  local MEMORY = {paddr = 0, bytes = ("x"):rep(1 << 20)}

  local function write_dump(name, ...)
    return files.write(name, writer.file {machine = "x86_64", segments = {...}})
  end

  local function refused(...)
    local status, output, errors = process.run({process.lua, "examples/gdbserve.lua", ...},
      {env = rsp.env()})
    assert.are.equal("", output)
    return errors, status
  end

  it("reports why it cannot serve", function()
    local none = files.path "none"
    local errors, status = refused(none)
    assert.are.equal(1, status)
    assert.matches("^qvm%-gdbserve: .*none: No such file", errors)
    assert.matches("no registers of vCPUs", (refused(files.write("memory.elf", writer.file {
      machine = "x86_64", segments = {{paddr = 0, bytes = "x"}}}))))
    for _, port in ipairs {"65536", "x"} do
      errors, status = refused("--port", port, none)
      assert.are.same({2, ("qvm-gdbserve: not a port: %s (--help shows how)\n"):format(port)},
        {status, errors})
    end
  end)

  it("shows the warnings of a dump", function()
    local whole = files.read(gdbdump.x86_64())
    local _, errors = rsp.serve(files.write("cut.gcore", whole:sub(1, -2)), "")
    assert.matches(("cut.gcore: 1 of %d bytes are missing\n"):format(#whole), errors)
  end)

  local function serve_port(path)
    local server = process.start({process.lua, "examples/gdbserve.lua", "--port", "0",
      path or gdbdump.x86_64()}, {env = rsp.env(), log = files.path "server.log"})
    local bound = process.eventually(function()
      return files.exists(server.log) and files.read(server.log):match("localhost:(%d+)")
    end)
    return server, tonumber(bound)
  end

  local function connected(port)
    local client = assert(require("socket").connect("127.0.0.1", port))
    client:settimeout(20)
    return client
  end

  local function ask(client, request)
    assert(client:send(rsp.packet(request)))
    local reply = ""
    repeat
      reply = reply .. assert(client:receive(1))
    until reply:find("#%x%x")
    return (reply:match("^%+%$(.*)#"))
  end

  it("listens on the loopback interface only", function()
    local _, port = serve_port()
    local listening = {}
    for _, name in ipairs {"tcp", "tcp6"} do
      for address, digits in files.read("/proc/net/" .. name):gmatch(": (%x+):(%x+) %x+:0000 0A") do
        if tonumber(digits, 16) == port then
          listening[#listening + 1] = address
        end
      end
    end
    assert.are.same({"0100007F"}, listening)
  end)

  it("serves one client after another, even if one vanishes", function()
    local _, port = serve_port()
    local first = connected(port)
    assert.are.equal("OK", ask(first, "Hg2"))
    first:send("$m0,")
    first:close()
    local second = connected(port)
    assert.are.equal("QC1", ask(second, "qC"))
    second:setoption("linger", {on = true, timeout = 0}) -- closes with a reset
    second:send(rsp.packet "g")
    second:close()
    local third = connected(port)
    assert.are.equal("OK", ask(third, "D"))
    third:close()
  end)

  it("turns away further clients while it serves one", function()
    local server, port = serve_port()
    local first = connected(port)
    assert.are.equal("QC1", ask(first, "qC"))
    local second = connected(port)
    second:send("+" .. rsp.packet "qSupported")
    local byte, problem = second:receive(1)
    assert.is_nil(byte)
    assert.are_not.equal("timeout", problem)
    assert.are.equal("QC1", ask(first, "qC"))
    assert.matches("another one was turned away", files.read(server.log), 1, true)
  end)

  it("keeps serving if a search reaches memory that was truncated meanwhile", function()
    local path = write_dump("shrinks.gcore", NOTE, MEMORY)
    local _, port = serve_port(path)
    local client = connected(port)
    assert.are.equal("0", ask(client, "qSearch:memory:0;100000;no such"))
    assert(os.execute("truncate -s 65536 " .. process.quote(path)))
    assert.are.equal("E0e", ask(client, "qSearch:memory:0;100000;no such"))
    assert.are.equal("78", ask(client, "m0,1"))
    client:close()
  end)

  it("keeps serving if the registers were truncated meanwhile", function()
    local path = write_dump("shrinks.gcore", MEMORY, NOTE)
    local _, port = serve_port(path)
    local client = connected(port)
    assert.are.equal("QC1", ask(client, "qC"))
    assert(os.execute("truncate -s 65536 " .. process.quote(path)))
    assert.are.equal("E0e", ask(client, "qXfer:threads:read::0,1000"))
    client:send(rsp.packet("qRcmd," .. rsp.hex "vcpus"))
    local output = ""
    repeat
      output = output .. assert(client:receive(1))
    until output:find("$OK#9a", 1, true)
    assert.matches(rsp.hex "shrinks.gcore: ", output, 1, true)
    assert.are.equal("78", ask(client, "m0,1"))
    client:close()
  end)

  it("keeps serving if the registers were truncated between two clients", function()
    local path = write_dump("shrinks.gcore", MEMORY, NOTE)
    local whole = files.read(path)
    local server, port = serve_port(path)
    assert(os.execute("truncate -s 65536 " .. process.quote(path)))
    local client = connected(port)
    client:send(rsp.packet "qC")
    assert.is_nil((client:receive(1)))
    assert.matches("shrinks.gcore: ", files.read(server.log):match("ends this%)\n(.*)"), 1, true)
    files.write("shrinks.gcore", whole)
    assert.are.equal("QC1", ask(connected(port), "qC"))
  end)

  it("turns away others while a client does not read its replies", function()
    local path = write_dump("large.gcore", NOTE, MEMORY)
    local _, port = serve_port(path)
    local first = connected(port)
    local count = 800 -- of 8 KiB: more than the socket buffers hold
    assert(first:send(rsp.packet "QStartNoAckMode" .. rsp.packet("m0,ff8"):rep(count)))
    local second = connected(port)
    local reply = rsp.packet(("78"):rep(0xff8))
    local expected = "+" .. rsp.packet "OK" .. reply:rep(count)
    local received = ""
    local byte, problem
    second:settimeout(1)
    repeat -- on a slow machine, reads a reply in between so that the server does not time out
      byte, problem = second:receive(1)
      received = received .. (problem == "timeout" and assert(first:receive(#reply)) or "")
    until problem ~= "timeout"
    assert.is_nil(byte)
    assert.is_true(#received < #expected // 4)
    local parts = {received}
    for at = #received + 1, #expected, #reply do -- each within the time limit of the socket
      parts[#parts + 1] = assert(first:receive(math.min(#reply, #expected - at + 1)))
    end
    assert.is_true(expected == table.concat(parts))
  end)

  -- Reads to the end of the connection; returns the bytes and the reason for the end.
  local function rest(client)
    local bytes, problem, part = client:receive("*a")
    return bytes or part, problem
  end

  it("does not answer clients that do not speak gdb's protocol", function()
    local server, port = serve_port()
    local packet = rsp.packet(m(STACK, 64))
    for _, request in ipairs {"POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\n" .. packet,
      "GET /" .. packet, "\22\3\1" .. packet, "\n" .. packet, "+ / HTTP/1.1\r\n\r\n" .. packet} do
      local client = connected(port)
      client:send(request)
      assert.are.equal("", (rest(client)), request)
    end
    assert.are.equal("QC1", ask(connected(port), "qC"))
    local _, count = files.read(server.log):gsub("does not speak gdb's protocol", "")
    assert.are.equal(5, count)
  end)

  it("turns away others immediately while a client sends byte by byte", function()
    local server, port = serve_port()
    local first, second = connected(port), nil
    local reply
    first:settimeout(0.05)
    for byte in ("$" .. ("m"):rep(1000)):gmatch(".") do
      first:send(byte)
      second = second or connected(port)
      second:settimeout(0)
      local _, problem = second:receive(1)
      reply = reply or problem ~= "timeout" and problem
      if reply then break end
      first:receive(1) -- waits
    end
    assert.is_string(reply)
    assert.matches("another one was turned away", files.read(server.log), 1, true)
  end)

  it("disconnects a client that completes no packet, and serves the next one", function()
    local server, port = serve_port()
    for count, bytes in ipairs {{}, {"+", "+", "+"}, {"$qC", "#", "b"},
      {rsp.packet "qC", "$", "q"}} do
      local client = connected(port)
      for _, some in ipairs(bytes) do
        client:send(some)
      end
      local _, problem = rest(client)
      assert.are_not.equal("timeout", problem)
      local _, lost = files.read(server.log):gsub("did not complete a packet in time", "")
      assert.are.equal(count, lost)
      local other = connected(port)
      assert.are.equal("QC1", ask(other, "qC"))
      assert.are.equal("OK", ask(other, "D"))
      rest(other)
    end
  end)

  it("disconnects a client that sends an endless packet", function()
    local server, port = serve_port()
    local client = connected(port)
    client:send("$")
    assert(process.eventually(function()
      client:send(("m"):rep(1 << 16))
      return files.read(server.log):find("did not complete a packet in time", 1, true)
    end))
    assert.are.equal("QC1", ask(connected(port), "qC"))
  end)

  it("disconnects a client that reads nothing", function()
    local path = write_dump("large.gcore", NOTE, MEMORY)
    local server, port = serve_port(path)
    local client = connected(port)
    assert(client:send(rsp.packet "QStartNoAckMode" .. rsp.packet("m0,ff8"):rep(2000)))
    assert(process.eventually(function()
      return files.read(server.log):find("did not take a reply in time", 1, true)
    end), files.read(server.log))
    assert.are.equal("QC1", ask(connected(port), "qC"))
  end)

  it("keeps a client that pauses between two packets", function()
    local server, port = serve_port()
    local client = connected(port)
    assert.are.equal("QC1", ask(client, "qC"))
    local silent = connected(port) -- turned away after a time limit
    assert.are.equal("", (rest(silent)))
    process.sleep(4) -- longer than the time limit of a packet
    assert.are.equal("QC1", ask(client, "qC"))
    assert.is_nil(files.read(server.log):find("in time", 1, true))
  end)

  -- Writes a dump with 128 TiB of virtual memory, all mapped to one page.
  local function endless()
    local tables = {}
    for level = 0, 3 do
      local entries = string.pack("<I8", 0x101000 + 0x1000 * level | 3):rep(256)
      tables[level + 1] = entries .. (level == 0 and ("\0"):rep(#entries) or entries)
    end
    -- A search may look through a multiple of the dump's memory, most of which is a hole.
    local path = files.write("endless.gcore", writer.file {machine = "x86_64", segments = {
      {paddr = 0x100000, bytes = table.concat(tables) .. ("x"):rep(4096)},
      {type = 4, bytes = writer.note {names = {"CR3", "CR0", "CR4"}, cpus = {{
        extra = {0x100000, 0x80050033, 0x20}, registers = writer.x86_64 {}}}}},
      {paddr = 1 << 32, offset = 1 << 20, filesz = 16 << 30}}})
    assert(os.execute("truncate -s 16385M " .. process.quote(path)))
    return path
  end

  local SEARCH = "qSearch:memory:0;ffffffffffff;no such bytes"

  it("ends a search when the client leaves", function()
    local _, port = serve_port(endless())
    local client = connected(port)
    assert.are.equal("78", ask(client, "m0,1"))
    client:send(rsp.packet(SEARCH))
    assert.are.equal("+", client:receive(1))
    client:close()
    local other
    assert(process.eventually(function()
      other = connected(port)
      other:send(rsp.packet "qC")
      return other:receive(1) == "+"
    end))
  end)

  it("ends a search at the client's Ctrl-C, and turns others away until then", function()
    local _, port = serve_port(endless())
    local client = connected(port)
    client:send(rsp.packet(SEARCH))
    assert.are.equal("+", client:receive(1))
    assert.are.equal("", (rest(connected(port))))
    client:send("\3")
    local reply = rsp.packet "E.interrupted"
    assert.are.equal(reply, client:receive(#reply))
    assert.are.equal("QC1", ask(client, "qC"))
  end)

  it("ends a search when nobody reads its output", function()
    local input = files.write("client", rsp.packet(SEARCH))
    local status = process.run({"sh", "-c", ("%s examples/gdbserve.lua %s <%s | head -c 1"):format(
      process.lua, process.quote(endless()), process.quote(input))}, {env = rsp.env()})
    assert.are.equal(0, status)
  end)

  it("ends a monitor command at the client's Ctrl-C", function()
    local _, port = serve_port(gdbdump.x86_64(("a line of the log\n"):rep(800000)))
    local client = connected(port)
    client:send(rsp.packet("qRcmd," .. rsp.hex "log") .. "\3")
    process.sleep(0.5) -- unread output keeps the command running until the server sees Ctrl-C
    local tail, last = "", rsp.packet("O" .. rsp.hex "interrupted\n") .. rsp.packet "OK"
    repeat
      local bytes, problem, part = client:receive(8192)
      assert.are_not.equal("closed", problem)
      tail = (tail .. (bytes or part)):sub(-16384)
      client:settimeout(0.1)
    until tail:find("$OK#9a", 1, true)
    assert.are.equal(last, tail:sub(-#last))
    client:settimeout(20)
    assert.are.equal("QC1", ask(client, "qC"))
  end)

  it("ends a long text when the client leaves", function()
    local server, port = serve_port(gdbdump.x86_64(("a line of the log\n"):rep(1 << 18)))
    local client = connected(port)
    client:send(rsp.packet("qRcmd," .. rsp.hex "log"))
    assert.are.equal("+$O", client:receive(3))
    client:close()
    local other
    assert(process.eventually(function()
      other = connected(port)
      other:send(rsp.packet "qC")
      return other:receive(1) == "+"
    end))
    assert.is_nil(files.read(server.log):find("in time", 1, true))
  end)

  it("ends quietly at Ctrl-C", function()
    local server = serve_port()
    server:kill("INT")
    local how, status = server:wait()
    assert.are.same({"exit", 130}, {how, status})
    assert.is_nil(files.read(server.log):find("traceback", 1, true))
  end)

  it("reports a port that is in use", function()
    local _, port = serve_port()
    local errors, status = refused("--port", tostring(port), gdbdump.x86_64())
    assert.are.equal(1, status)
    assert.matches("port " .. port .. ": address already in use", errors)
  end)
end)
