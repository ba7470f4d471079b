# The pictures of the documents. They are kept in docs/, because documents need them where
# nothing was built. After a change to docs/pictures or to the page of `qvm-diag --html`,
# make them again and look at them.

.PHONY: pictures picture-addresses picture-report

pictures: picture-addresses picture-report ## remake docs/addresses.svg and docs/report.png

picture-addresses:
	$(LUA) docs/pictures/addresses.lua >docs/addresses.svg

picture-report:
	@sh .ci/deps build pictures
	@$(MAKE) -s all
	BUILD="$(BUILD)" LUA="$(LUA)" sh docs/pictures/report.sh
