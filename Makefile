# A menu, nothing more: each line calls the tool that does the work. T=NAME picks one test.
T ?=
ONCE ?=
NODES ?=
in := tools/enter
debug := build/debug
release := build/release
quiet := $(shell [ -t 2 ] || echo --quiet) # who looks on sees how far a build is

help:          ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
setup:         ## make the build root (once)
	@tools/setup
$(debug)/build.ninja: | setup
	@$(in) env CC=clang-19 meson setup $(debug) --buildtype=debug -Db_sanitize=address,undefined -Db_lundef=false -Dcount=true >$(debug).log || { cat $(debug).log; exit 1; }
$(release)/build.ninja: | setup
	@$(in) meson setup $(release) --buildtype=release >$(release).log || { cat $(release).log; exit 1; }
build: $(release)/build.ninja ## build what goes into the image, and zos
	@$(in) ninja -C $(release) $(quiet)
image: build   ## make the image in build/image
	@$(in) os/make-image
metal-image: build ## the same with the drivers and firmware of real machines
	@$(in) os/make-image metal
debug-image: build
	@$(in) os/make-image debug
run: image $(if $(NODES),metal-image) ## boot a node, deploy nginx on it twice, show that it answers (ONCE=1 ends after that; NODES=2 adds a gateway)
	@trap '' INT; $(in) python3 tools/demo $(if $(ONCE),--once) $(if $(NODES),--two); exit $$?
test: image metal-image debug-image $(debug)/build.ninja ## everything CI runs
	@$(in) ninja -C $(debug) $(quiet) && $(in) tools/test
check: $(debug)/build.ninja ## unit tests, under ASan and UBSan (T=room/noun picks one)
	@tools/layers && $(in) tools/format --check && $(in) ninja -C $(debug) $(quiet) && $(in) meson test -C $(debug) --no-rebuild --print-errorlogs --quiet --suite unit $(T)
net: build $(debug)/build.ninja ## tests with real servers and processes (T=NAME picks one)
	@$(in) ninja -C $(debug) $(quiet) && $(in) tools/test net $(T)
node: image metal-image debug-image ## the image in QEMU (T=NAME picks one)
	@$(in) tools/test node $(T)
soak: image metal-image debug-image $(debug)/build.ninja ## what is long: ROUNDS=100 of bad luck (SEED=N repeats one, T=PART picks one)
	@$(in) ninja -C $(debug) $(quiet) && $(in) env $(if $(ROUNDS),ROUNDS=$(ROUNDS)) $(if $(SEED),SEED=$(SEED)) tools/soak $(T)
tidy: $(debug)/build.ninja ## clang-tidy's short list, some minutes (FILES="...": over those)
	@$(in) tools/tidy $(FILES)
fuzz: | setup  ## each fuzz target for SECONDS=20, from its corpus (T=NAME picks one)
	@$(in) tools/fuzz $(or $(SECONDS),20) $(T)
coverage: image metal-image $(debug)/build.ninja ## lines that the tests run, by room (T=NAME: unit, net and that node test; T=none: no node)
	@$(in) ninja -C $(debug) $(quiet) && $(in) tools/coverage $(T)
bench: image debug-image ## the figures that decide, beside what people would use instead (T=PART picks one)
	@tools/setup bench && $(in) bench/run $(T)
format:        ## let clang-format have its way
	@$(in) tools/format
clean:         ## remove what was built, keep the build root
	@find build -mindepth 1 -maxdepth 1 ! -name root ! -name cache -exec rm -rf {} +
clean-all:     ## remove everything that is not in git
	@rm -rf build
.PHONY: help setup build image metal-image debug-image run test check net node soak tidy fuzz coverage bench format clean clean-all
