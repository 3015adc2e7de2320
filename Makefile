# Development commands. `cargo run --release` runs Agon.
.PHONY: help test test-kafka-tls lint soak bench engines engines-down test-cgroup2 generate

help: ## List the commands
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

test: ## Run all tests, on SQLite and on PostgreSQL, Kafka, Redis and S3 (installs and starts them)
	deploy/engines/with.sh cargo test --workspace --no-fail-fast

test-kafka-tls: ## Run the tests of TLS and SASL for Kafka; needs pkg-config and libssl-dev
	deploy/engines/with.sh cargo test -p bus --features tls security secured

soak: ## Run the judge tests with 200 repetitions instead of 20
	AGON_SOAK=200 deploy/engines/with.sh cargo test --release -p judge

test-cgroup2: ## Run the sandbox tests in a virtual machine with cgroup v2 (software emulation)
	deploy/cgroup2/test.sh

ENGINES = postgres redis kafka s3

engines: ## Start private PostgreSQL, Redis, Kafka and S3 servers, and print their URLs
	@deploy/engines/get.sh
	@for engine in $(ENGINES); do deploy/engines/$$engine.sh start SAFE || exit 1; done

engines-down: ## Stop the servers of `make engines`
	@for engine in $(ENGINES); do deploy/engines/$$engine.sh stop; done

lint: ## Run fmt, clippy, tidy, cargo-deny, buf and the checks of the deployment files
	deploy/lint.sh

generate: ## Write the generated files of the tree: proto/routes.txt and docs/events.md
	cargo run -q -p xtask -- generate

bench: ## Run the benchmarks that README.md quotes
	cargo bench --workspace
