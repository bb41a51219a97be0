# make quickstart   train, defend, attack, export, and attack the exported files, on scikit-learn's digits
# make test         all tests
# make lint         ruff, mypy and, where npm is, buildifier
# make format       ruff's formatter

PYTHON ?= python3
BIN := .venv/bin
RUN := runs/quickstart
PACKAGES := benchmarks export tests tfrobust trainers
ATTACKS := --attack='fgsm(linf(0.1))' --attack='pgd(linf(0.1), steps=20, objective=margin)'

.PHONY: quickstart test lint format
.DELETE_ON_ERROR:

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

# A file's tests share what they compile, so they run in one process; the long files first, as tests/conftest.py has them.
# One process more than cores, since a quarter of the time a test waits: for a disk, a server, another process.
test: .venv/installed
	$(BIN)/python -m pytest --numprocesses=$$(($(shell nproc) + 1)) --dist=loadfile --no-loadscope-reorder

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

quickstart: .venv/installed
	rm -rf $(RUN)
	$(BIN)/python -m trainers.mnist --config=quickstart --workdir=$(RUN)/plain
	$(BIN)/python -m trainers.mnist --config=quickstart_deep_defense \
	  --init_weights=$(RUN)/plain/model.keras --workdir=$(RUN)/deep_defense
	$(BIN)/python -m export.saved_model --model=$(RUN)/deep_defense/model.keras \
	  --output=$(RUN)/models/lenet
	$(BIN)/python -m export.tflite --model=$(RUN)/deep_defense/model.keras \
	  --output=$(RUN)/lenet_float32.tflite
	$(BIN)/python -m export.tflite --model=$(RUN)/deep_defense/model.keras \
	  --output=$(RUN)/lenet_int8.tflite --quantize=int8 --calibration=digits
	$(BIN)/python -m export.verify --reference=$(RUN)/deep_defense/model.keras \
	  --dataset=digits \
	  $(ATTACKS) \
	  --attack='deepfool()' \
	  --artifact=$(RUN)/models/lenet --artifact=$(RUN)/lenet_float32.tflite \
	  --artifact=$(RUN)/lenet_int8.tflite \
	  --own_examples=50 --queries=0 --noactive_checks --output=$(RUN)/verify
	$(BIN)/python -m trainers.evaluate --model=$(RUN)/deep_defense/model.keras \
	  --baseline=$(RUN)/plain/model.keras --dataset=digits \
	  $(ATTACKS) \
	  --attack='deepfool()' \
	  --output=$(RUN)/evaluate
