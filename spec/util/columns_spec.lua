-- The number of columns of a text, by which commands and the prompt align tables.

local columns = require "qvm.util.columns"

describe("a text takes", function()
  it("one column for a plain character, two for a wide one, none for a combining one", function()
    for text, count in pairs {[""] = 0, abc = 3, ["\u{fc}\u{3b1}\u{416}"] = 3,
      ["\u{65e5}\u{672c}"] = 4, ["\u{d55c}"] = 2, ["\u{1100}\u{1161}"] = 2, ["\u{ff21}"] = 2,
      ["\u{ff71}"] = 1, ["e\u{301}"] = 1, ["\u{200b}\u{feff}"] = 0, ["\u{1f600}"] = 2,
      ["\u{20000}"] = 2, ["\u{e0100}"] = 0, ["\u{10ffff}"] = 1, ["\u{3000}"] = 2,
      ["\u{a0}"] = 1, ["\u{2588}"] = 1} do
      assert.are.equal(count, columns.of(text), text)
    end
    assert.are.equal(2, columns.of("\xff\xfe")) -- not UTF-8
  end)

  it("as many columns as it is padded to", function()
    assert.are.equal("\u{65e5} |", columns.pad("\u{65e5}", 3) .. "|")
    assert.are.equal("abcd", columns.pad("abcd", 3))
  end)
end)
