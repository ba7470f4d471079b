-- Text for people, and JSON.

local cjson = require "cjson"
local json = require "qvm.util.json_writer"
local text = require "qvm.util.text"

local function sorted(list)
  table.sort(list, text.natural_before)
  return table.concat(list, " ")
end

describe("natural order", function()
  it("compares numbers by value", function()
    assert.are.equal("x2 x10 x10a x10b y1", sorted {"y1", "x10b", "x10", "x2", "x10a"})
    assert.are.equal("9 10 99999999999999999998 99999999999999999999", sorted {
      "99999999999999999999", "10", "99999999999999999998", "9"})
    assert.are.equal("1 a a1 a1b a2", sorted {"a2", "a", "a1b", "1", "a1"})
  end)

  it("is total", function()
    assert.are.equal("x002 x02 x2", sorted {"x2", "x002", "x02"})
    local names = {"", "0", "00", "1", "a", "a0", "a00", "a0b", "a00b", "a-1", "-", "-1", "1-"}
    for _, a in ipairs(names) do
      for _, b in ipairs(names) do
        assert.are.equal(a ~= b, text.natural_before(a, b) ~= text.natural_before(b, a))
        for _, c in ipairs(names) do
          assert.is_true(not text.natural_before(a, b) or not text.natural_before(b, c)
            or text.natural_before(a, c), ("%q %q %q"):format(a, b, c))
        end
      end
    end
  end)
end)

describe("a value as text", function()
  it("is one line", function()
    for shown, value in pairs {['"a\\n\\"\\\\"'] = 'a\n"\\', ['"\\x1b[0m"'] = "\27[0m",
      ["0xffffffffffffffff"] = -1, ["5"] = 5, ["0.5"] = 0.5, ["null"] = cjson.null,
      ["true"] = true, ["{...}"] = {1}} do
      assert.are.equal(shown, text.value(value))
    end
    assert.are.equal(('"%s" ... (201 bytes)'):format(("x"):rep(200)), text.value(("x"):rep(201)))
    assert.are.equal(('"%s" ... (33 bytes)'):format(("\\x00"):rep(32)), text.value(("\0"):rep(33)))
    assert.are.equal(('"%s" ... (202 bytes)'):format(("x"):rep(199)),
      (text.value(("x"):rep(199) .. "\u{20ac}"):gsub("\u{20ac}", "")))
  end)

  it("is unchanged if it is raw", function()
    assert.are.equal('a\n"', text.raw 'a\n"')
    assert.are.equal("0x8000000000000000", text.raw(math.mininteger))
  end)
end)

describe("JSON", function()
  it("has the members in the given order, or sorted", function()
    assert.are.equal('{"a": 1, "b": [true, null], "c": {}}',
      json.encode {c = {}, a = 1, b = {true, cjson.null}})
    assert.are.same({'"z": 1', '"a": []'}, json.members({{"z", 1}, {"none", nil}, {"a", {}}},
      {comma = ", ", colon = ": ", arrays = {a = true}}))
  end)

  it("depends on the style", function()
    local parts = {}
    json.write(function(part) parts[#parts + 1] = part end,
      setmetatable({list = {}, texts = {"1", "[2]"}, name = "\255"}, {nullable = {"none"}}),
      {comma = ",", colon = ":", lenient = true, arrays = {list = true}, raw = {texts = true}})
    assert.are.equal('{"list":[],"name":"\\ufffd","none":null,"texts":[1,[2]]}',
      table.concat(parts))
  end)

  it("refuses some values", function()
    for problem, value in pairs {["NaN has no form in JSON"] = {0 / 0},
      ["a string is not UTF-8"] = {a = "\255"}, ["a function has no form in JSON"] = print,
      ["a member's name is a number"] = {[2] = 1}} do
      assert.are.same({nil, problem, "unsupported"}, {json.encode(value)}, problem)
      assert.are.equal(problem, select(2, json.members {{"a", value}}))
      assert.error_matches(function() json.write(function() end, value) end, problem, 1, true)
    end
  end)
end)
