# Tests by kind: named groups only, no rules. Dropping a file is adding a test.
#
#   UNIT_SRCS         unit/<module>/test_<file>.c   one cmocka program each
#   CONTRACT_SRCS     contract/test_<seam>.c        one cmocka program each
#   CONFORMANCE_SRCS  conformance/test_<set>.c      one cmocka program each
#   FUZZ_SRCS         fuzz/fuzz_<target>.c          one program each, over its committed seeds (replay.c is its main)
#   SIM_SRCS          sim/*.c                       one program, the simulator
#   TOOL_SRCS         tools/<name>.c                one plain program each
#   SUPPORT_SRCS      support/*.c                   linked into all of the above, as far as needed

UNIT_SRCS := $(sort $(wildcard host-tests/unit/*/test_*.c))
CONTRACT_SRCS := $(sort $(wildcard host-tests/contract/test_*.c))
CONFORMANCE_SRCS := $(sort $(wildcard host-tests/conformance/test_*.c))
FUZZ_SRCS := $(sort $(wildcard host-tests/fuzz/fuzz_*.c))
SIM_SRCS := $(sort $(wildcard host-tests/sim/*.c))
TOOL_SRCS := $(sort $(wildcard host-tests/tools/*.c))
SUPPORT_SRCS := $(sort $(wildcard host-tests/support/*.c) host-tests/fuzz/replay.c)
TEST_SRCS := $(UNIT_SRCS) $(CONTRACT_SRCS) $(CONFORMANCE_SRCS) $(FUZZ_SRCS)
