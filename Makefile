# Two commands: `make demo` and `make test`. Both make their own .venv from uv.lock.
PYTHON ?= python3
UV_VERSION := 0.13.8
export UV_PROJECT_ENVIRONMENT := .venv

.PHONY: demo test check docs bench fuzz clean

.venv/installed: pyproject.toml uv.lock
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@.venv/bin/uv sync --quiet --frozen --inexact --python .venv/bin/python
	@touch $@

demo: .venv/installed
	@exec .venv/bin/standin demo

test: .venv/installed
	.venv/bin/python -m pytest

check: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

docs: .venv/installed
	.venv/bin/python docs/make_reference.py

# The counterparts that we measure ourselves against are installed for this only.
bench: .venv/installed
	@.venv/bin/uv sync --quiet --frozen --inexact --group bench --python .venv/bin/python
	.venv/bin/python benchmarks/bench_codec.py
	.venv/bin/python benchmarks/bench_links.py
	.venv/bin/python benchmarks/bench_hsm.py
	.venv/bin/python benchmarks/bench_replay.py
	.venv/bin/python benchmarks/bench_http.py
	.venv/bin/python benchmarks/bench_observe.py
	.venv/bin/python benchmarks/bench_end_to_end.py

# 5.5 million damaged messages, about a quarter of an hour; docs/fuzzing.md has a recorded run.
fuzz: .venv/installed
	.venv/bin/python benchmarks/fuzz/fuzz_wire.py

clean:
	rm -rf .venv var
