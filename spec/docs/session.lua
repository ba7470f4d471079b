-- Parses the sessions in the documents: `$ command` for the shell, `> line` for Lua's
-- prompt, each followed by its output.

local session = {}

-- Whether a block is a session.
function session.is(lines)
  return lines[1] ~= nil and lines[1]:match("^[$>] ") ~= nil
end

-- Ends a step if the next line is for another interpreter.
local function is_interpreter(command, next_line)
  return command:match("^lua5%.4 %-") and (next_line or ""):match("^> ") ~= nil
end

-- Returns the steps, in order. `kind` is "shell" (`text`: the command), "start" (a new
-- interpreter), or "lua" (`input`: the typed lines). `shown`: the expected output (with
-- "lua" including the typed lines, as on the terminal). `line`: its first line.
function session.steps(lines, first_line)
  local steps, step = {}, nil
  local function begin(kind, i)
    step = {kind = kind, line = first_line + i - 1, shown = {}, input = {}}
    steps[#steps + 1] = step
  end
  local i = 1
  while i <= #lines do
    local line = lines[i]
    if line:match("^%$ ") then
      begin("shell", i)
      step.text = line:sub(3)
      while step.text:sub(-1) == "\\" do
        i = i + 1
        step.text = step.text .. "\n" .. lines[i]
      end
      if is_interpreter(step.text, lines[i + 1]) then
        step.kind = "start"
      end
    else
      if line:match("^> ") and step and step.kind == "lua" or line:match("^>> ") then
        step.input[#step.input + 1] = line:match("^>>? (.*)")
      elseif line:match("^> ") then
        begin("lua", i)
        step.input[1] = line:sub(3)
      end
      step.shown[#step.shown + 1] = line
    end
    i = i + 1
  end
  -- Blank lines between two commands are layout.
  for _, each in ipairs(steps) do
    while each.shown[#each.shown] == "" do
      each.shown[#each.shown] = nil
    end
  end
  return steps
end

return session
