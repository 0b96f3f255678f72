# `make` alone prints what can be made. Products are in .build (SwiftPM's) and dist (ours).

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

SWIFT   ?= swift
# Debian's own: the Python modules that the tests need come from Debian, too.
PYTHON  ?= /usr/bin/python3
PREFIX  ?= /usr/local
DESTDIR ?=
# A part of the tests: make test FILTER=AegixPolicyTests
FILTER  ?=
# make conformance PEER=bwrap runs the same cases against bubblewrap.
PEER    ?=
# Kernels to try: make test-vm KERNELS=6.12
KERNELS ?= 6.1 6.12 newest
# What to try there: make test-vm PARTS=limits leaves the conformance cases out, PARTS=replay moves recorded runs there.
PARTS   ?= all

# One file that runs on any Linux of its architecture. Not position-independent: relocating a static PIE costs 0.3 ms of
# every run, a tenth of it. The build id names the binary in records and its cached filters. Types are asked for by their
# accessors: to look them up by mangled names, each anew in every process, costs as much again.
# Built in a place of its own: SwiftPM doesn't do two things in one, and CI builds this and the tests at once.
RELEASE_FLAGS := -c release --product aegix --scratch-path .build/dist --disable-local-rpath \
	-Xswiftc -static-executable -Xswiftc -use-ld=lld -Xlinker --build-id=sha1 \
	-Xswiftc -Xfrontend -Xswiftc -disable-concrete-type-metadata-mangled-name-accessors

# Directories are in the list so that a deleted file counts as a change.
SOURCES := Package.swift $(shell find Sources policies 2>/dev/null)

# What has to be there: a file, and the Debian package that brings it. No process is started while all are there.
DEPS := \
	/usr/bin/g++:g++ \
	/usr/bin/strip:binutils \
	/usr/bin/pkg-config:pkg-config \
	/usr/include/seccomp.h:libseccomp-dev \
	/usr/include/sys/capability.h:libcap-dev \
	/usr/include/openssl/sha.h:libssl-dev \
	/usr/include/zlib.h:zlib1g-dev \
	/usr/include/zstd.h:libzstd-dev \
	/usr/include/ares.h:libc-ares-dev \
	/usr/include/toml++/toml.h:libtomlplusplus-dev

