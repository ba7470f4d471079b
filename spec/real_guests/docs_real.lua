-- Runs the code blocks of the documents that need dumps of a real guest; the conventions
-- are in spec/docs/docs_spec.lua.

local suite = require "docs.suite"

for _, document in ipairs(require "docs.documents") do
  suite.define(document, true)
end
