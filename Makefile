# Two commands for newcomers: `make demo` shows the operator at work, `make test` passes every test.
# Everything they need is built here; what must be there first is checked by tests/require.sh.

CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.PHONY: require
require:
	@tests/require.sh

.PHONY: control-plane
control-plane: require
	@tests/control-plane/build.sh

.PHONY: build
build: require
	@$(CARGO) build --workspace --bins

.PHONY: demo
demo: control-plane build ## Show the main job on a local control plane, Postgres and Notion
	@$(CARGO) run --quiet --package world -- demo

.PHONY: up
up: control-plane build ## Leave the same world running, with addresses to play with
	@$(CARGO) run --quiet --package world -- up --detach

.PHONY: down
down: require ## End the world of `make up`
	@$(CARGO) run --quiet --package world -- down

.PHONY: test
test: control-plane build sdk ## Pass every test
	$(CARGO) test --workspace --lib --bins --tests -- --test-threads=8

.PHONY: test-postgres
test-postgres: control-plane build ## Pass the integration tests on the oldest and the newest Postgres
	tests/each-postgres.sh $(CARGO) test --test it

.PHONY: sdk
sdk: build ## Check the imitation of Notion with Notion's own SDK
	@tests/sdk/run.sh

.PHONY: bench
bench: control-plane ## Measure; results are printed with the commands behind them
	@$(CARGO) build --release --bin notion-sync-operator
	@$(CARGO) run --release --quiet --package world -- bench

.PHONY: crd
crd: require ## Generate crds/ anew
	@$(CARGO) run --quiet -- crd > crds/notionsyncbindings.yaml

.PHONY: lint
lint: require ## Formatting, lints, licences, documentation, generated files
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --quiet
	$(CARGO) deny check licenses bans sources
	cd tests/control-plane && test -z "$$(gofmt -l .)" && go vet ./...
	@$(CARGO) run --quiet -- crd | diff crds/notionsyncbindings.yaml - \
		|| { echo "crds/ is not what the types say: run make crd"; exit 1; }
