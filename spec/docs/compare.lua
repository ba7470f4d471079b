-- Compares what a document shows with the actual output. The rules below normalise what
-- differs between runs; everything else must match exactly.

local compare = {}

local function same_width(prefix, variable, suffix)
  return prefix .. ("#"):rep(#variable) .. (suffix or "")
end

-- Pattern, replacement, and what it matches. Numbers in columns are right-aligned: their
-- width, with the blanks before them, is kept.
local everywhere = {
  {"%f[%d]%d%d%d%d%d%d%d%d%-%d%d%d%d%d%d%f[^%d]", "<date>-<time>"}, -- names of dumps
  {"%f[%d]20%d%d%-%d%d%-%d%d([T ])%d%d:%d%d:%d%d", "<date>%1<time>"},
  {"%f[%w]tid %d+", "tid <tid>"},                  -- env:vcpus(), status texts
  {'"tid":( ?)%d+', '"tid":%1<tid>'},
  {"%f[%w]process %d+", "process <pid>"},          -- diag
  {"^([%s*]*%d+)( +%d%d+)(  0x%x+) +%d+%.%d%d%d +%d+  %l+ *", same_width}, -- diag's vCPUs
  {"^(%s*%d+)( +%d%d+)(  0x%x+)$", same_width},    -- vCPUs: thread ids
  {"^([%w_-]+ +%l+)( +%d+)( +%d+ +%d+ +%d+)$", same_width}, -- diag --list: process ids
  {"errata, %d+ bytes$", "errata, <n> bytes"},               -- an env, with its thread ids
}

-- In a real guest's dump: the kernel's version, its address (KASLR), and its progress.
local real = {
  {"pc 0x%x+ sp 0x%x+", "pc <address> sp <address>"}, -- a vCPU may be in user mode
  {"0xffff%x%x%x%x%x%x%x%x%x%x%x%x", "<kernel address>"},
  {"0x0000000[0-9a-f]%x%x%x%x%x%x%x%x", "<physical address>"},
  {"%f[%d]%d+ pages", "<n> pages"},
  {"Linux version [%w.-]+", "Linux version <version>"},
}

function compare.normal(line, is_real)
  for _, rules in ipairs {everywhere, is_real and real or {}} do
    for _, rule in ipairs(rules) do
      line = line:gsub(rule[1], rule[2])
    end
  end
  return line
end

-- "..." on a line of its own stands for any number of lines; at the end of a line, for the
-- rest of the line.
local function line_fits(shown, printed)
  if shown:sub(-4) == " ..." and shown:match("%S.* %.%.%.$") then
    return printed:sub(1, #shown - 3) == shown:sub(1, -4)
  end
  return shown == printed
end

-- Whether the lines from i match those from j; else the first unmatched line of `shown`.
local function fits(shown, printed, i, j)
  while shown[i] do
    if shown[i]:match("^%s*%.%.%.$") then
      local furthest = i + 1
      for k = j, #printed + 1 do
        local ok, at = fits(shown, printed, i + 1, k)
        if ok then
          return true
        end
        furthest = math.max(furthest, at)
      end
      return false, math.min(furthest, #shown)
    elseif not printed[j] or not line_fits(shown[i], printed[j]) then
      return false, i
    end
    i, j = i + 1, j + 1
  end
  return j > #printed, i
end

local function normal_lines(lines, is_real)
  local result = {}
  for i, line in ipairs(lines) do
    result[i] = compare.normal(line, is_real)
  end
  return result
end

-- Returns nil if they match; otherwise a message, and the index of the shown line where the
-- difference starts.
function compare.difference(shown, printed, is_real)
  local ok, at = fits(normal_lines(shown, is_real), normal_lines(printed, is_real), 1, 1)
  if ok then
    return nil
  end
  return ("%s\nwas printed:\n%s"):format(
    shown[at] and "this line was not printed:\n" .. shown[at] or "more was printed than is shown",
    table.concat(printed, "\n")), at
end

return compare
