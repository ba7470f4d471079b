-- The recorded guests that the specs of real guests use. `make test-real` records them; the
-- guests with a kernel of another suite of Debian only if its packages can be downloaded.

local busted = require "busted"
local cjson = require "cjson"
local files = require "support.files"
local lfs = require "lfs"

local guests = {}

guests.root = (os.getenv("QVM_GUESTS") or lfs.currentdir() .. "/build/guests") .. "/"

-- Defines a describe block for each of some guests: body(guest, directory, record). It is
-- pending for an optional guest that is absent.
function guests.each(names, title, body)
  for _, guest in ipairs(names) do
    local directory = guests.root .. guest .. "/"
    local is_optional = guest:find("%-testing$") or guest:find("%-bullseye$")
    if is_optional and not files.exists(directory .. "record.json") then
      busted.pending(title:format(guest) .. ": its kernel was not fetched, or did not boot")
    else
      busted.describe(title:format(guest), function()
        body(guest, directory, cjson.decode(files.read(directory .. "record.json")))
      end)
    end
  end
end

return guests
