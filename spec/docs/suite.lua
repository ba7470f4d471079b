-- One test for each code block of the documents.

local busted = require "busted"
local compare = require "docs.compare"
local markdown = require "docs.markdown"
local process = require "support.process"
local sandbox = require "docs.sandbox"
local session = require "docs.session"

local suite = {}

local function fail(document, line, message)
  error(("%s:%d: %s"):format(document, line, message), 0)
end

-- A program that keeps running in the background is a VM: wait until its env exists.
local function run_command(box, text)
  local before = box:vms()
  local status, printed = box:run(text)
  if text:match("&%s*$") then
    assert(process.eventually(function()
      return box:vms() > before
    end), "no VM is there that was not before")
  end
  return status, printed
end

local function run_step(box, step)
  if step.kind == "start" then
    box:start_lua(step.text)
    return true, {}
  elseif step.kind == "lua" then
    return box:type(step.input)
  end
  local status, printed = run_command(box, step.text)
  return status and (status == 0 or #step.shown > 0), printed
end

local function run_session(box, document, lines, first_line, check)
  for _, step in ipairs(session.steps(lines, first_line)) do
    local ok, printed = run_step(box, step)
    if not ok then
      fail(document, step.line, "this failed:\n" .. table.concat(printed, "\n"))
    end
    check(step, printed)
  end
end

-- A hidden session: its commands must succeed, and its Lua code must not raise an error.
local function run_given(box, document, given)
  run_session(box, document, given.lines, given.line, function(step, printed)
    local text = table.concat(printed, "\n")
    if step.kind == "lua" and text:find("\nstack traceback:", 1, true) then
      fail(document, step.line, "this failed:\n" .. text)
    end
  end)
end

-- Does a block need the dump of a real guest, itself or in what runs before it?
local function is_real(block)
  local text = table.concat(block.lines, "\n")
  for _, given in ipairs(block.given) do
    text = text .. table.concat(given.lines, "\n")
  end
  return text:find("build/guests/", 1, true) ~= nil
end

local runners = {}

function runners.lua(box, document, block)
  local ok, printed, problem = box:block(block.lines, document, block.line)
  if not ok and problem:sub(1, #document + 1) == document .. ":" then
    error(problem, 0)
  elseif not ok then
    fail(document, block.line, problem)
  end
  box.printed = printed
end

function runners.sh(box, document, block)
  local status, printed = box:run(table.concat(block.lines, "\n"), "-e")
  if status ~= 0 then
    fail(document, block.line, "a command failed:\n" .. table.concat(printed, "\n"))
  end
  box.printed = printed
end

function runners.session(box, document, block)
  run_session(box, document, block.lines, block.line + 1, function(step, printed)
    local message, at = compare.difference(step.shown, printed, is_real(block))
    if message then
      fail(document, step.line + (step.kind == "lua" and 0 or 1) + at - 1, message)
    end
  end)
end

function runners.output(box, document, block)
  local message, at = compare.difference(block.lines, box.printed or {}, is_real(block))
  if message then
    fail(document, block.line + at, message)
  end
end

local function runner_of(block)
  return block.is_output and "output" or runners[block.language] and block.language
    or session.is(block.lines) and "session" or nil
end

local function run_block(box, document, block)
  for _, given in ipairs(block.given) do
    run_given(box, document, given)
  end
  runners[runner_of(block)](box, document, block)
end

local function title_of(document, block)
  local first = block.lines[1] or ""
  return ("%s:%d (%s): %s"):format(document, block.line,
    block.reason and "not run: " .. block.reason or runner_of(block) or "unknown",
    #first > 50 and first:sub(1, 47) .. "..." or first)
end

-- Runs all blocks before this one, each once, since blocks share state.
local function run_until(chapter, document, last)
  for _, block in ipairs(chapter.blocks) do
    if runner_of(block) and not block.reason and block.ok == nil
      and is_real(block) == is_real(last) then
      block.ok, block.problem = pcall(run_block, chapter.box, document, block)
    end
    if block == last then
      break
    end
  end
end

-- Raises an error if a block differs from the document.
local function check(chapter, document, block)
  if block.reason then
    if block.reason == "" then
      fail(document, block.line, "it must be said why a block is not run")
    end
  elseif not runner_of(block) then
    fail(document, block.line, "neither run nor marked: see the comment in spec/docs/docs_spec.lua")
  else
    run_until(chapter, document, block)
    if not block.ok then
      error(block.problem, 0)
    end
  end
end

-- Defines tests for the blocks of a document: either those that need a real guest's dump or
-- the others. why_not: the reason if they cannot be run.
function suite.define(document, real, why_not)
  for _, chapter in ipairs(markdown.chapters(document)) do
    busted.describe("the blocks of", function()
      busted.lazy_setup(function()
        chapter.box = sandbox.open()
      end)
      busted.lazy_teardown(function()
        chapter.box:close()
      end)
      for _, block in ipairs(chapter.blocks) do
        local title = title_of(document, block)
        if why_not then
          busted.pending(title .. ": " .. why_not)
        elseif is_real(block) == real then
          busted.it(title, function() check(chapter, document, block) end)
        elseif not real then
          busted.pending(title .. ": by `make test-real`")
        end
      end
    end)
  end
end

-- Returns the problems of a document's blocks, as an array of messages.
function suite.problems(document)
  local problems = {}
  for _, chapter in ipairs(markdown.chapters(document)) do
    chapter.box = chapter.blocks[1] and sandbox.open()
    for _, block in ipairs(chapter.blocks) do
      local ok, problem = pcall(check, chapter, document, block)
      problems[#problems + 1] = not ok and problem or nil
    end
    if chapter.box then
      chapter.box:close()
    end
  end
  return problems
end

return suite
