# Everything a user does. Targets call commands; the logic is in the commands.
#
#   make engine PRESET=briges-v2-b CHECKPOINT=BriGeS.pth HEIGHT=518 WIDTH=686 TEMPERATURE=1.0
#   make engine PRESET=briges-v2-b CHECKPOINT=BriGeS.pth SIZES="518x518 518x924" FLAVOUR=tensorrt-rtx BUILD="--split"

PRESET      ?= briges-v2-b
CHECKPOINT  ?=
DEPTH_WEIGHTS ?=
SEMANTIC_WEIGHTS ?=
HEIGHT      ?=
WIDTH       ?=
SIZES       ?=
PRECISION   ?= fp16
ATTENTION   ?= plugin
TEMPERATURE ?= 1.0
FLAVOUR     ?= auto
BUILD       ?=
OUT         ?= build/$(PRESET)
PYTHON      ?= python3
VENV        ?= .venv

BIN := $(VENV)/bin
# A strict editable install links each module and each C++ source by name, below build/. So it is made again when one is
# new or gone, when its requirements change, or when build/ was deleted; not when a module is edited.
MODULES := $(sort $(wildcard export/*.py engines/*.py engines/images/*.py \
	$(addprefix engines/plugin/*.,py cpp h S map yaml md) runtime/*.py runtime/*/*.py runtime/kernels/* benchmarks/*.py \
	benchmarks/*/*.py $(addprefix benchmarks/report/*.,j2 css js)))
INSTALLED := $(VENV)/.installed-$(firstword $(shell echo $(MODULES) | cksum))
ifeq ($(wildcard build/__editable__.*),)
.PHONY: $(INSTALLED)
endif

# Paths and names reach the shell as variables of the environment, so that spaces and quotes in them mean themselves.
engine bench: export CHECKPOINT := $(CHECKPOINT)
engine bench: export DEPTH_WEIGHTS := $(DEPTH_WEIGHTS)
engine bench: export SEMANTIC_WEIGHTS := $(SEMANTIC_WEIGHTS)
engine bench: export OUT := $(OUT)
engine bench: export PRESET := $(PRESET)
engine bench: export TEMPERATURE := $(TEMPERATURE)
engine bench: export FLAVOUR := $(FLAVOUR)
engine bench: export ATTENTION := $(ATTENTION)
engine bench: export PRECISION := $(PRECISION)
bundle-offline: export TARGET := $(TARGET)
bundle-offline: export OUT := build/offline-$(TARGET)
FILES := $(if $(CHECKPOINT),--checkpoint "$$CHECKPOINT")
FILES += $(if $(DEPTH_WEIGHTS),--depth-weights "$$DEPTH_WEIGHTS")
FILES += $(if $(SEMANTIC_WEIGHTS),--semantic-weights "$$SEMANTIC_WEIGHTS")
# Without a checkpoint, random weights, which the tool announces everywhere.
WEIGHTS := $(FILES) $(if $(CHECKPOINT),,--random-weights 0)
SIZE := $(if $(HEIGHT),--height "$(HEIGHT)") $(if $(WIDTH),--width "$(WIDTH)") $(foreach size,$(SIZES),--size "$(size)")

.DEFAULT_GOAL := help
.PHONY: help setup engine plugin test test-full check fix wheel bundle-offline bench clean

help: ## list every target
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20
	@echo
	@echo "  variables of make engine: PRESET CHECKPOINT DEPTH_WEIGHTS SEMANTIC_WEIGHTS HEIGHT WIDTH SIZES PRECISION"
	@echo "  ATTENTION TEMPERATURE FLAVOUR OUT, and BUILD for further options of \`briges build\`"

setup: $(INSTALLED) ## create .venv with everything pinned; the other targets do so themselves

# PIP_CONSTRAINT pins the build's own requirements too.
$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	@echo "installing pinned packages into $(VENV): about 3 GB and a few minutes the first time"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check \
		--editable '.[dev]' --config-settings editable_mode=strict
	rm -f $(VENV)/.installed*
	touch $@

engine: $(INSTALLED) ## checkpoint (or random weights) -> checked ONNX -> TensorRT engine bundle
	$(BIN)/briges export "$$PRESET" $(WEIGHTS) $(SIZE) --precision "$$PRECISION" --attention "$$ATTENTION" \
		--temperature "$$TEMPERATURE" --out "$$OUT/model"
	$(BIN)/briges build "$$OUT/model" --out "$$OUT/engine" --flavour "$$FLAVOUR" $(BUILD)

plugin: $(INSTALLED) ## the TensorRT plugin's library, in build/plugin; make engine builds it too where it can
	$(BIN)/briges plugin

test: $(INSTALLED) ## lint, types and every test that needs minutes, not hours
	$(MAKE) --no-print-directory check
	$(BIN)/pytest -m 'not slow'

test-full: $(INSTALLED) ## every test, the full-size ones too (about 25 minutes and 12 GB of memory)
	$(BIN)/pytest

check: $(INSTALLED) ## lint, formatting and types; edits nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: $(INSTALLED) ## what can be mended by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(INSTALLED) ## wheel and sdist in dist/
	$(BIN)/python -m build --outdir dist .

bundle-offline: $(INSTALLED) ## installs without a network: TARGET=jetson-jp6|jetson-jp7|linux-x86_64 INCLUDE="DIR ..."
	$(BIN)/briges bundle-offline --target "$$TARGET" --out "$$OUT" $(foreach folder,$(INCLUDE),--include "$(folder)")

bench: $(INSTALLED) ## ONNX Runtime against eager PyTorch on the model in OUT
	$(BIN)/briges build "$$OUT/model" --out "$$OUT/engine-onnxruntime" --flavour onnxruntime
	$(BIN)/briges bench latency "$$OUT/engine-onnxruntime" --backend engine --backend torch-eager $(FILES)

clean: ## remove build artefacts and the environment
	rm -rf build dist $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
