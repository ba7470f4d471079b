--- Reads `.qvmconf` files and checks them against running VMs.
--
-- docs/configuration.md says which parts of the syntax are documented, and how we read
-- the others.
-- @module qvm.conf

local check = require "qvm.util.arguments"
local errors = require "qvm.util.errors"
local line = require "qvm.util.text"
local read = require "qvm.host.conf_reader"

local conf = {}

local Conf = {__name = "Conf"}

Conf.__tostring = line.tostring("Conf", function(configuration)
  local cpus = #configuration.cpus
  return ("Conf %s: %s, %s, %s"):format(line.cut(table.concat(configuration.paths, " ")),
    configuration.system and line.cut(configuration.system) or "no system",
    cpus == 0 and "no cpu option (one vCPU)" or line.count(cpus, "cpu"),
    line.count(#configuration.vdevs, "vdev"))
end)

--- Reads a configuration and the files that it includes.
--
-- Several files, and then options, are read in order, as by
-- `qvm @common @linux1 set debug off`. A relative name after `@` is relative to the file
-- that contains it.
-- @tparam string|{string,...} path of the file, or of several
-- @tparam ?table options
-- @tparam[opt] string|{string,...} options.options what follows the files on qvm's command
-- line: a text in the syntax of a file, or an array of words
-- @treturn[1] Conf the configuration
-- @return[2] nil, message, code: `malformed` (the message has file:line),
-- `not_found` `permission` `unsupported` (not a regular file) `io`; `too_large`: more than
-- 1 MiB of text, 65536 options or 1000 files
-- @usage conf = assert(qvm.conf.load("linux1.qvmconf"))
function conf.load(path, options)
  local paths = {path}
  if type(path) == "table" then
    paths = table.move(path, 1, #path, 1, {})
  end
  for i = 1, math.max(#paths, 1) do
    check.path(paths[i], 1, "load")
  end
  check.options(options, "load", {options = "string or array of strings"}, 2)
  local result = setmetatable({path = paths[1], paths = paths, ram = {}, cpus = {}, vdevs = {},
    loggers = {}, set = {}, others = {}}, Conf)
  return errors.catch(read, result, paths, options and options.options)
end

--- Checks a configuration against what a running VM reports.
--
-- Of several `set` options of one variable in one context, the last counts.
--
-- With `variables`, each `set` is also checked against the variables that this qvm knows:
-- name, type of the value, and context. Variables that are not set and whose names contain
-- the id of a reported erratum are findings too (`cannot tell`): the erratum then has the
-- default of this qvm.
-- @tparam Conf configuration from `load`
-- @tparam qvm.vm.VM vm
-- @tparam ?table options
-- @tparam[opt] string options.variables the output of `qvm set ?` on the board
-- @treturn[1] {Finding,...} findings
-- @return[2] nil, message, code: as `VM:env`; `malformed`: `variables` lists no variable;
-- `too_large`: more than 65536 findings, or variables
-- @usage findings = assert(qvm.conf.check(conf, vm))
function conf.check(configuration, vm, options)
  check.object(configuration, Conf, 1, "check")
  check.options(options, "check", {variables = "string"}, 3)
  local env, message, code = vm:env()
  if not env then
    return nil, message, code
  end
  return require "qvm.host.conf_check".findings(configuration, vm, env,
    options and options.variables)
end

--- The variables that a qvm knows.
--
-- They are read from the output of `qvm set ?`. Rows have the form `name (type, context)`,
-- which an 8.0 qvm was seen to print. Other lines are left out.
-- @tparam string text the output of `qvm set ?` on the board
-- @treturn[1] {Variable,...} variables, in the order of the text
-- @return[2] nil, message, code: `malformed`: the text lists no variable; `too_large`: more
-- than 65536 variables
-- @usage variables = assert(qvm.conf.variables(text))
function conf.variables(text)
  check.string(text, 1, "variables")
  return errors.catch(require "qvm.host.conf_variables".list, text)
end

--- A configuration. Arguments are the text in the file. If an option is repeated in
-- one context, the last one is used.
-- @table Conf
-- @tfield string path the file, the first of several
-- @tfield {string,...} paths the files
-- @tfield ?string system the system name, nil if there is none
-- @tfield ?string system_file file of the option
-- @tfield ?integer system_line line of the option
-- @tfield {ConfCpu,...} cpus empty if there are none: the VM then has one vCPU
-- @tfield {ConfRam,...} ram
-- @tfield ?ConfDump dump nil if there is none
-- @tfield {ConfLogger,...} loggers
-- @tfield {ConfVdev,...} vdevs
-- @tfield {ConfSet,...} set all variables that are set
-- @tfield {ConfOther,...} others all other options, in order
-- @usage print(conf.system, #conf.cpus, #conf.vdevs)

--- A `cpu` option.
-- @table ConfCpu
-- @tfield ?string name
-- @tfield ?string runmask such as `0,1`
-- @tfield ?string sched such as `10`, `10r`, or `10,8,3,5,2`
-- @tfield ?string partition
-- @tfield ?string cluster
-- @tfield {[string]=string} set values of its variables by name
-- @tfield string file that contains it
-- @tfield integer line
-- @usage for _, cpu in ipairs(conf.cpus) do print(cpu.runmask, cpu.sched) end

--- A `ram` option.
-- @table ConfRam
-- @tfield ?integer address nil if qvm chooses it
-- @tfield integer size bytes
-- @tfield string file that contains it
-- @tfield integer line
-- @usage for _, ram in ipairs(conf.ram) do print(ram.address, ram.size) end

--- The `dump` option.
-- @table ConfDump
-- @tfield ?string directory nil if the dump goes to a command
-- @tfield ?string command
-- @tfield string file that contains it
-- @tfield integer line
-- @usage print(conf.dump and conf.dump.directory)

--- A `logger` option.
-- @table ConfLogger
-- @tfield {string,...} filters
-- @tfield string destination
-- @tfield string file that contains it
-- @tfield integer line
-- @usage for _, logger in ipairs(conf.loggers) do print(logger.destination) end

--- A `vdev` option.
-- @table ConfVdev
-- @tfield string type without `vdev-` and `.so`: `pl011` for `vdev-pl011.so`
-- @tfield ?string name of its node, or the absolute path of the node
-- @tfield ?string loc
-- @tfield ?string intr
-- @tfield ?string hostdev
-- @tfield ?string peer
-- @tfield {[string]=string} set values of its variables by name
-- @tfield string file that contains it
-- @tfield integer line
-- @usage for _, vdev in ipairs(conf.vdevs) do print(vdev.type, vdev.name) end

--- A `set` option.
-- @table ConfSet
-- @tfield string name
-- @tfield string value
-- @tfield "global"|"cpu"|"vdev" context
-- @tfield ?integer index of the cpu or vdev, from 0
-- @tfield string file that contains it
-- @tfield integer line
-- @usage for _, set in ipairs(conf.set) do print(set.name, set.value) end

--- Any other option, known or not.
--
-- Such as `load`, `initrd`, `cmdline`, `pass` and `reserve`. Options of a `pass` or a
-- `reserve` are among its arguments.
-- @table ConfOther
-- @tfield string name
-- @tfield {string,...} arguments
-- @tfield string file that contains it
-- @tfield integer line
-- @usage for _, other in ipairs(conf.others) do print(other.name, other.line) end

--- A result of `qvm.conf.check`.
-- @table Finding
-- @tfield string what was checked
-- @tfield string expected by the configuration
-- @tfield ?string actual nil if it cannot be seen
-- @tfield string verdict `"ok"`, `"differs"` or `"cannot tell"`
-- @tfield string file of the option; of `system` if no option is meant
-- @tfield integer line of the option; without any, of `system`, or 1
-- @usage for _, f in ipairs(findings) do print(f.verdict, f.what, f.file, f.line) end

--- A variable of a qvm, as `qvm.conf.variables` returns it.
-- @table Variable
-- @tfield string name
-- @tfield string type such as `boolean`, `tristate`, `number`, `address` or `string`
-- @tfield string context in which it may be set, such as `global`; several are separated by
-- a comma and a blank
-- @usage for _, v in ipairs(variables) do print(v.name, v.type, v.context) end

return line.with_name("qvm.conf", conf)
