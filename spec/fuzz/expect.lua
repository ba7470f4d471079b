-- What a function of the library may give back, for the scripts beside it.

local expect = {}

local codes = {}
for code in ([[not_found permission not_qvm gone malformed truncated too_large unmapped timeout
  unsupported io busy]]):gmatch("%S+") do
  codes[code] = true
end

-- Passes a result on; a failure must have a message with a text in it and one of the
-- documented codes.
function expect.result(text, value, message, code, ...)
  if value == nil and (message ~= nil or code ~= nil) then
    assert(type(message) == "string" and message:find(text, 1, true),
      "a message that does not name its file: " .. tostring(message))
    assert(codes[code], "an undocumented code: " .. tostring(code))
  end
  return value, message, code, ...
end

-- Calls an iterator up to so many times. It may raise the world's failure, of the file.
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

-- What a value says of itself is fit for a terminal.
function expect.harmless(value)
  local text = tostring(value)
  assert(utf8.len(text), "no UTF-8")
  assert(not text:find("[\0-\8\11-\31\127]"), "control characters")
  return text
end

return expect
