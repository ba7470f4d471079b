-- Prints the table: works, each followed by its measurements. Ratios are relative to the
-- library's time: above 1, the library is faster.

local sheet = {}

local notes = {}
local base, single, expected

local function duration(seconds)
  if seconds < 1e-3 then
    return ("%.1f us"):format(seconds * 1e6)
  elseif seconds < 1 then
    return ("%.2f ms"):format(seconds * 1e3)
  end
  return ("%.2f s"):format(seconds)
end

local function ratio(seconds, to)
  if not to then
    return ""
  end
  local number = seconds / to
  return (number < 10 and "%.2f" or number < 100 and "%.1f" or "%.0f"):format(number)
end

local function line(what, time, first, second, mark)
  local text = ("%-44s %10s %8s %8s %s"):format(what, time, first or "", second or "",
    mark or "")
  print((text:gsub(" +$", "")))
end

-- Adds a note below the table, once.
function sheet.note(text)
  if not notes[text] then
    notes[text] = true
    notes[#notes + 1] = text
  end
end

function sheet.head()
  line("", "time", "/ qvm", "/ 1 core")
end

-- Starts a work.
function sheet.work(title)
  base, single, expected = nil, nil, nil
  print("\n" .. title)
end

local function mark(found)
  if not expected or not found.result or found.result == expected then
    return found.once and "once"
  end
  return "?"
end

-- Prints a row. kind: "qvm" for the reference of the ratios, "one core" for the reference
-- of the second ratio column, or nil.
function sheet.row(name, found, kind)
  if found.absent then
    line("  " .. name, "-")
    sheet.note(name .. ": " .. found.absent)
    return
  end
  if kind == "qvm" then
    base, expected = found.seconds, found.result
  elseif kind == "one core" then
    single = found.seconds
  end
  local to_base = kind ~= "qvm" and base or nil
  local to_single = not kind and single or nil
  line("  " .. name, duration(found.seconds), ratio(found.seconds, to_base),
    ratio(found.seconds, to_single), mark(found))
  if mark(found) == "?" then
    sheet.note(("%s: another result than qvm's: %s, not %s"):format(name, found.result,
      expected))
  end
end

-- A separate row without ratios.
function sheet.fact(name, text)
  line("  " .. name, text)
end

-- Wraps text at 78 characters with a hanging indent.
local function wrapped(text)
  local result, width = "  ", 2
  for word in text:gmatch("%S+") do
    if width > 4 and width + 1 + #word > 78 then
      result, width = result .. "\n    ", 4
    elseif width > 4 or width == 2 and result ~= "  " then
      result, width = result .. " ", width + 1
    end
    result, width = result .. word, width + #word
  end
  return result
end

function sheet.finish()
  print()
  for _, note in ipairs(notes) do
    print(wrapped(note))
  end
end

return sheet
