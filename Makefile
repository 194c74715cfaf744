# `make run` starts Tickview on the embedded market, `make test` runs every test.
# Both set up what they need first and build only what changed.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
# Steps share two heavy things, the cores and the cargo lock: one after another is fastest.
.NOTPARALLEL:

LISTEN ?= 127.0.0.1:8080
SOURCE ?= market
# How many histories `make law` runs, and which faults `make faults` plants: all unless named.
HISTORIES ?= 2000
FAULTS ?=
# How the server of the browser tests is started.
E2E_SERVE ?= --source market --accounts 20 --holdings 60 --orders 80 --instruments 300

export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tickview/target
# Where rustup puts cargo, for shells that have not been told.
export PATH := $(PATH):$(HOME)/.cargo/bin

# $(call limit,SECONDS) ends what runs longer, with all it started. At a terminal it stays in the
# foreground instead, so that Ctrl-C reaches it.
limit = timeout --kill-after=10 $(shell test -t 0 && echo --foreground) $(1)
cargo_limit := 3000
npm_limit := 600

TICKVIEW := $(CARGO_TARGET_DIR)/release/tickview
PAGE := web/dist/index.html
MODULES := web/node_modules/.package-lock.json
# Folders among them, so that a file taken away counts as a change.
PAGE_SOURCES := $(shell find web/src web/scripts web/public 2>/dev/null) \
	$(wildcard web/index.html web/package.json web/*.ts web/tsconfig*.json)

.PHONY: run build test setup page test-rust test-web test-browser test-embed law faults

run: build
	exec '$(TICKVIEW)' serve --listen '$(LISTEN)' --source '$(SOURCE)'

# The page first: the binary embeds it.
build: page
	$(call limit,$(cargo_limit)) cargo build --locked --release --bin tickview

test: test-rust test-web test-browser test-embed

test-rust: page
	.ci/setup kafka
	$(call limit,$(cargo_limit)) cargo test --locked --release --test it --no-run
	INSTA_UPDATE=$${INSTA_UPDATE:-no} $(call limit,1200) cargo test --locked --release --test it

test-web: $(MODULES)
	cd web && $(call limit,$(npm_limit)) npm run --silent typecheck
	cd web && $(call limit,$(npm_limit)) npm test

test-browser: build
	.ci/setup chromium
	$(call limit,1200) .ci/browser-tests '$(TICKVIEW)' serve $(E2E_SERVE)

# The law over many more histories than every run of the tests has time for.
law: page
	$(call limit,$(cargo_limit)) cargo test --locked --release --test it --no-run
	TICKVIEW_HISTORIES='$(HISTORIES)' $(call limit,1200) cargo test --locked --release --test it -- v2_ w1_

# Whether the laws would notice: one fault after another, planted in a copy of the sources.
faults: page
	$(call limit,7200) tests/faults/run $(FAULTS)

# An embedder's build: the engine without the server.
test-embed: setup
ifneq ($(wildcard examples/embed.rs),)
	$(call limit,$(cargo_limit)) cargo check --locked --release --examples --no-default-features
endif

setup:
	@.ci/setup tools

page: $(PAGE)

$(MODULES): web/package.json web/package-lock.json | setup
	cd web && $(call limit,$(npm_limit)) npm ci --no-audit --no-fund </dev/null
	touch $@

$(PAGE): $(PAGE_SOURCES) $(MODULES)
	cd web && $(call limit,$(npm_limit)) npm run build </dev/null
	touch $@
