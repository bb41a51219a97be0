# make quickstart   train, defend, attack, export, and attack the exported files, on scikit-learn's digits
# make test         all tests
# make docs         the documents as a site, docs/_build/html/index.html; a warning is an error
# make demo         the quickstart's pages and its int8 file, served to the browser of this machine; needs npm
# make lint         ruff, mypy and, where npm is, buildifier
# make format       ruff's formatter

PYTHON ?= python3
BIN := .venv/bin
RUN := runs/quickstart
PORT ?= 8000
PACKAGES := benchmarks export tests tfrobust trainers

.PHONY: quickstart demo test docs lint format
.DELETE_ON_ERROR:

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  --editable '.[dev]'
	touch $@

# A file's tests share what they compile, so they run in one process; the long files first, as tests/conftest.py has them.
# Two processes more than cores, since tests wait, too: for a disk, a server, another process.
test: .venv/installed
	$(BIN)/python -m pytest --numprocesses=$$(($(shell nproc) + 2)) --dist=loadfile --no-loadscope-reorder

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if command -v npm >/dev/null; then \
	  npx --yes @bazel/buildifier@8.2.1 -mode=check -lint=warn -r BUILD MODULE.bazel $(PACKAGES); \
	else echo "buildifier skipped: npm is not installed"; fi

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/installed
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs docs/_build/html

quickstart: .venv/installed
	@rm -rf $(RUN)
	$(BIN)/tfrobust train-mnist --config=quickstart
	$(BIN)/tfrobust train-mnist --config=quickstart_deep_defense
	$(BIN)/tfrobust export-saved-model --model=$(RUN)/deep_defense/model.keras \
	  --output=$(RUN)/lenet
	$(BIN)/tfrobust export-tflite --model=$(RUN)/deep_defense/model.keras \
	  --output=$(RUN)/float32.tflite
	$(BIN)/tfrobust export-tflite --model=$(RUN)/deep_defense/model.keras \
	  --output=$(RUN)/int8.tflite --quantize=int8 --calibration=digits
	$(BIN)/tfrobust verify --config=quickstart_verify
	$(BIN)/tfrobust evaluate --config=quickstart_evaluate

$(RUN)/evaluate/report.html:
	$(MAKE) quickstart

demo: $(RUN)/evaluate/report.html
	$(BIN)/tfrobust pack-for-device --model=$(RUN)/int8.tflite \
	  --reference=$(RUN)/deep_defense/model.keras --dataset=digits --examples=50 \
	  --attack='pgd(linf(0.1), steps=10)' --output=$(RUN)/pack.zip --page=$(RUN)/page
	@echo "reports: http://localhost:$(PORT)/evaluate/report.html and /verify/report.html"
	@echo "the int8 file, in the browser: http://localhost:$(PORT)/page/; Ctrl-C ends"
	@(sleep 1; $(BIN)/python -m webbrowser http://localhost:$(PORT)/evaluate/report.html >/dev/null) &
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory $(RUN) $(PORT) 2>/dev/null
