-- The levels of the kernel log of real Linux guests, and that none of them has crashed.

local files = require "support.files"
local guests = require "real_guests.guests"
local qvm = require "qvm"

local NAMES = {"x86_64", "x86_64-la57", "aarch64", "aarch64-16k", "x86_64-testing",
  "aarch64-testing"}

guests.each(NAMES, "the log of a %s guest", function(_, directory)
  after_each(files.clean)

  for _, name in ipairs {"first.elf", "second.elf"} do
    it("shows no crash in " .. name, function()
      local dump <close> = assert(qvm.open(directory .. name))
      assert.are.same({n = 1}, table.pack(dump:crash()))
    end)

    it("has the levels and facilities that were written in " .. name, function()
      local dump <close> = assert(qvm.open(directory .. name))
      local of_programs, first = 0, nil
      for message in dump:dmesg() do
        first = first or message
        -- init.sh writes through /dev/kmsg, where the default is user.warning.
        local is_of_init = message.text:find("^iomem: ") or message.text:find("^symbol: ")
          or message.text == "qvm: ready"
        assert.are.equal(is_of_init and "user" or "kern", message.facility, message.text)
        assert.is_true(not is_of_init or message.level == 4)
        of_programs = of_programs + (is_of_init and 1 or 0)
      end
      assert.is_true(of_programs >= 7, of_programs)
      -- What these messages of the kernel's sources have: pr_notice(linux_banner) on x86,
      -- pr_info("Booting Linux on physical CPU ...") on arm64; pr_info("Run %s as ...") and
      -- pr_debug of its environment.
      assert.are.equal(first.text:find("^Booting Linux") and 6 or 5, first.level)
      local levels = {}
      for message in dump:dmesg() do
        levels[message.text:match("^Run /init") or message.text:match("^%s+(HOME)=")
          or ""] = message.level
      end
      assert.are.same({6, 7}, {levels["Run /init"], levels.HOME})
    end)

    it("has its last messages in " .. name, function()
      local dump <close> = assert(qvm.open(directory .. name))
      local all, last = {}, {}
      for message in dump:dmesg {level = "notice"} do
        all[#all + 1] = tostring(message)
      end
      for message in dump:dmesg {level = 5, last = 10} do
        last[#last + 1] = tostring(message)
      end
      assert.are.same(table.move(all, #all - 9, #all, 1, {}), last)
    end)
  end
end)
