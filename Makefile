# vitrine: every target does its own set-up; `make help` lists them.
# Needs git, Go and make; what else a target needs it installs from Debian.

export CGO_ENABLED ?= 0
GOFLAGS_BUILD := -trimpath -buildvcs=false -ldflags=-buildid=

.PHONY: help build demo test lint bench interop fuzz dist clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile | expand -t 12

build: ## build bin/vitrine
	go build $(GOFLAGS_BUILD) -o bin/vitrine ./cmd/vitrine

demo: build ## show the whole chain, from a release to a verdict (CI=1: then stop)
	CI=$(CI) scripts/demo bin/vitrine

test: ## run every test: unit, script, fuzz seeds, race, real peers, browser (BIG=1: and all of the slow ones)
	BIG=$(BIG) scripts/test

lint: ## gofmt, go vet, staticcheck, govulncheck
	scripts/lint

bench: build ## measure beside the peers and print ratios
	scripts/bench

interop: ## cosign, unmodified and without a network, judges our exports
	scripts/interop

fuzz: ## run each fuzz target for FUZZTIME (default 30s)
	scripts/fuzz

dist: ## build the release files, reproducibly, into dist/
	go run ./scripts/dist -out dist

clean: ## remove what was built
	rm -rf bin dist
