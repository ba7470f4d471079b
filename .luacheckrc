std = "lua54"
max_line_length = 100
exclude_files = {"build"}
files["spec/real/*_real.lua"] = {std = "lua54+busted"}
files["spec/*_spec.lua"] = {std = "lua54+busted"}
files["config.ld"] = {std = "+ldoc"}
files[".busted"] = {std = "lua54"}
