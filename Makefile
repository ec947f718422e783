# Two commands for newcomers: `make demo` shows the operator at work, `make test` passes every test.
# Everything they need is built here; what must be there first is checked by tests/require.sh.

CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto
# What was built is run from here. `cargo run` of one package would compile its dependencies anew,
# with the features that this package alone asks for.
BUILT = $(abspath $(or $(CARGO_TARGET_DIR),target))

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
	@$(BUILT)/debug/world demo

.PHONY: up
up: control-plane build ## Leave the same world running, with addresses to play with
	@$(BUILT)/debug/world up --detach

.PHONY: down
down: build ## End the world of `make up`
	@$(BUILT)/debug/world down

.PHONY: test
test: control-plane build sdk ## Pass every test
	$(CARGO) test --workspace --lib --bins --tests -- --test-threads=8

.PHONY: test-postgres
test-postgres: control-plane build ## Pass the integration tests on the oldest and the newest Postgres
	tests/each-postgres.sh $(CARGO) test --workspace --test it -- --test-threads=8

.PHONY: sdk
sdk: build ## Check the imitation of Notion with Notion's own SDK
	@NOTION_IMITATION_BIN=$(BUILT)/debug/notion-imitation tests/sdk/run.sh

.PHONY: bench
bench: control-plane ## Measure; results are printed with the commands behind them
	@$(CARGO) build --release --workspace --bins
	@$(BUILT)/release/world bench

.PHONY: crd
crd: build ## Generate crds/ anew
	@$(BUILT)/debug/notion-sync-operator crd > crds/notionsyncbindings.yaml

.PHONY: lint
lint: build ## Formatting, lints, licences, documentation, generated files
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --quiet
	$(CARGO) deny check licenses bans sources
	cd tests/control-plane && test -z "$$(gofmt -l .)" && go vet ./...
	@$(BUILT)/debug/notion-sync-operator crd | diff crds/notionsyncbindings.yaml - \
		|| { echo "crds/ is not what the types say: run make crd"; exit 1; }
