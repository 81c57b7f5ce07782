# Every target sets up what it needs by itself, and a second call is offline and changes nothing (tools/setup.sh).

SHELL := bash
PYTHON := .venv/bin/python
COMPILE := CUSTOM_COMPILE_COMMAND="make requirements" $(PYTHON) -m piptools compile --quiet --upgrade --allow-unsafe \
	--generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench requirements clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1:/p' $(MAKEFILE_LIST) | while IFS=: read -r name what; do \
		printf '  make %-13s %s\n' "$$name" "$$what"; done

demo: ## schedule the sample config.yaml, run its backups once and show how to get them back
	@tools/demo.sh

test: ## run the tests
	@tools/setup.sh test
	@$(PYTHON) -m pytest --numprocesses 4 --dist worksteal || { test $$? -eq 1 \
		&& echo "Once more, alone: what failed while four ran beside each other. It is named here either way." \
		&& $(PYTHON) -m pytest --verbose --last-failed --last-failed-no-failures none; }

lint: ## check style, format and types
	@tools/setup.sh develop
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy .

bench: ## measure Holdfast against its peers, and write docs/benchmarks*.md
	@tools/setup.sh test
	@$(PYTHON) -m benchmarks

requirements: ## pin the newest versions of all dependencies, with their hashes (needs the network)
	@tools/setup.sh develop
	@$(COMPILE) --output-file requirements.txt requirements.in
	@$(COMPILE) --output-file requirements-dev.txt requirements-dev.in

clean: ## remove .venv and caches; backups/, state/ and the crontab stay as they are
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -prune -exec rm -rf {} +
