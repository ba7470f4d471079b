-- qvm.decode (JSON) and qvm.hex.

local cjson = require "cjson"
local qvm = require "qvm"

local function decode(text)
  local value, message = qvm.decode(text)
  assert(value ~= nil, message)
  return value
end

describe("qvm.decode", function()
  it("returns Lua values", function()
    assert.are.same({a = {1, 2.5, "x", true, false}, b = {}}, decode(
      ' {"a" : [1, 2.5, "x", true, false],\r\n\t"b":{} } '))
    assert.are.equal("text", decode('"text"'))
    assert.are.equal(false, decode("false"))
    assert.are.equal(0, decode("-0"))
  end)

  it("represents null as lua-cjson does", function()
    assert.are.equal(cjson.null, decode("null"))
    assert.are.equal(cjson.null, decode('{"a":[null]}').a[1])
  end)

  it("keeps all 64 bits of integers", function()
    assert.are.equal("0xffff800010081234", qvm.hex(decode("18446603336490160692")))
    assert.are.equal("9007199254740993", ("%d"):format(decode("9007199254740993")))
    assert.are.equal(math.maxinteger, decode("9223372036854775807"))
    assert.are.equal(math.mininteger, decode("9223372036854775808"))
    assert.are.equal(math.mininteger, decode("-9223372036854775808"))
    assert.are.equal(-1, decode("18446744073709551615"))
    for _, text in ipairs {"0", "12", "-9007199254740993", "18446603336490160692"} do
      assert.are.equal("integer", math.type(decode(text)))
    end
  end)

  it("returns all other numbers as floats", function()
    for text, value in pairs {["1.0"] = 1.0, ["1e3"] = 1000.0, ["-0.5E-1"] = -0.05,
      ["123456789.125"] = 123456789.125, ["0e0"] = 0.0, ["2.2250738585072014e-308"] = 0x1p-1022} do
      assert.are.equal(value, decode(text))
      assert.are.equal("float", math.type(decode(text)))
    end
  end)

  it("reads numbers of many digits in any locale", function()
    local text = "1." .. ("0"):rep(300) .. "5"
    assert.are.equal(1.0, decode(text))
    if os.setlocale("de_DE.UTF-8", "numeric") then
      local value = decode("1.5")
      os.setlocale("C", "numeric")
      assert.are.equal(1.5, value)
    end
  end)

  it("warns about numbers beyond 64 bits and returns the nearest float", function()
    for text, value in pairs {["18446744073709551616"] = 2.0^64,
      ["-9223372036854775809"] = -2.0^63, ["1e999"] = math.huge} do
      local got, warnings = qvm.decode("[\n " .. text .. "]")
      assert.are.equal(value, got[1])
      assert.are.equal("float", math.type(got[1]))
      assert.are.same({"2:2: this number does not fit 64 bits and is not exact"}, warnings)
    end
  end)

  it("keeps the last of two members with the same name and warns", function()
    local value, warnings = qvm.decode('{"a": 1,\n "b": {"a": 2}, "a": null}')
    assert.are.equal(cjson.null, value.a)
    assert.are.same({'2:17: duplicate member "a": the last one wins'}, warnings)
    local _, none = qvm.decode('{"a": {"a": 1}}')
    assert.is_nil(none)
  end)

  it("compares member names after decoding escapes", function()
    local value, warnings = qvm.decode([[{"a":1,"\u0061":2}]])
    assert.are.same({a = 2}, value)
    assert.are.equal(1, #warnings)
  end)

  it("limits the number of warnings", function()
    local _, warnings = qvm.decode("{" .. ('"a":1,'):rep(100000) .. '"a":1}')
    assert.are.equal(101, #warnings)
    assert.matches("more warnings", warnings[101])
  end)

  it("decodes strings", function()
    assert.are.equal('"\\/\b\f\n\r\t', decode([["\"\\\/\b\f\n\r\t"]]))
    assert.are.equal("a\0b", decode([["a\u0000b"]]))
    assert.are.equal("é€\u{10FFFF}\u{1F600}", decode([["\u00e9\u20AC\uDBFF\uDFFF\ud83d\ude00"]]))
    assert.are.equal("é€\u{10FFFF}\127", decode('"é€\u{10FFFF}\127"'))
  end)

  local function at_depth(n, open, close)
    return open:rep(n) .. (open == "[" and "" or "1") .. close:rep(n)
  end

  it("accepts 512 levels of nesting and no more", function()
    assert.is_table(decode(at_depth(512, "[", "]")))
    assert.is_table(decode(at_depth(512, '{"a":', "}")))
    for _, text in ipairs {at_depth(513, "[", "]"), at_depth(513, '{"a":', "}"),
      ("["):rep(100000)} do
      local value, message, code = qvm.decode(text)
      assert.is_nil(value)
      assert.matches("nested deeper than 512 levels", message)
      assert.are.equal("malformed", code)
    end
  end)

  -- Text that RFC 8259 does not allow, with the position of the error.
  local rejected = {
    -- structure
    {"", "1:1"}, {" ", "1:2"}, {"\n\n", "3:1"}, {"[", "1:2"}, {"[1", "1:3"}, {"[1,", "1:4"},
    {"[1,]", "1:4"}, {"[,1]", "1:2"}, {"[1 2]", "1:4"}, {"[1,,2]", "1:4"}, {"]", "1:1"},
    {"[}", "1:2"}, {"{]", "1:2"}, {"[1}", "1:3"}, {"{", "1:2"}, {'{"a"', "1:5"},
    {'{"a":', "1:6"}, {'{"a":1', "1:7"}, {'{"a":1,', "1:8"}, {'{"a":1,}', "1:8"},
    {'{"a" 1}', "1:6"}, {'{"a"::1}', "1:6"}, {"{1:1}", "1:2"}, {"{a:1}", "1:2"},
    {"{'a':1}", "1:2"}, {'{,"a":1}', "1:2"}, {'{"a":1 "b":2}', "1:8"}, {"{null:1}", "1:2"},
    {'{"a":1]', "1:7"}, {"[1]]", "1:4"}, {"[1] x", "1:5"}, {"1 2", "1:3"}, {"{}{}", "1:3"},
    {"[1]\0", "1:4"}, {"\0[1]", "1:1"}, {"[\f1]", "1:2"}, {"[\u{a0}1]", "1:2"},
    {"\u{feff}[1]", "1:1"}, {"[1]//c", "1:4"}, {"/*c*/[1]", "1:1"}, {"[1]#c", "1:4"},
    {"[*]", "1:2"}, {"<a>", "1:1"}, {"(1)", "1:1"}, {"[1:2]", "1:3"}, {"[=]", "1:2"},
    -- words
    {"nul", "1:1"}, {"nulll", "1:5"}, {"True", "1:1"}, {"truth", "1:1"}, {"fals", "1:1"},
    {"NaN", "1:1"}, {"Infinity", "1:1"}, {"-Infinity", "1:2"}, {"nan", "1:1"},
    {"undefined", "1:1"}, {"[n]", "1:2"}, {"[truefalse]", "1:6"},
    -- numbers
    {"01", "1:1"}, {"-01", "1:2"}, {"00", "1:1"}, {"-", "1:2"}, {"--1", "1:2"}, {"+1", "1:1"},
    {"1.", "1:3"}, {".5", "1:1"}, {"-.5", "1:2"}, {"1.e1", "1:3"}, {"1e", "1:3"},
    {"1e+", "1:4"}, {"1E-", "1:4"}, {"1e1.5", "1:4"}, {"1.2.3", "1:4"}, {"0x10", "1:2"},
    {"1_000", "1:2"}, {"1,000", "1:2"}, {"[1a]", "1:3"}, {"[1e1e1]", "1:5"}, {"[0b1]", "1:3"},
    {"[-a]", "1:3"}, {"[1.a]", "1:4"}, {"[1 000]", "1:4"}, {"2.", "1:3"}, {"-2.", "1:4"},
    {"０", "1:1"}, {"[1.5f]", "1:5"}, {"[1L]", "1:3"},
    -- strings
    {'"', "1:1"}, {'"abc', "1:1"}, {'["', "1:2"}, {"'a'", "1:1"}, {'"a\nb"', "1:3"},
    {'"a\tb"', "1:3"}, {'"a\0b"', "1:3"}, {'"\31"', "1:2"}, {[["\x41"]], "1:2"},
    {[["\a"]], "1:2"}, {[["\v"]], "1:2"}, {[["\'"]], "1:2"}, {[["\0"]], "1:2"},
    {[["\]], "1:2"}, {'"\\\n"', "1:2"}, {'"\\\0"', "1:2"}, {[["\u"]], "1:2"},
    {[["\u12"]], "1:2"}, {[["\u123"]], "1:2"}, {[["\u12G4"]], "1:2"}, {[["\U1234"]], "1:2"},
    {[["\u 123"]], "1:2"}, {[["\u-123"]], "1:2"},
    {[["\ud800"]], "1:2"}, {[["\udc00"]], "1:2"}, {[["\ud800x"]], "1:2"},
    {[["\ud800\n"]], "1:2"}, {[["\ud800\ud800"]], "1:2"}, {[["\ud800\u0041"]], "1:2"},
    {[["\udc00\ud800"]], "1:2"}, {[["\ud800\udc0"]], "1:2"}, {[["\ud800\]], "1:2"},
    {[["ab\ud834"]], "1:4"},
    -- UTF-8
    {'"\x80"', "1:2"}, {'"\xbf"', "1:2"}, {'"\xc0\x80"', "1:2"}, {'"\xc1\xbf"', "1:2"},
    {'"\xc3"', "1:2"}, {'"\xc3("', "1:2"}, {'"\xe0\x80\x80"', "1:2"},
    {'"\xe0\x9f\xbf"', "1:2"}, {'"\xe2\x82"', "1:2"}, {'"\xed\xa0\x80"', "1:2"},
    {'"\xed\xbf\xbf"', "1:2"}, {'"\xf0\x80\x80\x80"', "1:2"}, {'"\xf0\x8f\xbf\xbf"', "1:2"},
    {'"\xf4\x90\x80\x80"', "1:2"}, {'"\xf5\x80\x80\x80"', "1:2"}, {'"\xff"', "1:2"},
    {'"\xfe"', "1:2"}, {'"\xf0\x9f\x98"', "1:2"}, {'"é\xe9"', "1:3"}, {'{"\xff":1}', "1:3"},
    {'"\xf8\x88\x80\x80\x80"', "1:2"}, {'"\xe2\x82\xac\xac"', "1:3"}, {"\xff\xfe[\0", "1:1"},
    {'\xe9', "1:1"}, {"[\xff]", "1:2"}, {'"\xc3', "1:2"},
  }

  for _, case in ipairs(rejected) do
    local text, place = case[1], case[2]
    it(("rejects %q"):format(text), function()
      local value, message, code = qvm.decode(text)
      assert.is_nil(value)
      assert.are.equal("malformed", code)
      assert.are.equal(place, message:match("^(%d+:%d+): %S"))
    end)
  end

  it("reports the position and the error", function()
    local _, message = qvm.decode('{\n  "é": [1, 02]\n}')
    assert.are.equal("2:12: a number must not have leading zeros", message)
  end)

  it("rejects text that is cut at any byte as malformed", function()
    local text = [[{"a": [1, -2.5e3, "x\u00e9\ud83d\ude00y", true, null], "b": {"c": false}}]]
    assert.is_table(decode(text))
    for length = 0, #text - 1 do
      local value, _, code = qvm.decode(text:sub(1, length))
      assert.is_nil(value)
      assert.are.equal("malformed", code)
    end
  end)

  it("raises for arguments that are not strings", function()
    assert.has_error(function() qvm.decode(nil) end,
      "bad argument #1 to 'decode' (string expected, got no value)")
    assert.has_error(function() qvm.decode({}) end,
      "bad argument #1 to 'decode' (string expected, got table)")
  end)
end)

describe("qvm.hex", function()
  it("writes 16 digits", function()
    assert.are.equal("0x0000000000000000", qvm.hex(0))
    assert.are.equal("0xffffffffffffffff", qvm.hex(-1))
  end)

  it("raises for arguments that are not integers", function()
    assert.has_error(function() qvm.hex(1.5) end,
      "bad argument #1 to 'hex' (integer expected, got float)")
    assert.has_error(function() qvm.hex("1") end,
      "bad argument #1 to 'hex' (integer expected, got string)")
  end)
end)
