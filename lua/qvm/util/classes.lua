-- Classes of objects that scripts hold.
--
-- An object's fields whose names begin with "_" are private: pairs, qvm.show and completion at
-- the prompt do not list them.

local function next_public(object, key)
  local value
  repeat
    key, value = next(object, key)
  until type(key) ~= "string" or key:sub(1, 1) ~= "_"
  return key, value
end

local classes = {}

-- __pairs of a class whose objects have private fields.
function classes.public_pairs(object)
  return next_public, object
end

-- Lets scripts call the functions of a class on its objects, except metamethods and those that
-- are named, which are for the rest of the library.
function classes.publish(class, ...)
  local public = {}
  for name, value in next, class do
    if not name:find("^__") then
      public[name] = value
    end
  end
  for _, name in ipairs {...} do
    public[name] = nil
  end
  class.__index = public
  class.__pairs = classes.public_pairs
end

return classes
