# The packages: an archive of the sources, a Debian package, rocks. The version is the one in
# lua/qvm/init.lua; the rockspec of the release and Debian's changelog are made with it.
VERSION   = $(shell sed -n 's/^local qvm = {version = "\(.*\)"}$$/\1/p' lua/qvm/init.lua)
DAY       = $(shell sed -n 's/^\#\# \[$(VERSION)\] - //p' CHANGELOG.md)
ROCKSPEC  = qvm-$(VERSION)-1.rockspec
ARCHIVE   = $(BUILD)/qvm-$(VERSION).tar.gz
# What is in the archive: all that is in the tree, but for what was built.
PACKAGED := .busted .ci .clang-format .clang-tidy .editorconfig .gitignore .luacheckrc CHANGELOG.md \
	LICENSE Makefile README.md config.ld csrc docs examples lua qvm-scm-1.rockspec spec

# Where the release's archive can be downloaded: `make rock` does so, and writes it to the rockspec.
SOURCE_URL ?= file://$(abspath $(ARCHIVE))

# What lintian says about the maintainer's address if DEBEMAIL is not set: it is nobody's.
NO_ADDRESS := bogus-mail-host,bogus-mail-host-in-debian-changelog

.PHONY: archive deb rock

deb: archive ## build the Debian package, and check it with lintian: build/deb
	@sh .ci/deps build commands deb
	sh docs/debian/deb.sh $(BUILD) $(VERSION)
	lintian --fail-on error,warning $(if $(DEBEMAIL),,--suppress-tags $(NO_ADDRESS)) \
		$(BUILD)/deb/*.changes
	@ls -l $(BUILD)/deb/*.deb

# The same tree makes the same archive: its files are from the day of the version.
archive: ## write the sources to build/qvm-VERSION.tar.gz
	@mkdir -p $(BUILD)
	@[ -n "$(DAY)" ] || { echo "CHANGELOG.md has no version $(VERSION)" >&2; exit 1; }
	tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="$(DAY) 00:00 UTC" \
		--transform 's|^|qvm-$(VERSION)/|S' -cf - $(PACKAGED) | gzip -n >$(ARCHIVE)

# A rock with the archive in it, and one with what it becomes on this machine.
rock: archive ## make the rocks of the release, and install one into build/rock/tree
	@sh .ci/deps build commands rock
	luarocks lint qvm-scm-1.rockspec
	@rm -rf $(BUILD)/rock
	@mkdir -p $(BUILD)/rock
	@sed -e 's|"scm-1"|"$(VERSION)-1"|' -e 's|"git+file://\."|"$(SOURCE_URL)"|' \
		qvm-scm-1.rockspec >$(BUILD)/rock/$(ROCKSPEC)
	cd $(BUILD)/rock && luarocks --lua-version 5.4 pack $(ROCKSPEC)
	cd $(BUILD)/rock && luarocks --lua-version 5.4 install --deps-mode=none --tree=tree \
		$(ROCKSPEC:.rockspec=.src.rock)
	cd $(BUILD)/rock && luarocks --lua-version 5.4 pack --tree=tree qvm
