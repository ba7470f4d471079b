assert(package.loadlib(os.getenv("QVM_LINES") .. ".so", "luaopen_lines"))()
