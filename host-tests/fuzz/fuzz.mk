# Fuzzing. `make fuzz T=smtp_data SECONDS=60` searches with libFuzzer under both sanitizers; what it finds is kept in
# FUZZ_OUT/T/findings, what it learns in FUZZ_OUT/T/corpus, and the committed seeds stay as they are. `make fuzz-replay`
# runs the committed seeds alone, with whatever compiler and sanitizers the build has; `make test` does so, too.

FUZZ_NAMES := $(sort $(patsubst host-tests/fuzz/fuzz_%.c,%,$(FUZZ_SRCS)))
FUZZ_OUT := build/fuzz
FUZZ_CC := clang
FUZZ_FLAGS := -std=c11 -D_GNU_SOURCE $(WARNINGS) -g -O1 -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=all -Ifirmware -Ihost-tests -include $(O)/autoconf.h
FUZZ_CODE := $(sort $(wildcard firmware/base/*.c firmware/smtp/*.c firmware/mail/*.c))
# what a target needs beyond that
FUZZ_CODE_config := $(sort $(wildcard firmware/config/*.c firmware/check/*.c))
FUZZ_CODE_rules := $(sort $(wildcard firmware/rules/*.c))
FUZZ_CODE_rules_view := $(FUZZ_CODE_rules)
FUZZ_CODE_spf := $(sort $(wildcard firmware/check/*.c))
FUZZ_CODE_results := $(FUZZ_CODE_spf)
FUZZ_CODE_syn := firmware/net/syn.c firmware/check/os.c firmware/check/os_conf.c
FUZZ_FLAGS_rules = $(call system,$(DEPS_PCRE2_FLAGS))
FUZZ_LIBS_rules = $(OUT)/libpcre2.a
FUZZ_FLAGS_rules_view = $(FUZZ_FLAGS_rules)
FUZZ_LIBS_rules_view = $(FUZZ_LIBS_rules)
FUZZ_CODE_dns_answer := $(sort $(wildcard firmware/dns/*.c)) firmware/loop/loop.c host-tests/support/poller_sim.c
FUZZ_FLAGS_dns_answer = $(call system,$(DEPS_CARES_FLAGS))
FUZZ_LIBS_dns_answer = $(OUT)/libcares.a
SECONDS ?= 60
T ?=

.PHONY: fuzz fuzz-replay

fuzz: $(if $(T),fuzz-$(T),$(addprefix fuzz-,$(FUZZ_NAMES)))

$(addprefix fuzz-,$(FUZZ_NAMES)): fuzz-%: $(FUZZ_OUT)/%/fuzzer
	$(Q)mkdir -p $(FUZZ_OUT)/$*/corpus $(FUZZ_OUT)/$*/findings
	$(Q)$< -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
		-artifact_prefix=$(FUZZ_OUT)/$*/findings/ \
		$(if $(wildcard host-tests/fuzz/$*.dict),-dict=host-tests/fuzz/$*.dict) \
		$(FUZZ_OUT)/$*/corpus host-tests/fuzz/corpus/$*

$(addprefix $(FUZZ_OUT)/,$(addsuffix /fuzzer,$(FUZZ_NAMES))): $(FUZZ_OUT)/%/fuzzer: host-tests/fuzz/fuzz_%.c $(FUZZ_CODE) $(FUZZ_CODE_config) \
		$(wildcard host-tests/fuzz/*.h firmware/base/*.h firmware/smtp/*.h firmware/mail/*.h firmware/config/*.h) \
		$(FUZZ_CODE_rules) $(FUZZ_CODE_spf) $(FUZZ_CODE_dns_answer) $(FUZZ_CODE_syn) \
		$(wildcard firmware/rules/*.h firmware/check/*.h firmware/dns/*.h firmware/net/syn.h) $(O)/auto.conf | $(OUT)/done
	$(if $(Q),@echo "  FUZZ    $@")
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) $(FUZZ_FLAGS_$*) -o $@ $< $(FUZZ_CODE) $(FUZZ_CODE_$*) $(FUZZ_LIBS_$*)

fuzz-replay: $(call programs,$(FUZZ_SRCS))
	$(Q)for program in $^; do $$program || exit 1; done
