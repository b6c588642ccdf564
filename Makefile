# Yanqian. `make demo` shows it; `make test` is what CI runs; `make help` lists the rest.
SHELL := bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help

PROFILE := checked
# The soft token is a library of its own; naming its package places the .so beside the binaries.
SITE := -p yanqian -p yanqian-verify -p yanqian-platform-sim -p yanqian-devpki -p yanqian-demo -p yanqian-softtoken

# What the drill needs besides; its module is a library of its own, too.
DRILL := -p yanqian-drill-hsm -p yanqian-p11-chaos
HOSTILE := -p yanqian-platform-hostile
CRASHES := -p yanqian-drill-ledger
ROUNDS ?= 20

.PHONY: help demo run test test-long receipt-page fuzz lint drill-hsm drill-platform drill-ledger bench-ledger bench bench-sm2 bench-sm2-instructions clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-24s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## build in release and show the whole line: checks, refusals, evidence
	@tools/prerequisites demo
	cargo build --release --locked $(SITE)
	@target/release/yanqian-demo

run: ## the demo's set-up left running, with curl lines to paste; Ctrl-C ends it
	@tools/prerequisites demo
	cargo build --release --locked $(SITE)
	@target/release/yanqian-demo --keep-running

# Budgets in seconds on 2 cores from a bare clone; together below 50 minutes.
test: ## everything, as CI runs it
	@tools/prerequisites test
	@tools/suites \
	  format 10 'cargo fmt --all --check' \
	  clippy 480 'cargo clippy --profile $(PROFILE) --locked --workspace --all-targets -- -D warnings' \
	  build 420 'cargo build --profile $(PROFILE) --locked $(SITE) $(DRILL) $(HOSTILE) $(CRASHES)' \
	  softhsm-sm2 240 'tests/softhsm-sm2/build || [ $$? -eq 3 ]' \
	  openssl-cli 90 'tests/openssl-cli/build || [ $$? -eq 3 ]' \
	  tests 780 'tools/tests $(PROFILE)' \
	  openapi 120 'tests/openapi/run $(PROFILE)' \
	  pykcs11 30 'tests/pkcs11-conformance/pykcs11/run $(PROFILE)' \
	  bouncycastle 30 'appliance/messages/tests/bouncycastle/run $(PROFILE)' \
	  archive-s3 90 'appliance/retention/tests/s3/run $(PROFILE) || [ $$? -eq 3 ]' \
	  receipt-page 90 'appliance/receipt-page/run $(PROFILE) || [ $$? -eq 3 ]' \
	  demo 60 'target/$(PROFILE)/yanqian-demo' \
	  instructions 120 'tools/instructions' \
	  no-std 60 'tools/no-std $(PROFILE)' \
	  drill-hsm 120 'target/$(PROFILE)/yanqian-drill-hsm --short' \
	  drill-platform 200 'target/$(PROFILE)/yanqian-drill-platform' \
	  drill-ledger 90 'target/$(PROFILE)/yanqian-drill-ledger' \
	  units 20 'tools/check-units' \
	  dependencies 30 'cargo deny --all-features check bans licenses sources'

# SM2 alone: YANQIAN_SM_CASES=5000000 YANQIAN_SM_SEED=2 NEXTEST_PROFILE=long cargo nextest run --cargo-profile checked -p yanqian-sm
test-long: ## the property tests with many more cases; a million signatures of SM2 before OpenSSL and RustCrypto; RFC 8998 with Tongsuo
	@tools/prerequisites test
	tests/openssl-cli/build || [ $$? -eq 3 ]
	tests/tongsuo/build || [ $$? -eq 3 ]
	NEXTEST_PROFILE=long PROPTEST_CASES=20000 YANQIAN_SM_CASES=$${YANQIAN_SM_CASES:-1000000} tools/tests $(PROFILE)

receipt-page: ## target/receipt-page.html: proves receipts in a browser, from disk, without a network
	@appliance/receipt-page/install
	@node appliance/receipt-page/build.mjs target/receipt-page.html
	@sha256sum target/receipt-page.html

fuzz: ## every fuzz target for FUZZ_SECONDS (300) each; needs cargo-fuzz, runs on stable Rust
	tools/fuzz

lint: ## format and clippy only
	cargo fmt --all --check
	cargo clippy --profile $(PROFILE) --locked --workspace --all-targets -- -D warnings

drill-hsm: ## faults of the token, one after the other, under 200 checks a second; a table of what they cost
	@tools/prerequisites demo
	cargo build --release --locked $(SITE) $(DRILL)
	@target/release/yanqian-drill-hsm
	@module=$$(tests/softhsm-sm2/build) && target/release/yanqian-drill-hsm --softhsm "$$module" || [ $$? -eq 3 ]

drill-platform: ## everything wrong that a platform can answer, in every form over TLS and RFC 8998, one by one and with 64 in flight
	@tools/prerequisites demo
	cargo build --release --locked $(SITE) $(HOSTILE)
	@target/release/yanqian-drill-platform

drill-ledger: ## the ledger failed and killed at each of its system calls, the daemon killed under load ROUNDS (20) times; what was lost
	@tools/prerequisites test
	cargo build --release --locked $(SITE) $(CRASHES)
	@target/release/yanqian-drill-ledger --rounds $(ROUNDS)

bench: ## speeds as ratios to a named baseline of the same run
	cargo bench --locked -p yanqian-sm -p yanqian-trust -p yanqian-ledger

# Ten million: RECORDS=10000000 ANSWER=600 YANQIAN_BENCH_DIR=/a/disk make bench-ledger (docs/operation.md says what to expect).
bench-ledger: ## appends beside the disk's own syncs; verification, a start, searches and peak memory over RECORDS (200000) records
	cargo bench --locked -p yanqian-ledger --bench append
	RECORDS=$${RECORDS:-200000} cargo bench --locked -p yanqian-ledger --bench records

bench-sm2: ## SM2 and SM3 of every back end against OpenSSL, RustCrypto and ECDSA P-256; ONLY=name measures what has it in its name
	cargo bench --locked -p yanqian-sm --bench sm2 -- $(ONLY)

bench-sm2-instructions: ## instructions of SM2's scalar code by callgrind, against tests/instructions/baseline (RECORD=1 writes it)
	tools/instructions

clean: ## forget all builds
	cargo clean
