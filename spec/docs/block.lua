-- Runs a ```lua block in the interpreter of its chapter. The interpreter calls the function
-- that this file returns with the block's file (written by sandbox.lua), the document and
-- the block's line.
--
-- Locals at the left margin become globals, as at the prompt, so that later blocks can use
-- them. A block must execute each of its lines that print: otherwise a loop without
-- iterations would hide an error in its body.

local function as_typed(line)
  local names, rest = line:match("^local ([%w_, <>]+)(=.*)$")
  if names then
    return names:gsub("<%a+>", "") .. rest
  end
  return (line:gsub("^local function ", "function "):gsub("^local ([%w_, ]+)$", "%1 = nil"))
end

local function prints(line)
  return line:gsub("%-%-.*", ""):find("print(", 1, true)
end

local function load_block(path, document, first_line)
  local lines, wanted = {}, {}
  for line in io.lines(path) do
    lines[#lines + 1] = as_typed(line)
    if prints(line) then
      wanted[first_line + #lines] = true
    end
  end
  local source = ("\n"):rep(first_line) .. table.concat(lines, "\n")
  local block, problem = load(source, "@" .. document)
  return block or error(problem, 0), wanted
end

return function(path, document, first_line)
  local ok, problem = pcall(function()
    local block, wanted = load_block(path, document, first_line)
    debug.sethook(function(_, line)
      if debug.getinfo(2, "S").source == "@" .. document then
        wanted[line] = nil
      end
    end, "l")
    block()
    debug.sethook()
    local missed = next(wanted)
    if missed then
      error(("%s:%d: the block did not get to this line"):format(document, missed), 0)
    end
  end)
  debug.sethook()
  print(ok and "\1ok" or "\1" .. problem)
end
