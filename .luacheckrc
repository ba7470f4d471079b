std = "lua54"
max_line_length = 100
exclude_files = {"build"}
files["spec/real_guests/*_real.lua"] = {std = "lua54+busted"}
files["spec/browser/*_html.lua"] = {std = "lua54+busted"}
files["spec/fleet/*_fleet.lua"] = {std = "lua54+busted"}
files["spec/concurrency/*_races.lua"] = {std = "lua54+busted"}
files["spec/qvmlua/*_qvmlua.lua"] = {std = "lua54+busted"}
files["spec/fault_injection/lines.lua"] = {ignore = {"122"}} -- it stands before Lua's own functions
files["spec/fault_injection/*_starve.lua"] = {std = "lua54+busted"}
files["spec/*/*_spec.lua"] = {std = "lua54+busted"}
-- 143: the assertions that qvm.assertions adds
files["spec/host/record_spec.lua"] = {ignore = {"143"}}
files["spec/host/errata_spec.lua"] = {ignore = {"143"}}
files["examples/*_spec.lua"] = {std = "lua54+busted", ignore = {"143"}}
files["config.ld"] = {std = "+ldoc"}
files[".busted"] = {std = "lua54"}
