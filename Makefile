# A thin front for the CMake presets; CONTRIBUTING.md says more.
MODEL  ?= $(firstword $(wildcard models/*.gguf))
PROMPT ?= Once upon a time
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 300
JOBS   := $(shell nproc)
# A tree that is built for its tests alone, where there is no device to run them: one kind of device is enough.
DEVICES = $(if $(wildcard build/$*/CMakeCache.txt),,$(shell nvidia-smi -L >/dev/null 2>&1 || echo -DTRIT_CUDA_ARCHITECTURES=90a-real))
RUN    = build/release/trit run $(MODEL) "$(PROMPT)" --repetition-penalty 1.1

.PHONY: help packages test-packages build run test format asan tsan fuzz install clean devices

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*  ## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

packages:
	@tools/install_packages.sh

test-packages:
	@tools/install_packages.sh --test

build: packages  ## build/release/trit, after installing the Debian packages that are missing
	@cmake --preset release --log-level=WARNING >/dev/null
	cmake --build --preset release --target trit

run: build  ## build, then stream a story (PROMPT="...", MODEL=file.gguf)
	@$(RUN)

test: test-packages  ## format, include direction, both compilers, all tests; ARM's under qemu-user
	tools/check_format.sh
	tools/check_layers.py
	@$(MAKE) --no-print-directory build-release build-clang build-aarch64
	ctest --preset release -j $(JOBS)
	ctest --preset aarch64 -j $(JOBS)

format: test-packages  ## let clang-format rewrite the sources
	tools/check_format.sh --fix

asan: test-packages build-asan  ## all tests under the address and undefined behaviour sanitizers
	ctest --preset asan -j $(JOBS)

tsan: test-packages build-tsan  ## all tests under the thread sanitizer
	ctest --preset tsan -j $(JOBS)

fuzz: test-packages build-fuzz  ## every parser on made-up bytes, FUZZ_SECONDS (300) each
	tools/fuzz.sh $(FUZZ_SECONDS)

install: packages build-release  ## program, library and headers to PREFIX (/usr/local); honours DESTDIR
	cmake --install build/release --prefix $(PREFIX)

clean:  ## remove build/
	rm -rf build

devices: packages  ## compile the kernels for all kinds of NVIDIA devices
	@cmake --preset release -B build/devices -DTRIT_CUDA_ARCHITECTURES='80-real;89-real;90a-real;100-real' --log-level=WARNING >/dev/null
	cmake --build build/devices --target trit_kernels

build-%:
	@cmake --preset $* $(DEVICES) --log-level=WARNING >/dev/null
	cmake --build --preset $*
