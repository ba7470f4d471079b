-- Checks the documents as pages: link targets exist, each page takes at most ten minutes to
-- read, and the pictures are small and up to date with their scripts.

local files = require "support.files"
local lfs = require "lfs"

local WORDS_MAX, PICTURES_MAX, README_LINES_MAX = 2100, 60 * 1024, 75

local function documents()
  local list = {"README.md", "CHANGELOG.md", "examples/fleet/README.md"}
  for name in lfs.dir("docs") do
    if name:match("%.md$") then
      list[#list + 1] = "docs/" .. name
    end
  end
  table.sort(list)
  return list
end

-- The text without code blocks and hidden comments.
local function prose(path)
  local text = "\n" .. files.read(path)
  return (text:gsub("\n```.-\n```", "\n"):gsub("<!%-%-.-%-%->\n", ""))
end

-- The anchors of a page's headings, as common Markdown renderers name them.
local function anchors(path)
  local set = {}
  for title in prose(path):gmatch("\n#+ ([^\n]*)") do
    set[title:lower():gsub("[^%w_ -]", ""):gsub(" ", "-")] = true
  end
  return set
end

local function resolve(document, path)
  if path == "" then
    return document
  end
  local whole = (document:match("^(.*/)") or "") .. path
  local count
  repeat
    whole, count = whole:gsub("[^/.]+/%.%./", "", 1)
  until count == 0
  return whole
end

describe("the documents", function()
  it("link to files and headings that exist", function()
    local missing, found = {}, 0
    for _, document in ipairs(documents()) do
      for link in prose(document):gmatch("%]%(([^)]*)%)") do
        local path, anchor = link:match("^([^#]*)#?(.*)$")
        if not path:match("^https?:") then
          found = found + 1
          path = resolve(document, path)
          if not files.exists(path) or anchor ~= "" and not anchors(path)[anchor] then
            missing[#missing + 1] = document .. ": " .. link
          end
        end
      end
    end
    assert.are.same({}, missing)
    assert.is_true(found > 50)
  end)

  it("are pages of at most ten minutes", function()
    local long = {}
    for _, document in ipairs(documents()) do
      local _, words = files.read(document):gsub("%S+", "")
      if words > WORDS_MAX then
        long[#long + 1] = ("%s: %d words"):format(document, words)
      end
    end
    assert.are.same({}, long)
  end)

  it("start with a README of at most two screens", function()
    local text = files.read("README.md"):match("^(.-)\n## More\n"):gsub("<!%-%-.-%-%->\n", "")
    local _, lines = text:gsub("\n", "")
    assert.is_true(lines <= README_LINES_MAX, lines .. " lines")
  end)

  it("have small pictures, and the addresses as their script draws them", function()
    local size = 0
    for _, path in ipairs {"docs/addresses.svg", "docs/report.png"} do
      size = size + assert(lfs.attributes(path, "size"))
    end
    assert.is_true(size <= PICTURES_MAX, size .. " bytes")
    local pipe <close> = assert(io.popen(
      (os.getenv("LUA") or "lua5.4") .. " docs/pictures/addresses.lua"))
    assert.are.equal(files.read("docs/addresses.svg"), pipe:read("a"))
  end)
end)
