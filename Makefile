# The development commands. `cargo run --release` runs Agon; everything else is here.
.PHONY: help test test-kafka-tls lint soak bench engines engines-down test-cgroup2 generate

help: ## What there is
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

test: ## All tests, on SQLite and on PostgreSQL, Kafka, Redis and S3; gets and starts what they need
	deploy/engines/with.sh cargo test --workspace --no-fail-fast

test-kafka-tls: ## The tests of TLS and accounts to Kafka, which need OpenSSL: pkg-config and libssl-dev
	deploy/engines/with.sh cargo test -p bus --features tls security secured

soak: ## The same verdicts over 200 runs instead of 20
	AGON_SOAK=200 deploy/engines/with.sh cargo test --release -p judge

test-cgroup2: ## The sandbox's tests under a kernel with a full cgroup v2 tree (software emulation)
	deploy/cgroup2/test.sh

ENGINES = postgres redis kafka s3

engines: ## Start a private PostgreSQL, Redis, Kafka and S3 server, and print their URLs
	@deploy/engines/get.sh
	@for engine in $(ENGINES); do deploy/engines/$$engine.sh start SAFE || exit 1; done

engines-down: ## Stop them
	@for engine in $(ENGINES); do deploy/engines/$$engine.sh stop; done

lint: ## fmt, clippy, tidy, cargo-deny, buf, what Agon is deployed with
	deploy/lint.sh

generate: ## Write the generated files of the tree: proto/routes.txt and docs/events.md
	cargo run -q -p xtask -- generate

bench: ## Every figure that README.md quotes
	cargo bench --workspace
