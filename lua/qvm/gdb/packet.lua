-- Packets of the GDB remote protocol, as the GDB manual defines them: "$", the text, "#", two
-- digits of checksum. In the text, "}" escapes a character, which is then XORed with 0x20.

local packet = {}

packet.SIZE = 0x4000 -- characters of a packet, in both directions
packet.INTERRUPT = "\3" -- what a client sends outside of packets on Ctrl-C

-- The sum of the bytes, modulo 256. Takes eight at a time, which saves calls.
local function checksum(text)
  local sum, byte = 0, string.byte
  for at = 1, #text - 7, 8 do
    local a, b, c, d, e, f, g, h = byte(text, at, at + 7)
    sum = sum + a + b + c + d + e + f + g + h
  end
  for at = #text - #text % 8 + 1, #text do
    sum = sum + byte(text, at)
  end
  return sum & 0xff
end

local function escape(c)
  return "}" .. string.char(c:byte() ~ 0x20)
end

local function unescape(c)
  return string.char(c:byte() ~ 0x20)
end

-- Escapes bytes for a packet.
function packet.escaped(bytes)
  return (bytes:gsub("[#$}*]", escape))
end

-- Makes a packet of a text.
function packet.of(text)
  local escaped = packet.escaped(text)
  return ("$%s#%02x"):format(escaped, checksum(escaped))
end

local HEX = {}
for value = 0, 255 do
  HEX[string.char(value)] = ("%02x"):format(value)
end

function packet.to_hex(bytes)
  return (bytes:gsub(".", HEX))
end

-- Converts hexadecimal digits to bytes; nil if they are not such digits.
function packet.from_hex(digits)
  if #digits % 2 == 0 and not digits:find("%X") then
    return (digits:gsub("..", function(pair)
      return string.char(tonumber(pair, 16))
    end))
  end
end

-- Converts hexadecimal digits to a number; nil if it has more than 64 bits.
function packet.number(digits)
  local significant = digits:match("^0*(%x+)$")
  if significant and #significant <= 16 then
    return tonumber(significant, 16)
  end
end

local INSIDE = true

-- Returns the text up to "#", or nil at the end of the input. A text that is too long is read to
-- its end and dropped. A "$" starts a new packet: the one before was incomplete.
local function text_of(next_byte)
  local parts, count = {}, 0
  for c in next_byte, INSIDE do
    if c == "#" then
      return count <= packet.SIZE and table.concat(parts), count
    elseif c == "$" then
      parts, count = {}, 0
    else
      count = count + 1
      if count <= packet.SIZE then
        parts[count] = c
      end
    end
  end
end

local function next_packet(next_byte)
  local text, count = text_of(next_byte)
  local sum = count and (next_byte(INSIDE) or "") .. (next_byte(INSIDE) or "")
  if not count or #sum < 2 then
    return nil
  elseif not text then
    return "long"
  elseif packet.number(sum) ~= checksum(text) then
    return "damaged"
  end
  return "packet", (text:gsub("}(.)", unescape))
end

-- Iterates over what a client sends.
-- @tparam function next_byte returns the next byte as a string, nil at the end; its argument
-- is true inside a packet
-- @treturn function iterator over `"packet"` and its text, `"damaged"` (a wrong checksum),
-- `"long"`, `"again"` (the client did not understand the last reply), `"noise"` (the
-- client does not speak this protocol)
function packet.each(next_byte)
  return function()
    for c in next_byte do
      if c == "$" then
        return next_packet(next_byte)
      elseif c == "-" then
        return "again"
      elseif c ~= "+" and c ~= packet.INTERRUPT then -- Ctrl-C has nothing to stop
        return "noise"
      end
    end
  end
end

return packet
