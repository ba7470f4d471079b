-- Checks what functions of the library may return, for the scripts in spec/fuzz/lua.

local expect = {}

local codes = {}
for code in ([[not_found permission not_qvm gone malformed truncated too_large unmapped timeout
  unsupported io busy]]):gmatch("%S+") do
  codes[code] = true
end

-- Returns a result unchanged; a failure must have a message that contains the text, and a
-- documented code.
function expect.result(text, value, message, code, ...)
  if value == nil and (message ~= nil or code ~= nil) then
    assert(type(message) == "string" and message:find(text, 1, true),
      "the message does not name its file: " .. tostring(message))
    assert(codes[code], "undocumented code: " .. tostring(code))
  end
  return value, message, code, ...
end

-- Calls an iterator up to so many times. It may raise a runtime failure that names the
-- file.
function expect.each(text, most, iterator, f)
  for _ = 1, most do
    local ok, a, b, c = pcall(iterator)
    if not ok then
      assert(type(a) == "string" and a:find(text, 1, true), a)
      return
    elseif a == nil then
      return
    end
    f(a, b, c)
  end
end

-- Checks that a value's text contains no terminal controls; returns the text.
function expect.escaped(value)
  local text = tostring(value)
  assert(utf8.len(text), "not UTF-8")
  assert(not text:find("[\0-\8\11-\31\127]"), "control characters")
  return text
end

return expect
