#!/bin/sh
# musl.sh DIRECTORY FLAGS...: builds the core with musl-gcc, warnings as errors, and compares
# what it reads from dumps with what a build for this machine's C library reads. musl-gcc uses
# none of this machine's headers; it is given those of zlib. zlib is Debian's static library,
# whose objects need only functions that musl has.
set -eu
directory=$1
shift
rm -rf "$directory"
mkdir -p "$directory/include" "$directory/dumps"
headers=$(printf '#include <zlib.h>\n' | cc -E -M -x c - | tr ' \\' '\n\n' | grep '/z[a-z]*\.h$')
for header in $headers; do
    ln -s "$header" "$directory/include"
done
archive=$(cc -print-file-name=libz.a)

build() { # build COMPILER NAME FLAGS...
    compiler=$1 name=$2
    shift 2
    for source in csrc/core/*/*.c; do
        "$compiler" "$@" -Icsrc/core -c -o "$directory/$name-$(basename "$source" .c).o" "$source"
    done
    "$compiler" "$@" -Icsrc/core -pthread -o "$directory/$name-reader" spec/cross/reader.c \
        "$directory/$name"-*.o "$archive"
}
build musl-gcc musl "$@" -O2 -Werror -static -isystem "$directory/include"
build cc libc "$@" -O2 -Werror

dumps=$(lua5.4 spec/cross/dumps.lua "$directory/dumps")
for name in libc musl; do
    # shellcheck disable=SC2086
    "$directory/$name-reader" $dumps >"$directory/$name.out"
done
cmp "$directory/libc.out" "$directory/musl.out"
[ "$(grep -c '^qnx ' "$directory/musl.out")" -eq 10 ]
echo "musl: the core builds without warnings and reads 10 dumps like the build for this C library"
