-- Services of the operating system that Lua itself does not have, for the commands and the
-- prompt. They are functions of the C module, under one roof: everything else in it belongs
-- to the library alone. Those that can fail return nil, message, code.

local core = require "qvm.core"

return {
  -- Terminals and standard input ------------------------------------------------------

  -- is_terminal(descriptor): whether 0, 1 or 2 (input, output, errors) is a terminal.
  is_terminal = core.is_terminal,

  -- await_input(): true once standard input can be read, false on Ctrl-C.
  await_input = core.await_input,

  -- read_input(milliseconds): what standard input has; "" at its end; nil if it has nothing
  -- within that time (-1: no limit) or a signal came.
  read_input = core.read_input,

  -- is_output_closed(): whether nobody can read standard output any more.
  is_output_closed = core.is_output_closed,

  -- catch_interrupts(): from now on Ctrl-C only ends `await_input` and `interruptible`.
  catch_interrupts = core.catch_interrupts,

  -- interruptible(f, ...): like pcall; Ctrl-C raises "interrupted!" in f.
  interruptible = core.interruptible,

  -- Files and directories ---------------------------------------------------------------

  -- save(path, bytes [, private]): writes a file as a whole or not at all.
  save = core.save,

  -- read_file(path): the bytes of a regular file.
  read_file = core.read_file,

  -- read_env(path [, milliseconds [, piece]]): the bytes of an env, whose server has so long to
  -- answer (2000); piece: how many bytes one read asks for at most.
  read_env = core.read_env,

  -- entries(directory): an array of the names in it, unsorted, without "env".
  entries = core.entries,

  -- stat(path): size, identity, kind ("file", "directory", "other"), and the time of the
  -- last change, in seconds since 1970.
  stat = core.stat,

  -- lstat(path): the same of a symbolic link itself, whose kind is "other".
  lstat = core.lstat,

  -- make_directory(path [, private]), make_private(path): make a directory, a regular file for
  -- this user alone; they return true. make_private changes the mode of a file that exists.
  make_directory = core.make_directory,
  make_private = core.make_private,

  -- check_safe_directory(path): true if only root and this user can change what is in it.
  check_safe_directory = core.check_safe_directory,

  -- remove_directory(path [, first]): removes this user's directory with the files in it, the
  -- one called `first` before all others; true. It follows no symbolic link.
  remove_directory = core.remove_directory,

  -- create_file(path): a new file for this user alone, open for writing; "busy" if the name is
  -- taken, even by a symbolic link.
  create_file = core.create_file,

  -- open_file(path [, checked]): a regular file; checked: not through a symbolic link.
  open_file = core.open_file,

  -- dump_file(dump): a Dump's own file, whatever its path means by now.
  dump_file = core.dump.file,

  -- compress_file(file, path, to): compresses an open file with gzip into a new one, for this
  -- user alone; true. path: what messages call it.
  compress_file = core.compress_file,

  -- remove_file(path, file): removes the name if it refers to this open file; true.
  remove_file = core.remove_file,

  -- Host --------------------------------------------------------------------------------

  -- host_name(): "" if the host has no name.
  host_name = core.host_name,

  -- now(): milliseconds of a monotonic clock.
  now = core.now,

  -- sleep(milliseconds): returns early when a signal arrives.
  sleep = core.sleep,
}
