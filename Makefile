# Each target installs what it misses (Debian packages, the Kafka broker's jars, the object stores of the tests), keeps it under .cache/, and says so.
# CARGO_TARGET_DIR is honoured. Longer rounds: see `make soak` and CONTRIBUTING.md.
.DEFAULT_GOAL := help
SHELL := bash

.PHONY: help setup build demo test bench soak fmt lint deny clean

help: ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## install what building and testing need
	scripts/setup

build: ## the programs, release
	scripts/build

demo: ## build, talk at a chat node, archive and search it, and a conversation of several weeks (five minutes from nothing, mostly compiling)
	scripts/demo

test: ## every test, with a real Apache Kafka and object stores (25 minutes from nothing are the goal)
	scripts/test

bench: ## the same work done by Holdfast, the raw libraries and PostgreSQL, side by side
	scripts/bench

soak: ## the same tests with more rounds and seeds (hours; HOLDFAST_ROUNDS, HOLDFAST_SEEDS)
	scripts/soak

fmt: ## format the code
	cargo fmt

lint: ## formatting and clippy, warnings are errors
	scripts/lint

deny: ## licences, duplicate versions and sources of all dependencies
	scripts/deny

clean: ## what was built; .cache/ stays
	cargo clean
