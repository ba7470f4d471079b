-- Prints the results: a table of 80 columns, with notes below it, and the table in
-- Markdown. A ratio is a contender's time divided by qvm's: above 1, qvm is faster.

local sheet = {}

local function digits(number)
  return (number < 9.995 and "%.2f" or number < 99.95 and "%.1f" or "%.0f"):format(number)
end

function sheet.duration(seconds)
  if seconds < 1e-3 then
    return digits(seconds * 1e6) .. " us"
  end
  return seconds < 1 and digits(seconds * 1e3) .. " ms" or digits(seconds) .. " s"
end

local function time(found)
  return found and found.median and sheet.duration(found.median) or "-"
end

-- Marks a contender whose result is another than qvm's.
local function differs(found, own)
  return found and found.result and own.result and found.result ~= own.result
end

local function ratio(found, own)
  if not (found and found.median and own.median) then
    return ""
  end
  return digits(found.median / own.median) .. (differs(found, own) and "?" or "")
end

local function cells(name, results, before)
  local own, peer, bound = results.qvm, results.peer, results.bound
  return name, time(own), before and sheet.duration(before) or "", peer and time(peer) or "",
    peer and peer.name or "", ratio(peer, own), bound and time(bound) or "", ratio(bound, own)
end

local columns = "%-23s %7s %7s %7s %-12s %5s %7s %5s"

local function line(...)
  print((columns:format(...):gsub(" +$", "")))
end

function sheet.head()
  line("job", "qvm", "before", "peer", "", "/qvm", "bound", "/qvm")
end

-- Prints the row of a job. before: qvm's previous time, or nil.
function sheet.row(name, results, before)
  line(cells(name, results, before))
end

-- Wraps text at 80 columns with a hanging indent.
local function wrapped(text)
  local result, width = "", 0
  for word in text:gmatch("%S+") do
    if width > 0 and width + 1 + #word > 80 then
      result, width = result .. "\n    " .. word, 4 + #word
    else
      result, width = result .. (width > 0 and " " or "") .. word, width + #word + 1
    end
  end
  return result
end

-- What one contender took, or why it did not run.
local function note(found, own)
  if found.absent then
    return ("%s: absent: %s"):format(found.name, found.absent)
  end
  local text = ("%s: %s - %s (%d)"):format(found.name, sheet.duration(found.min),
    sheet.duration(found.max), found.runs)
  if differs(found, own) then
    text = ("%s, another result: %s, not %s"):format(text, found.result, own.result)
  end
  return text
end

-- The ranges of a job's contenders, as text.
local function notes(name, results)
  local list = {}
  for _, key in ipairs {"qvm", "peer", "bound"} do
    list[#list + 1] = results[key] and note(results[key], results.qvm)
  end
  return wrapped(name .. ": " .. table.concat(list, "; "))
end

-- list: of {name, results}.
function sheet.notes(list)
  print("\nRanges (number of runs); \"?\" marks a result that differs from qvm's:\n")
  for _, entry in ipairs(list) do
    print(notes(entry.name, entry.results))
  end
end

-- The table in Markdown.
function sheet.markdown(list, heading)
  local lines = {heading, "", "| job | qvm | peer | ratio | bound | ratio |",
    "|---|--:|--:|--:|--:|--:|"}
  for _, entry in ipairs(list) do
    local name, own, _, peer, peer_name, first, bound, second = cells(entry.name, entry.results)
    lines[#lines + 1] = ("| %s | %s | %s | %s | %s | %s |"):format(name, own,
      peer_name == "" and "" or peer_name .. " " .. peer, first, bound, second)
  end
  return table.concat(lines, "\n") .. "\n"
end

return sheet
