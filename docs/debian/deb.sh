#!/bin/sh
# deb.sh DIRECTORY VERSION: builds the Debian package from the source archive
# DIRECTORY/qvm-VERSION.tar.gz, and leaves it and its .changes file in DIRECTORY/deb.
#
# The sources are unpacked there, and the files of docs/debian are copied into them as debian/.
# What they leave open is filled in: the maintainer is DEBFULLNAME <DEBEMAIL>, as for Debian's
# own tools; the day is that of the version in CHANGELOG.md; the license is LICENSE.
set -eu
directory=$1 version=$2
top=$directory/deb
sources=$top/lua-qvm-$version
maintainer="${DEBFULLNAME:-qvm authors} <${DEBEMAIL:-qvm-authors@localhost.localdomain}>"

rm -rf "$top"
mkdir -p "$top"
cp "$directory/qvm-$version.tar.gz" "$top/lua-qvm_$version.orig.tar.gz"
tar -xzf "$top/lua-qvm_$version.orig.tar.gz" -C "$top"
mv "$top/qvm-$version" "$sources"

mkdir -p "$sources/debian/source"
cp docs/debian/control docs/debian/copyright docs/debian/rules docs/debian/lua-qvm.* \
    "$sources/debian"
echo "3.0 (quilt)" >"$sources/debian/source/format"

day=$(sed -n "s/^## \[$version\] - //p" CHANGELOG.md)
cat >"$sources/debian/changelog" <<TEXT
lua-qvm ($version-1) unstable; urgency=medium

  * Version $version: its changes are in CHANGELOG.md.

 -- $maintainer  $(LC_ALL=C date -u -R -d "$day")
TEXT

# In the copyright file a blank line of the license is a dot.
sed -i "s|@MAINTAINER@|$maintainer|" "$sources/debian/control"
sed -i "s/@COPYRIGHT@/$(sed -n 's/^Copyright (c) //p' LICENSE)/" "$sources/debian/copyright"
sed -n '/^Permission/,$ { s/^$/./; s/^/ /; p }' LICENSE >>"$sources/debian/copyright"

# Variables given to make are for this build alone: the package's has its own.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL
cd "$sources"
dpkg-buildpackage -b -us -uc >../build.log 2>&1 || { tail -n 40 ../build.log >&2; exit 1; }
