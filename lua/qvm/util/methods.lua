-- Methods of a class.

--- Lets scripts reach the methods of a class on its objects: all functions of the class but
-- metamethods and those that are named, which are for the rest of the library.
return function(class, ...)
  local methods = {}
  for name, value in next, class do
    if not name:find("^__") then
      methods[name] = value
    end
  end
  for _, name in ipairs {...} do
    methods[name] = nil
  end
  class.__index = methods
end
