-- The pages of `qvm-diag --html` in a browser: values that contain markup must stay text,
-- and the page must fit a phone.

local files = require "support.files"
local process = require "support.process"
local sim = require "support.sim"
local writer = require "support.dumpwriter"

local lua = os.getenv("LUA") or "lua5.4"

local function write_page(arguments, name)
  local path = files.path(name)
  local command = {lua, "examples/diag.lua", "--html", path, table.unpack(arguments)}
  local _, out, errors = process.run(command, {env = {QVM_ROOT = sim.root(),
    QVM_BUILD = sim.build, LD_PRELOAD = os.getenv("LD_PRELOAD")}})
  assert.are.equal("", out)
  assert.is_true(files.exists(path), errors)
  return path
end

-- The document in the browser after the page's scripts, if any, have run.
local function dom_of(path, ...)
  local status, dom, errors = process.run({"chromium", "--headless", "--no-sandbox",
    "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir=" .. files.path("browser"),
    "--dump-dom", "file://" .. path, ...}, {env = {HOME = files.dir()}})
  assert.are.equal(0, status, errors)
  return dom
end

local function elements_in(dom)
  local names = {}
  for name in dom:gmatch("<(%a[%w-]*)") do
    names[#names + 1] = name
  end
  return table.concat(names, " ")
end

local hostile = {
  [[<script>document.title='owned'</script>]],
  [[<img src=x onerror="document.title='owned'">]],
  [["' onmouseover='x' style="position:fixed]],
  [[</title></style></pre></svg><h1>owned</h1>]],
  "]]>&lt;b&gt;&amp;&#60;",
  "\27[31m \27]0;t\12 \226\128\174dlrow\226\128\172 \255\254 \194\155 x\127y",
  "<!-- --><textarea><svg/onload=alert(1)><base href=//x><meta http-equiv=refresh content=0>",
}

-- A VM whose names and values are made by f(index).
local function write_vm(name, f)
  files.mkdir("vms/" .. name)
  files.write(("vms/%s/%s"):format(name, f(1):gsub("/", "_")), "")
  local function quoted(i)
    return '"' .. f(i):gsub('["\\]', "\\%0"):gsub("%c", function(c)
      return ("\\u%04x"):format(c:byte())
    end):gsub("[\128-\255]", "?") .. '"'
  end
  local errata, facts = {}, {}
  for i = 1, #hostile do
    errata[i] = ("%s: %s"):format(quoted(i), quoted(i))
    facts[i] = ("%s: %s"):format(quoted(i), quoted(i))
  end
  files.write(("vms/%s/env"):format(name), ('{"vcpus": [{"tid": 1, "last_known_ip": 0}],'
    .. '"errata": {%s}, %s}'):format(table.concat(errata, ","), table.concat(facts, ",")))
  return files.write("baseline.json", ('{"kind": "qvm errata baseline", "version": 1, "errata": '
    .. '[{"id": %s, "value": %s}]}'):format(quoted(1), quoted(2)))
end

local function write_dump(name, f)
  local cpus, lines = {}, {}
  for i = 1, #hostile do
    cpus[i] = {registers = writer.aarch64 {elr = i}, process = f(i)}
    lines[i] = f(i)
  end
  return files.write(name, writer.small {cpus = cpus, note = {dumpinfo = 0},
    memory = {{paddr = 0, bytes = writer.dumpinfo(table.concat(lines, "\n"))}}})
end

local function assert_only_text(dom, twin, title)
  assert.are.equal(elements_in(twin), elements_in(dom))
  assert.is_nil(dom:lower():find("<script", 1, true))
  assert.are.equal(title, dom:match("<title>(.-)</title>"))
  assert.matches("&lt;script&gt;document.title='owned'&lt;/script&gt;", dom, 1, true)
  assert.matches("&lt;/title&gt;&lt;/style&gt;&lt;/pre&gt;&lt;/svg&gt;&lt;h1&gt;owned&lt;/h1&gt;",
    dom, 1, true)
  assert.matches("]]&gt;&amp;lt;b&amp;gt;&amp;amp;&amp;#60;", dom, 1, true)
  assert.matches("\\x1b[31m \\x1b]0;t\\x0c ", dom, 1, true)
  assert.is_nil(dom:find("[%z\1-\8\11\12\14-\31\127]"))
  assert.is_nil(dom:find("\226\128\174", 1, true))
  assert.is_truthy(utf8.len(dom))
end

describe("a report in a browser", function()
  before_each(sim.root)
  after_each(sim.clean)

  local function tame(i)
    return "value " .. i
  end

  local function wild(i)
    return hostile[i]
  end

  it("shows everything from a VM as text", function()
    local name = [[<img src=x onerror="document.title='owned'">&]]
    local baseline = write_vm("tame", tame)
    local twin = dom_of(write_page({"tame", "--baseline", baseline}, "tame.html"))
    baseline = write_vm(name, wild)
    local dom = dom_of(write_page({name, "--baseline", baseline}, "wild.html"))
    assert_only_text(dom, twin, "VM &lt;img src=x onerror=\"document.title='owned'\"&gt;&amp;")
  end)

  it("shows everything from a dump as text", function()
    local twin = dom_of(write_page({"--read", write_dump("tame.gcore", tame)}, "tame.html"))
    local dom = dom_of(write_page({"--read", write_dump("<b>'\"&.gcore", wild)}, "wild.html"))
    assert_only_text(dom, twin, "Dump &lt;b&gt;'\"&amp;.gcore")
    assert.matches("\\xe2\\x80\\xaedlrow\\xe2\\x80\\xac \\xff\\xfe \\xc2\\x9b x\\x7fy", dom,
      1, true)
  end)

  -- Measures a page in a frame of this width: the page's width, and whether labels in its
  -- drawings overlap. The page itself may run no script.
  local function measure(path, width)
    local harness = files.write("harness.html", ([[<!DOCTYPE html><body id="result">
      <iframe src="%s" width="%d" height="800" onload="
        const page = this.contentDocument;
        let overlaps = 0, labels = 0;
        for (const svg of page.querySelectorAll('svg')) {
          const boxes = [...svg.querySelectorAll('text')].map(t => t.getBoundingClientRect());
          const frame = svg.getBoundingClientRect();
          labels += boxes.length;
          boxes.forEach((a, i) => {
            if (a.right > frame.right + 1 || a.bottom > frame.bottom + 1) overlaps++;
            boxes.slice(i + 1).forEach(b => {
              if (a.top < b.bottom - 3 && b.top < a.bottom - 3) overlaps++; });
          });
        }
        document.body.dataset.measured = [page.documentElement.scrollWidth, labels,
          overlaps].join(' ');
      "></iframe>]]):format("file://" .. path, width))
    local dom = dom_of(harness, "--allow-file-access-from-files", "--disable-web-security")
    local measured = dom:match('data%-measured="([%d ]+)"')
    assert.is_truthy(measured, dom)
    local scroll, labels, overlaps = measured:match("(%d+) (%d+) (%d+)")
    return tonumber(scroll), tonumber(labels), tonumber(overlaps)
  end

  -- Segments of one byte next to holes of one byte, or many segments far apart.
  local function crowd(n, distance)
    local memory = {{paddr = 0, bytes = ("M"):rep(100000)}}
    for i = 1, n do
      memory[#memory + 1] = {paddr = (1 << 20) + i * distance(i), bytes = "x"}
    end
    memory[#memory + 1] = {paddr = 1 << 40, bytes = ("M"):rep(300000)}
    memory[#memory + 1] = {paddr = -2, bytes = "x"}
    return files.write(("long"):rep(30) .. n, writer.small {memory = memory,
      cpus = {{registers = writer.aarch64 {}, process = ("p"):rep(99)}}})
  end

  it("fits a phone, and the labels in its drawing do not overlap", function()
    for n, distance in pairs {[18] = function() return 2 end,
      [60] = function(i) return i << 16 end} do
      local page = write_page({"--read", crowd(n, distance)}, "page.html")
      for _, width in ipairs {390, 1200} do
        local scroll, labels, overlaps = measure(page, width)
        assert.is_true(scroll <= width, scroll .. " pixels wide")
        assert.is_true(labels > 40, labels .. " labels")
        assert.are.equal(0, overlaps)
      end
    end
  end)
end)
