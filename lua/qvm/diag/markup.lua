-- Makes HTML from values: elements, and the style sheet of a page. Everything that is not made
-- here is text and is escaped, so no value can become markup.

local iterators = require "qvm.util.iterators"
local text = require "qvm.cli.text"

local Markup = {}
Markup.__index = Markup

local ENTITIES = {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;",
  ["'"] = "&#39;"}

-- Control characters are escaped as for a terminal: as `\xNN`.
local function escape(value)
  return (text.escape_controls(tostring(value)):gsub("[&<>\"']", ENTITIES))
end

local function new(parts)
  return setmetatable({bytes = table.concat(parts)}, Markup)
end

local function add(parts, content)
  if getmetatable(content) == Markup then
    parts[#parts + 1] = content.bytes
  elseif type(content) == "table" then
    for _, part in ipairs(content) do
      add(parts, part)
    end
  elseif content ~= nil and content ~= "" then
    parts[#parts + 1] = escape(content)
  end
end

local EMPTY = {meta = true, br = true}

-- Makes an element. attributes: a table of names and values; content: text, markup, or an
-- array of them.
function Markup.element(name, attributes, content)
  local parts = {"<", name}
  for key, value in iterators.sorted(attributes or {}) do
    parts[#parts + 1] = (' %s="%s"'):format(key, escape(value))
  end
  parts[#parts + 1] = ">"
  if not EMPTY[name] then
    add(parts, content)
    parts[#parts + 1] = ("</%s>"):format(name)
  end
  return new(parts)
end

-- Makes text of an array of lines, with line breaks.
function Markup.lines(lines)
  local parts = {}
  for i, line in ipairs(lines) do
    parts[i] = escape(line) .. "\n"
  end
  return new(parts)
end

-- For wide and narrow screens, light and dark, and paper.
local STYLE = [[

:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #57606a;
  --line: #d0d7de; --block: #f6f8fa; --memory: #54a3d8; --good: #116329; --bad: #b3131b;
  --odd: #7d4e00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117;
  --soft: #9aa4af; --line: #3d444d; --block: #161b22; --memory: #2f6f9f; --good: #56d364;
  --bad: #ff8078; --odd: #e3b341; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1rem; max-width: 66rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.45 system-ui, sans-serif; }
h1, h2, h3, h4 { line-height: 1.2; overflow-wrap: anywhere; margin: 1.6em 0 0.5em; }
h1 { font-size: 1.7rem; margin-top: 0; }
h2 { font-size: 1.3rem; border-bottom: 1px solid var(--line); padding-bottom: 0.2em; }
h3 { font-size: 1.1rem; }
h4 { font-size: 1rem; }
p { margin: 0.5em 0; }
header p, figcaption, .note { color: var(--soft); font-size: 0.9rem; }
a { color: inherit; }
td, th, dd, dt, li, pre, h1, h2, code { unicode-bidi: isolate; }
code, pre, dd, td, svg text { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas,
  monospace; font-size: 0.85rem; }
code { white-space: nowrap; font-size: inherit; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.9rem 0.25rem 0;
  border-bottom: 1px solid var(--line); }
th { font-size: 0.85rem; font-weight: 600; }
tbody th { font-weight: 400; }
td.number, th.number { text-align: right; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
td.text { overflow-wrap: anywhere; min-width: 4rem; }
tr.hole { color: var(--soft); }
dl { margin: 0.5rem 0; }
dl.facts { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr;
  gap: 0.2rem 1rem; }
dt { color: var(--soft); font-size: 0.9rem; overflow-wrap: anywhere; }
dd { margin: 0; overflow-wrap: anywhere; }
dl.registers { display: grid; gap: 0 1.5rem;
  grid-template-columns: repeat(auto-fill, minmax(15.5rem, 1fr)); }
dl.registers div { display: flex; justify-content: space-between; gap: 0.5rem;
  border-bottom: 1px solid var(--line); padding: 0.1rem 0; }
dl.registers dd { white-space: nowrap; }
pre { background: var(--block); border: 1px solid var(--line); border-radius: 4px;
  padding: 0.6rem; margin: 0.5rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.state { font-weight: 600; color: var(--odd); }
.running, .equal { color: var(--good); }
.gone, .stuck, .unavailable, .differs { color: var(--bad); }
.problems { border: 2px solid var(--bad); border-radius: 4px; padding: 0 1rem 0.6rem;
  margin: 1rem 0; }
.problems h2 { border: 0; margin: 0.6rem 0 0; color: var(--bad); font-size: 1.1rem; }
.problems li { overflow-wrap: anywhere; }
figure { margin: 0.5rem 0; display: flex; flex-wrap: wrap; gap: 1rem 2.5rem;
  align-items: flex-start; }
figure svg { flex: 0 1 26rem; min-width: 0; width: 100%; max-width: 26rem; height: auto; }
figure .wide { flex: 0 1 auto; min-width: 0; }
figcaption { flex: 1 0 100%; }
svg text { font-size: 12px; fill: var(--ink); white-space: pre; }
svg text.size { font-weight: 600; }
svg text.hole { fill: var(--soft); }
svg .segment { fill: var(--memory); stroke: var(--ink); }
svg rect.hole { fill: none; stroke: var(--line); }
svg .enlarged { stroke-dasharray: 4 3; }
svg .break { fill: none; stroke: var(--soft); stroke-width: 1.5; }
@media print {
  :root { color-scheme: light; --ink: #000; --paper: #fff; --soft: #444; --line: #bbb;
    --block: #fff; --memory: #9ecbe8; --good: #000; --bad: #000; --odd: #000; }
  html { font-size: 9.5pt; }
  body { max-width: none; padding: 0; }
  h1, h2, h3, h4, tr, svg, dl.registers div { break-inside: avoid; }
  h1, h2, h3, h4, thead { break-after: avoid; }
  .wide { overflow: visible; }
  svg * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  figure { gap: 1rem; }
  figure svg { flex: 0 0 19rem; max-height: 85vh; }
}
]]

-- The style sheet: the only content that is not escaped.
function Markup.style()
  return new {"<style>", STYLE, "</style>"}
end

return Markup
