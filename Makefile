# Two commands do all the set-up: `make run` and `make test`. `make help` lists the rest.

LISTEN  ?= 127.0.0.1:8080
RUN     ?= run
MINUTES ?= 10
TARGET  := $(or $(CARGO_TARGET_DIR),target)
PLUGINS := $(notdir $(patsubst %/,%,$(wildcard plugins/*/)))

.PHONY: run demo build place test lint unit torture bench deps help clean

help: ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: build place ## Builds host and providers, places them under ./run and serves on LISTEN (127.0.0.1:8080)
	@printf 'next, in another terminal:\n  %s\n  %s\n  %s\n\n' \
		'$(TARGET)/release/triggerd apply -f examples/quickstart/triggers.yaml' \
		'$(TARGET)/release/triggerd send github push --to my-repo' \
		'$(TARGET)/release/triggerd jobs'
	@exec $(TARGET)/release/triggerd serve --listen $(LISTEN) --data $(RUN) \
		--plugins $(RUN)/plugins --manifests $(RUN)/manifests \
		--command-dir examples/quickstart --command-dir examples/flows

demo: build ## Fake services on this machine, and a host that knows them: everything without an account anywhere
	cargo build --release --locked -p triggerd-fakes
	@mkdir -p -m 700 $(RUN)/demo && mkdir -p -m 755 $(RUN)/demo/manifests
	@install -m 644 examples/demo/manifests/*.yaml $(RUN)/demo/manifests/
	@$(MAKE) --no-print-directory place RUN=$(RUN)/demo
	@exec ./examples/demo/serve.sh $(TARGET) $(RUN)/demo

build: deps
	cargo build --release --locked

# A library is moved into place whole, so that a running host never reads half of one. A manifest
# that is there already is the operator's and stays.
place:
	@mkdir -p -m 700 $(RUN) && mkdir -p -m 755 $(RUN)/plugins $(RUN)/manifests
	@for name in $(PLUGINS); do \
		file=libprovider_$$(echo $$name | tr - _).so; \
		install -m 755 $(TARGET)/release/$$file $(RUN)/plugins/.$$file.new && \
		mv $(RUN)/plugins/.$$file.new $(RUN)/plugins/$$file || exit 1; \
		[ -e $(RUN)/manifests/$$name.yaml ] || [ ! -e manifests/$$name.yaml ] || \
			install -m 644 manifests/$$name.yaml $(RUN)/manifests/$$name.yaml; \
	done

test: deps-test lint unit ## Installs what the tests need, then runs everything

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

unit:
	cargo build --workspace --locked
	cargo test --workspace --locked --no-fail-fast

torture: deps-test ## Faults under load for MINUTES (10), and a table of what came of them
	cargo build --workspace --locked
	TORTURE_MINUTES=$(MINUTES) cargo test -p triggerd --test torture --locked -- --nocapture

bench: deps-bench ## Speed and memory, each beside what it is compared to; PARTS="start memory" for some of it
	./host/benches/run.sh $(PARTS)

# What a command below needs and this machine lacks is installed with apt when root.
.PHONY: deps-test deps-bench
deps: ; @./.ci/need cc:gcc
deps-test: ; @./.ci/need cc:gcc chromium:chromium objcopy:binutils patchelf:patchelf '/usr/lib/postgresql/*/bin/initdb:postgresql' \
	'/usr/sbin/nats-server:nats-server' openssl:openssl

deps-bench: ; @./.ci/need cc:gcc wrk:wrk openssl:openssl

clean: ## Removes what was built and what `make run` keeps
	rm -rf $(TARGET) $(RUN)