TEST_DEPS := \
	/usr/bin/bwrap:bubblewrap \
	/usr/bin/hyperfine:hyperfine \
	/usr/bin/strace:strace \
	/usr/bin/time:time \
	/usr/bin/gcc:gcc \
	/usr/bin/git:git \
	/usr/bin/make:make \
	/usr/bin/node:nodejs \
	/usr/bin/java:default-jdk-headless \
	/usr/bin/cargo:cargo \
	/usr/bin/go:golang-go \
	/usr/bin/sqlite3:sqlite3 \
	/usr/lib/postgresql/*/bin/postgres:postgresql \
	/usr/bin/curl:curl \
	/usr/sbin/nginx:nginx-light \
	/usr/sbin/dnsmasq:dnsmasq-base \
	/usr/bin/openssl:openssl \
	/usr/sbin/ip:iproute2 \
	/usr/bin/pip3:python3-pip \
	/usr/lib/python3/dist-packages/requests/__init__.py:python3-requests \
	/usr/lib/python3/dist-packages/pytest/__init__.py:python3-pytest \
	/usr/bin/python3:python3 \
	/usr/lib/python3/dist-packages/jsonschema/__init__.py:python3-jsonschema \
	/usr/lib/python3/dist-packages/yaml/__init__.py:python3-yaml \
	/usr/sbin/useradd:passwd \
	/usr/bin/pgrep:procps \
	/usr/bin/zstd:zstd

# For Tests/VM. The kernels themselves are fetched by Tests/VM/kernel.sh, and not installed.
VM_DEPS := \
	/usr/bin/qemu-system-x86_64:qemu-system-x86 \
	/usr/bin/busybox:busybox-static \
	/usr/sbin/mke2fs:e2fsprogs \
	/usr/sbin/debootstrap:debootstrap \
	/usr/share/keyrings/debian-archive-keyring.gpg:debian-archive-keyring \
	/usr/bin/gcc:gcc \
	/usr/bin/python3:python3

# The packages of a list whose file isn't there.
missing = $(strip $(foreach pair,$(1),$(if $(wildcard $(firstword $(subst :, ,$(pair)))),,$(lastword $(subst :, ,$(pair))))))

# $(call install-packages,LIST)
define install-packages
	@set -e; missing="$(call missing,$(1))"; [ -n "$$missing" ] || exit 0; \
	echo "Missing: $$missing"; \
	command -v apt-get >/dev/null || { echo "There is no apt-get here. Install these, or what they are called here: $$missing" >&2; exit 1; }; \
	sudo=; [ "$$(id -u)" = 0 ] || { sudo=sudo; command -v sudo >/dev/null || { \
		echo "Installing needs root and there is no sudo. As root: apt-get install $$missing" >&2; exit 1; }; }; \
	export DEBIAN_FRONTEND=noninteractive; \
	$$sudo apt-get -q update; \
	$$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $$missing </dev/null
endef

.PHONY: help
help: ## print this
	@echo "make TARGET"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS=$$'\t' read -r name words; do \
		printf '  %-12s %s\n' "$$name" "$$words"; done

# ---------------------------------------------------------------------------------------------------------------------
# Building

.PHONY: deps test-deps vm-deps
deps: ## install the Debian packages that building needs, if any is missing
	$(call install-packages,$(DEPS))

test-deps: deps ## install the Debian packages that testing needs, if any is missing
	$(call install-packages,$(TEST_DEPS))

vm-deps: deps ## install the Debian packages that test-vm needs, if any is missing
	$(call install-packages,$(VM_DEPS))

# PyPI's, beside the build: nothing of the system's Python is changed.
.PHONY: peers
peers: test-deps ## fetch what the formats are compared with: PyPI's rfc8785, securesystemslib, in-toto-attestation
	@[ -e .build/peers/.done ] && [ .build/peers/.done -nt Tests/Peers/requirements.txt ] || { rm -rf .build/peers && \
		$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .build/peers -r Tests/Peers/requirements.txt && \
		touch .build/peers/.done; }

.PHONY: hello
hello: release ## build, then run `aegix --cmd "echo hello"`
	@code=0; dist/aegix --cmd "echo hello" || code=$$?; \
	if [ $$code = 125 ]; then \
		echo "The tier \`isolated\` isn't to be had here; \`dist/aegix doctor\` says what is missing. Asking for \`confined\`:" >&2; \
		code=0; dist/aegix --require confined --cmd "echo hello" || code=$$?; \
	fi; exit $$code

.PHONY: build
build: deps ## build for development, tests included
	$(SWIFT) build --build-tests

.PHONY: release
release: dist/aegix ## build dist/aegix: one static, stripped file

dist/aegix: $(SOURCES) | deps
	$(SWIFT) build $(RELEASE_FLAGS)
	@mkdir -p dist
	strip -o $@.new "$$($(SWIFT) build $(RELEASE_FLAGS) --show-bin-path)/aegix"
	@mv $@.new $@

.PHONY: install uninstall
bindir := $(DESTDIR)$(PREFIX)/bin
share  := $(DESTDIR)$(PREFIX)/share

install: release ## install below PREFIX=/usr/local: program, man page, completions, AppArmor profile
	install -D -m 755 dist/aegix $(bindir)/aegix
	install -D -m 644 docs/aegix.1 $(share)/man/man1/aegix.1
	install -d $(share)/bash-completion/completions $(share)/zsh/site-functions $(share)/fish/vendor_completions.d
	dist/aegix help --completion bash > $(share)/bash-completion/completions/aegix
	dist/aegix help --completion zsh > $(share)/zsh/site-functions/_aegix
	dist/aegix help --completion fish > $(share)/fish/vendor_completions.d/aegix.fish
	@# AppArmor before 4.0 knows no rule for user namespaces, and needs none.
	@if [ -n "$(DESTDIR)" ] || [ -e /etc/apparmor.d/abi/4.0 ]; then \
		set -ex; install -d $(DESTDIR)/etc/apparmor.d; \
		sed 's|@BINARY@|$(PREFIX)/bin/aegix|g' docs/apparmor/aegix > $(DESTDIR)/etc/apparmor.d/aegix; fi
	@if [ -z "$(DESTDIR)" ] && [ -e /etc/apparmor.d/abi/4.0 ] && [ -d /sys/kernel/security/apparmor ] \
		&& command -v apparmor_parser >/dev/null; then set -x; apparmor_parser --replace /etc/apparmor.d/aegix; fi

uninstall: ## remove what install put below PREFIX
	rm -f $(bindir)/aegix $(share)/man/man1/aegix.1 $(share)/bash-completion/completions/aegix \
		$(share)/zsh/site-functions/_aegix $(share)/fish/vendor_completions.d/aegix.fish $(DESTDIR)/etc/apparmor.d/aegix

# ---------------------------------------------------------------------------------------------------------------------
# Testing

.PHONY: test
test: test-deps peers build release ## unit, integration and conformance tests; started by root: as root and as an ordinary user
	@FILTER='$(FILTER)' PYTHON='$(PYTHON)' SWIFT='$(SWIFT)' Tests/run.sh

.PHONY: conformance
conformance: test-deps release ## the attacks, as a table; PEER=bwrap for the same cases against bubblewrap
	$(PYTHON) Tests/Conformance/run.py --aegix dist/aegix $(if $(PEER),--peer $(PEER))

.PHONY: test-vm
test-vm: vm-deps release ## limits, tiers and attacks in QEMU, with cgroup v2; KERNELS="6.1 6.12 newest" says on which
	@KERNELS='$(KERNELS)' PARTS='$(PARTS)' Tests/VM/run.sh

.PHONY: bench
bench: test-deps release ## measure against bubblewrap; fails where a limit is missed
	$(PYTHON) Tests/Bench/bench.py --aegix dist/aegix
	$(PYTHON) Tests/Bench/relay.py --aegix dist/aegix
	$(PYTHON) Tests/Bench/ledger.py --aegix dist/aegix
	$(PYTHON) Tests/Bench/bundle.py --aegix dist/aegix

# The target that has the harnesses is only there with AEGIX_FUZZ: libFuzzer brings a main of its own.
SECONDS_EACH ?= 60
# SEED=1 makes the same inputs each time.
SEED ?=
.PHONY: fuzz
fuzz: deps ## feed the readers of record, ledger and signatures what libFuzzer makes up, as many at once as processors; SECONDS_EACH=60
	@SWIFT='$(SWIFT)' SECONDS_EACH='$(SECONDS_EACH)' SEED='$(SEED)' Tests/Fuzz/run.sh

.PHONY: check check-format check-examples check-docs
check: check-format check-examples check-docs test ## format, build with warnings as errors, examples, docs, tests

SWIFT_FILES = $(shell find Package.swift Sources Tests -name '*.swift')

check-format:
	$(SWIFT) format lint --strict --parallel $(SWIFT_FILES)
	@for script in .ci/run $$(find Tests examples -name '*.sh'); do bash -n $$script || exit 1; done

check-examples: test-deps release
	AEGIX="$(CURDIR)/dist/aegix" PYTHON='$(PYTHON)' examples/check.sh

check-docs: test-deps release
	$(PYTHON) docs/check.py

.PHONY: format
format: ## rewrite the Swift sources in the project's format
	$(SWIFT) format format --in-place --parallel $(SWIFT_FILES)

.PHONY: docs presets
docs: presets release ## write anew what is generated: the man page and the embedded presets
	dist/aegix help --man > docs/aegix.1.new
	@mv docs/aegix.1.new docs/aegix.1

presets:
	sh policies/embed.sh

.PHONY: clean
clean: ## remove what was built
	rm -rf .build dist
